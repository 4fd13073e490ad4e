//===- ConfigJson.cpp - Reading config.json -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Absent keys take the defaults that the original model code gives them. Where
// a default would silently change the shape of the model, the key is required.
//
//===----------------------------------------------------------------------===//

#include "models/Config.h"
#include "models/JsonFields.h"

#include <algorithm>

using namespace dsv2;
using Json = nlohmann::json;

// Bounds far above any model, and low enough that products of a few of them
// stay in 64 bits.
static constexpr int64_t mostLayers = 1024;
static constexpr int64_t mostExperts = 4096;
static constexpr int64_t mostHeads = 4096;
static constexpr int64_t widest = int64_t(1) << 20;
static constexpr int64_t largestVocab = int64_t(1) << 24;
static constexpr int64_t longestContext = int64_t(1) << 30;
/// Refuses configs whose tensor list or weight count nobody could store.
static constexpr int64_t mostLayersTimesExperts = int64_t(1) << 18;
static constexpr double mostParameters = 1e15;

static void readFamily(JsonFields &fields, Config &config) {
  config.modelType = fields.text("model_type", "");
  std::string name = config.modelType;
  if (name.empty()) {
    const Json *architectures = fields.find("architectures");
    if (architectures && architectures->is_array() && !architectures->empty() &&
        architectures->front().is_string())
      name = architectures->front().get<std::string>();
  }
  if (name == "deepseek_v2" || name == "DeepseekV2ForCausalLM") {
    config.family = Family::deepseekV2;
    config.routingRule = RoutingRule::normalizeXorScale;
    if (config.modelType.empty())
      config.modelType = "deepseek_v2";
  } else if (name == "deepseek_v3" || name == "kimi_k2" ||
             name == "DeepseekV3ForCausalLM") {
    config.family = Family::deepseekV3;
    config.routingRule = RoutingRule::normalizeThenScale;
    if (config.modelType.empty())
      config.modelType = "deepseek_v3";
  } else {
    fields.fail("model_type is " + JsonFields::describe(Json(name)) +
                ", expected deepseek_v2, deepseek_v3 or kimi_k2");
  }
}

static void readSizes(JsonFields &fields, Config &config) {
  config.layers = fields.integer("num_hidden_layers", 1, mostLayers);
  config.hidden = fields.integer("hidden_size", 1, widest);
  config.vocab = fields.integer("vocab_size", 1, largestVocab);
  config.maxPosition =
      fields.integer("max_position_embeddings", 1, longestContext);
  config.tieWordEmbeddings = fields.boolean("tie_word_embeddings", false);
  config.rmsNormEps = fields.number("rms_norm_eps", 1e-30, 1, 1e-6);
}

static void readAttention(JsonFields &fields, Config &config) {
  config.heads = fields.integer("num_attention_heads", 1, mostHeads);
  int64_t kvHeads =
      fields.integer("num_key_value_heads", 1, mostHeads, config.heads);
  if (kvHeads != config.heads)
    fields.fail("num_key_value_heads is " + std::to_string(kvHeads) +
                ", expected num_attention_heads (" +
                std::to_string(config.heads) +
                "): latent attention has no grouped heads");
  if (fields.absent("q_lora_rank"))
    fields.fail("q_lora_rank is missing; give the rank, or null for a model "
                "with a plain q_proj");
  // The original inference code writes 0 where Hugging Face writes null.
  if (int64_t rank = fields.integer("q_lora_rank", 0, widest, 0))
    config.qLoraRank = rank;
  config.kvLoraRank = fields.integer("kv_lora_rank", 1, widest);
  config.qkNopeHeadDim = fields.integer("qk_nope_head_dim", 1, widest);
  config.qkRopeHeadDim = fields.integer("qk_rope_head_dim", 2, widest);
  config.vHeadDim = fields.integer("v_head_dim", 1, widest);
  if (config.qkRopeHeadDim % 2 != 0)
    fields.fail("qk_rope_head_dim is " + std::to_string(config.qkRopeHeadDim) +
                ", expected an even number: rotations act on pairs");

  for (const char *key : {"attention_bias", "mlp_bias"})
    if (fields.boolean(key, false))
      fields.fail(std::string(key) +
                  " is true, but dsv2 supports only models without biases");
  std::string activation = fields.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish")
    fields.fail("hidden_act is " + JsonFields::describe(Json(activation)) +
                ", expected silu");
  if (config.family == Family::deepseekV3 &&
      !fields.boolean("rope_interleave", true))
    fields.fail("rope_interleave is false, but dsv2 supports only the "
                "interleaved rotary layout of the original weights");
}

static void readYarn(JsonFields &rope, JsonFields &fields, Config &config) {
  Yarn yarn;
  // Newer files may keep the trained length outside; that one takes precedence.
  constexpr const char *trainedLength = "original_max_position_embeddings";
  yarn.originalMaxPosition = (fields.find(trainedLength) ? fields : rope)
                                 .integer(trainedLength, 1, longestContext);
  // An explicit null stands for the ratio of the two lengths.
  double ratio = static_cast<double>(config.maxPosition) /
                 static_cast<double>(yarn.originalMaxPosition);
  bool derived = !rope.absent("factor") && !rope.find("factor");
  yarn.factor = derived ? ratio : rope.number("factor", 1, 1e6);
  if (derived && ratio < 1)
    rope.fail("factor is null and max_position_embeddings is below "
              "original_max_position_embeddings; give a factor of 1 or more");
  yarn.betaFast = rope.number("beta_fast", 1e-3, 1e6, 32);
  yarn.betaSlow = rope.number("beta_slow", 1e-3, 1e6, 1);
  if (yarn.betaFast < yarn.betaSlow)
    rope.fail("beta_fast is below beta_slow, expected the reverse");
  yarn.mscale = rope.number("mscale", 0, 1e3, 1);
  yarn.mscaleAllDim = rope.number("mscale_all_dim", 0, 1e3, 0);
  yarn.truncate = rope.boolean("truncate", true);
  if (rope.find("attention_factor"))
    yarn.attentionFactor = rope.number("attention_factor", 1e-6, 1e6);
  config.yarn = yarn;
}

/// Rotary parameters come as rope_scaling with rope_theta beside it, or, in
/// newer files, as rope_parameters, which then exists even without scaling.
static void readRope(JsonFields &fields, Config &config) {
  constexpr double lowestTheta = 1.001, highestTheta = 1e12;
  config.ropeTheta =
      fields.number("rope_theta", lowestTheta, highestTheta, 10000);
  const char *key = "rope_scaling";
  const Json *parameters = fields.find(key);
  if (!parameters || (parameters->is_object() && parameters->empty())) {
    key = "rope_parameters";
    parameters = fields.find(key);
  }
  if (!parameters || !fields.ok())
    return;
  if (!parameters->is_object())
    return fields.fail(std::string(key) + " is " +
                       JsonFields::describe(*parameters) +
                       ", expected an object or null");

  JsonFields rope(*parameters, fields.origin() + ": " + key);
  config.ropeTheta =
      rope.number("rope_theta", lowestTheta, highestTheta, config.ropeTheta);
  if (rope.number("partial_rotary_factor", 0, 1, 1) != 1)
    rope.fail("partial_rotary_factor is not 1; latent attention rotates all of "
              "qk_rope_head_dim");
  bool typed = rope.find("rope_type") || rope.find("type");
  std::string type =
      rope.text(rope.find("rope_type") ? "rope_type" : "type", "default");
  if (!typed && rope.find("factor"))
    rope.fail("there is a factor but no type; add \"type\": \"yarn\"");
  if (type == "yarn")
    readYarn(rope, fields, config);
  else if (type != "default")
    rope.fail("type is " + JsonFields::describe(Json(type)) +
              ", expected yarn or default");
  fields.adopt(rope.status());
}

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

static void readExperts(JsonFields &fields, Config &config) {
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

/// Some files list the kind of each layer; it must agree with the rule.
static void checkLayerTypes(JsonFields &fields, const Config &config) {
  const Json *types = fields.find("mlp_layer_types");
  if (!types || !fields.ok())
    return;
  bool agrees =
      types->is_array() && static_cast<int64_t>(types->size()) == config.layers;
  for (int64_t layer = 0; agrees && layer < config.layers; ++layer)
    agrees = (*types)[static_cast<size_t>(layer)] ==
             (isMoeLayer(config, layer) ? "sparse" : "dense");
  if (!agrees)
    fields.fail("mlp_layer_types disagrees with num_hidden_layers, "
                "first_k_dense_replace and moe_layer_freq; dsv2 supports only "
                "layer kinds that follow from those");
}

static void readTokens(JsonFields &fields, Config &config) {
  int64_t last = config.vocab - 1;
  if (fields.find("bos_token_id"))
    config.bosId = fields.integer("bos_token_id", 0, last);
  const Json *eos = fields.find("eos_token_id");
  if (!eos)
    return;
  if (!eos->is_array()) {
    config.eosIds.push_back(fields.integer("eos_token_id", 0, last));
    return;
  }
  constexpr size_t mostIds = 64;
  if (eos->size() > mostIds)
    return fields.fail("eos_token_id has " + std::to_string(eos->size()) +
                       " entries, expected at most " + std::to_string(mostIds));
  for (const Json &id : *eos) {
    Json wrapped = {{"eos_token_id", id}};
    JsonFields entry(wrapped, fields.origin());
    config.eosIds.push_back(entry.integer("eos_token_id", 0, last));
    fields.adopt(entry.status());
  }
}

static void readFormat(JsonFields &fields, Config &config) {
  const char *key = fields.find("dtype") ? "dtype" : "torch_dtype";
  std::string dtype = fields.text(key, "float32");
  if (dtype == "float32")
    config.dtype = DataType::f32;
  else if (dtype == "float16")
    config.dtype = DataType::f16;
  else if (dtype == "bfloat16")
    config.dtype = DataType::bf16;
  else
    fields.fail(std::string(key) + " is " + JsonFields::describe(Json(dtype)) +
                ", expected bfloat16, float16 or float32");

  const Json *quantization = fields.find("quantization_config");
  if (!quantization)
    return;
  if (!quantization->is_object())
    return fields.fail("quantization_config is " +
                       JsonFields::describe(*quantization) +
                       ", expected an object or null");
  JsonFields inner(*quantization, fields.origin() + ": quantization_config");
  std::string method = inner.text("quant_method", "");
  std::string format = inner.text("fmt", "e4m3");
  if (method != "fp8")
    inner.fail("quant_method is " + JsonFields::describe(Json(method)) +
               ", expected fp8; use a bfloat16 or fp8 checkpoint");
  if (format != "e4m3")
    inner.fail("fmt is " + JsonFields::describe(Json(format)) +
               ", expected e4m3");
  const Json *block = inner.find("weight_block_size");
  Fp8Blocks blocks;
  if (!block || !block->is_array() || block->size() != 2) {
    inner.fail("weight_block_size is missing or not a pair, expected one like "
               "[128, 128]");
  } else {
    Json pair = {{"weight_block_size", (*block)[0]}};
    Json other = {{"weight_block_size", (*block)[1]}};
    JsonFields rows(pair, inner.origin()), cols(other, inner.origin());
    blocks.rows = rows.integer("weight_block_size", 1, widest);
    blocks.cols = cols.integer("weight_block_size", 1, widest);
    inner.adopt(rows.status());
    inner.adopt(cols.status());
  }
  config.fp8 = blocks;
  fields.adopt(inner.status());
}

/// An estimate in floating point, for the products that might not fit.
static double estimateParameters(const Config &config) {
  double hidden = static_cast<double>(config.hidden);
  double heads = static_cast<double>(config.heads);
  double rank = static_cast<double>(
      std::max(config.kvLoraRank, config.qLoraRank.value_or(config.hidden)));
  double headDims = static_cast<double>(
      config.qkHeadDim() + config.qkNopeHeadDim + 2 * config.vHeadDim);
  double attention = (hidden + rank) * heads * headDims + 2 * hidden * rank;
  double experts = static_cast<double>(config.routedExperts.value_or(0) +
                                       config.sharedExperts);
  double mlp = 3 * hidden *
               (static_cast<double>(config.intermediateSize) +
                experts * static_cast<double>(config.moeIntermediateSize));
  return static_cast<double>(config.layers) * (attention + mlp) +
         2 * hidden * static_cast<double>(config.vocab);
}

Result<Config> dsv2::parseConfig(std::string_view json,
                                 std::string_view sourceName) {
  Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  std::string source(sourceName);
  if (document.is_discarded())
    return Status(StatusCode::dataLoss,
                  source + ": expected a config.json, found text that is not "
                           "JSON; check that the file is complete");
  if (!document.is_object())
    return Status(StatusCode::dataLoss, source +
                                            ": expected a JSON object, found " +
                                            JsonFields::describe(document));

  Config config;
  JsonFields fields(document, source);
  // Each part may rely on the ones before it.
  using Reader = void (*)(JsonFields &, Config &);
  for (Reader read : {readFamily, readSizes, readAttention, readRope,
                      readExperts, readTokens, readFormat}) {
    read(fields, config);
    if (!fields.ok())
      return fields.status();
  }
  config.nextTokenLayers =
      fields.integer("num_nextn_predict_layers", 0, mostLayers,
                     config.family == Family::deepseekV3 ? 1 : 0);
  checkLayerTypes(fields, config);
  if (fields.ok() && estimateParameters(config) > mostParameters)
    fields.fail("the sizes add up to more than 1e15 weights; check them");
  if (!fields.ok())
    return fields.status();
  return config;
}
