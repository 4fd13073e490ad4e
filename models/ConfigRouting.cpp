//===- ConfigRouting.cpp - Reading the mixture of experts -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/ConfigReaders.h"

using namespace dsv2;
using Json = nlohmann::json;

/// Refuses configs whose list of tensors would fill the memory.
static constexpr int64_t mostLayersTimesExperts = int64_t(1) << 18;

static void readSelection(JsonFields &fields, Config &config) {
  bool v2 = config.family == Family::deepseekV2;
  std::string method = fields.text("topk_method", v2 ? "greedy" : "noaux_tc");
  // "gready" is how the configuration class of the original code spells it.
  if (method == "greedy" || method == "gready")
    config.selection = Selection::greedy;
  else if (method == "group_limited_greedy")
    config.selection = Selection::groupLimitedMax;
  else if (method == "noaux_tc")
    config.selection = Selection::noauxTc;
  else
    fields.fail("topk_method is " + JsonFields::describe(Json(method)) +
                ", expected greedy, group_limited_greedy or noaux_tc");

  std::string scoring = fields.text("scoring_func", v2 ? "softmax" : "sigmoid");
  if (scoring == "softmax")
    config.scoring = Scoring::softmax;
  else if (scoring == "sigmoid")
    config.scoring = Scoring::sigmoid;
  else
    fields.fail("scoring_func is " + JsonFields::describe(Json(scoring)) +
                ", expected softmax or sigmoid");
}

static void readGroups(JsonFields &fields, Config &config) {
  if (config.selection == Selection::greedy)
    return;
  int64_t experts = *config.routedExperts;
  // Only the V3 classes have group counts of their own for absent keys.
  bool v3 = config.family == Family::deepseekV3;
  bool required = config.selection == Selection::groupLimitedMax;
  auto read = [&](const char *key, int64_t v3Default) {
    if (required)
      return fields.integer(key, 1, mostExperts);
    return fields.integer(key, 1, mostExperts,
                          v3 && fields.absent(key) ? v3Default : 1);
  };
  config.groups = read("n_group", 8);
  config.topkGroup = read("topk_group", 4);
  if (!fields.ok())
    return;
  std::string groups = "n_group (" + std::to_string(config.groups) + ")";
  if (experts % config.groups != 0)
    return fields.fail("n_routed_experts is " + std::to_string(experts) +
                       ", expected a multiple of " + groups);
  if (config.topkGroup > config.groups)
    return fields.fail("topk_group is " + std::to_string(config.topkGroup) +
                       ", expected at most " + groups);
  int64_t groupSize = experts / config.groups;
  if (config.selection == Selection::noauxTc && config.groups > 1 &&
      groupSize < 2)
    return fields.fail("n_group leaves one expert a group, but noaux_tc ranks "
                       "groups by their two best; lower n_group");
  if (config.expertsPerToken > config.topkGroup * groupSize)
    fields.fail("num_experts_per_tok is " +
                std::to_string(config.expertsPerToken) +
                ", expected at most the " +
                std::to_string(config.topkGroup * groupSize) +
                " experts of the topk_group groups that are kept");
}

/// Some files list the kind of each layer; it must agree with the rule.
static void checkLayerTypes(JsonFields &fields, const Config &config) {
  const Json *types = fields.find("mlp_layer_types");
  if (!types || !fields.ok())
    return;
  bool agrees =
      types->is_array() && static_cast<int64_t>(types->size()) == config.layers;
  for (int64_t layer = 0; agrees && layer < config.layers; ++layer) {
    const Json &type = (*types)[static_cast<size_t>(layer)];
    agrees = type.is_string() &&
             type.get_ref<const std::string &>() ==
                 (isMoeLayer(config, layer) ? "sparse" : "dense");
  }
  if (!agrees)
    fields.fail("mlp_layer_types disagrees with num_hidden_layers, "
                "first_k_dense_replace and moe_layer_freq; dsv2 supports only "
                "layer kinds that follow from those");
}

void dsv2::readExperts(JsonFields &fields, Config &config) {
  config.firstKDenseReplace =
      fields.integer("first_k_dense_replace", 0, mostLayers,
                     config.family == Family::deepseekV2 ? 0 : 3);
  config.moeLayerFreq = fields.integer("moe_layer_freq", 1, mostLayers, 1);
  // Newer classes know the count under other names too.
  const char *key = "n_routed_experts";
  for (const char *alias : {"num_local_experts", "num_experts"})
    if (fields.absent(key) && !fields.absent(alias))
      key = alias;
  if (fields.absent(key))
    fields.fail("n_routed_experts is missing; give the number, or null for a "
                "model without experts");
  if (int64_t experts = fields.integer(key, 1, mostExperts, 0))
    config.routedExperts = experts;

  bool anyDense = false;
  for (int64_t layer = 0; layer < config.layers; ++layer)
    anyDense |= !isMoeLayer(config, layer);
  config.intermediateSize =
      anyDense ? fields.integer("intermediate_size", 1, widest)
               : fields.integer("intermediate_size", 1, widest, 0);
  checkLayerTypes(fields, config);
  if (!config.routedExperts || !fields.ok())
    return;

  int64_t experts = *config.routedExperts;
  if (config.layers * experts > mostLayersTimesExperts)
    return fields.fail("num_hidden_layers times n_routed_experts is " +
                       std::to_string(config.layers * experts) +
                       ", expected at most " +
                       std::to_string(mostLayersTimesExperts));
  config.sharedExperts = fields.integer("n_shared_experts", 0, mostExperts, 0);
  config.moeIntermediateSize =
      fields.integer("moe_intermediate_size", 1, widest);
  config.expertsPerToken =
      fields.integer("num_experts_per_tok", 1, mostExperts);
  if (fields.ok() && config.expertsPerToken > experts)
    fields.fail("num_experts_per_tok is " +
                std::to_string(config.expertsPerToken) +
                ", expected at most n_routed_experts (" +
                std::to_string(experts) + ")");
  config.normTopkProb =
      fields.boolean("norm_topk_prob", config.family == Family::deepseekV3);
  config.routedScalingFactor =
      fields.number("routed_scaling_factor", 1e-6, 1e6,
                    config.family == Family::deepseekV2 ? 1 : 2.5);
  readSelection(fields, config);
  if (fields.ok())
    readGroups(fields, config);
}
