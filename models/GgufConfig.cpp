//===- GgufConfig.cpp - The config of a GGUF file -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Only names are translated here; parseConfig() checks the numbers. What
// differs in more than the name:
//
// - Files that store keys and values of the latent apart describe the attention
//   over latents: one head of keys, as wide as a cached row. The widths of the
//   heads proper are then under names of their own.
// - The multiplier of the logarithm is a tenth of mscale_all_dim; mscale is not
//   stored, and equal to it in every model that was released.
// - Groups of experts are missing from older files, and so are the bounds of
//   YaRN: these are 32 and 1, except in Kimi-K2.
//
//===----------------------------------------------------------------------===//

#include "models/GgufConfig.h"

#include "models/JsonFields.h"

using namespace dsv2;
using Json = nlohmann::json;

namespace {

constexpr int64_t most = int64_t(1) << 40;

class ConfigTranslator {
public:
  ConfigTranslator(const GgufContents &file, const FindGgufTensor &find,
                   std::string_view path, std::vector<std::string> &notes)
      : fields(file.values, path), find(find), notes(notes) {}

  Result<std::string> translate();

private:
  static std::string keyOf(const char *name) {
    return std::string("deepseek2.") + name;
  }
  int64_t integer(const char *name) {
    return fields.integer(keyOf(name).c_str(), 0, most);
  }
  int64_t integer(const char *name, int64_t fallback) {
    return fields.integer(keyOf(name).c_str(), 0, most, fallback);
  }
  double number(const char *name, double fallback) {
    return fields.number(keyOf(name).c_str(), -1e30, 1e30, fallback);
  }
  bool has(const char *name) const {
    return fields.find(keyOf(name).c_str()) != nullptr;
  }

  void sizes();
  void attention();
  void rope();
  void experts();
  void groups(bool hasBias);
  void tokens();

  JsonFields fields;
  const FindGgufTensor &find;
  std::vector<std::string> &notes;
  Json config;
};

} // namespace

void ConfigTranslator::sizes() {
  int64_t nextToken = integer("nextn_predict_layers", 0);
  config["num_hidden_layers"] = integer("block_count") - nextToken;
  config["num_nextn_predict_layers"] = nextToken;
  config["max_position_embeddings"] = integer("context_length");
  config["hidden_size"] = integer("embedding_length");
  config["rms_norm_eps"] = number("attention.layer_norm_rms_epsilon", 1e-6);
  config["torch_dtype"] = "bfloat16";
  const GgufTensor *embedding = find("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    return fields.fail("there is no matrix token_embd.weight");
  config["vocab_size"] = embedding->shape[0];
  config["tie_word_embeddings"] = find("output.weight") == nullptr;
}

void ConfigTranslator::attention() {
  int64_t heads = integer("attention.head_count");
  int64_t keyHeads = integer("attention.head_count_kv", heads);
  if (fields.ok() && keyHeads != 1 && keyHeads != heads)
    fields.fail(keyOf("attention.head_count_kv") + " is " +
                std::to_string(keyHeads) + ", expected 1 or " +
                std::to_string(heads) + ", the number of heads");
  config["num_attention_heads"] = heads;
  config["q_lora_rank"] = integer("attention.q_lora_rank", 0);
  int64_t latent = integer("attention.kv_lora_rank");
  int64_t rotary = integer("rope.dimension_count");
  bool isSplit = has("attention.key_length_mla");
  int64_t key =
      integer(isSplit ? "attention.key_length_mla" : "attention.key_length");
  int64_t value = integer(isSplit ? "attention.value_length_mla"
                                  : "attention.value_length");
  if (fields.ok() && !isSplit && keyHeads == 1 && heads != 1)
    fields.fail(keyOf("attention.key_length_mla") +
                " is missing, but there is one head of keys; convert the model "
                "again");
  if (fields.ok() && key <= rotary)
    fields.fail("the keys are " + std::to_string(key) +
                " wide, expected more than the " + std::to_string(rotary) +
                " of " + keyOf("rope.dimension_count"));
  config["kv_lora_rank"] = latent;
  config["qk_rope_head_dim"] = rotary;
  config["qk_nope_head_dim"] = key - rotary;
  config["v_head_dim"] = value;
}

void ConfigTranslator::rope() {
  config["rope_theta"] = number("rope.freq_base", 10000);
  std::string type = fields.text(keyOf("rope.scaling.type").c_str(), "none");
  if (type == "none")
    return;
  if (type != "yarn")
    return fields.fail(keyOf("rope.scaling.type") + " is " +
                       JsonFields::describe(Json(type)) +
                       ", expected yarn or none");
  if (number("rope.scaling.attn_factor", 1) != 1)
    return fields.fail(keyOf("rope.scaling.attn_factor") +
                       " is not 1, which dsv2 does not support");
  Json yarn = {
      {"type", "yarn"},
      {"factor", number("rope.scaling.factor", 1)},
      {"original_max_position_embeddings",
       integer("rope.scaling.original_context_length")},
      {"beta_fast", number("rope.scaling.yarn_beta_fast", 32)},
      {"beta_slow", number("rope.scaling.yarn_beta_slow", 1)},
  };
  constexpr int64_t mostExpertsOfDeepSeek = 256;
  if (!has("rope.scaling.yarn_beta_fast") &&
      integer("expert_count", 0) > mostExpertsOfDeepSeek)
    notes.push_back("the file does not say where YaRN begins and ends; taking "
                    "yarn_beta_fast 32 and yarn_beta_slow 1, as DeepSeek-V3 "
                    "has");
  if (has("rope.scaling.yarn_log_multiplier")) {
    double scale = number("rope.scaling.yarn_log_multiplier", 0) * 10;
    yarn["mscale"] = scale;
    yarn["mscale_all_dim"] = scale;
  } else {
    notes.push_back("the file has no yarn_log_multiplier: the scale of "
                    "attention has no YaRN correction");
  }
  config["rope_scaling"] = yarn;
}

/// Older files leave the groups out. The two models that have some are known by
/// their number of experts.
void ConfigTranslator::groups(bool hasBias) {
  int64_t count = integer("expert_group_count", 0);
  int64_t kept = integer("expert_group_used_count", 0);
  int64_t experts = integer("expert_count");
  if (count == 0 && experts == (hasBias ? 256 : 160)) {
    count = 8;
    kept = hasBias ? 4 : 3;
    notes.push_back("the file does not say its groups of experts; taking " +
                    std::to_string(kept) + " of 8, as " +
                    (hasBias ? "DeepSeek-V3" : "DeepSeek-V2") + " has");
  }
  config["n_group"] = count == 0 ? 1 : count;
  config["topk_group"] = count == 0 ? 1 : kept;
  config["topk_method"] = hasBias     ? "noaux_tc"
                          : count > 1 ? "group_limited_greedy"
                                      : "greedy";
}

void ConfigTranslator::experts() {
  config["intermediate_size"] = integer("feed_forward_length", 0);
  int64_t count = integer("expert_count", 0);
  int64_t dense = integer("leading_dense_block_count", 0);
  config["first_k_dense_replace"] = dense;
  config["n_routed_experts"] = count;
  bool hasBias = false, isSigmoid = false;
  if (count != 0) {
    constexpr int64_t softmax = 1, sigmoid = 2;
    int64_t gating = integer("expert_gating_func", softmax);
    if (fields.ok() && gating > sigmoid)
      fields.fail(keyOf("expert_gating_func") + " is " +
                  std::to_string(gating) +
                  ", expected 1 (softmax) or 2 (sigmoid)");
    isSigmoid = gating == sigmoid;
    hasBias = find("blk." + std::to_string(dense) + ".exp_probs_b.bias") ||
              find("blk." + std::to_string(dense) + ".exp_probs_b");
    config["num_experts_per_tok"] = integer("expert_used_count");
    config["n_shared_experts"] = integer("expert_shared_count", 0);
    config["moe_intermediate_size"] = integer("expert_feed_forward_length");
    config["norm_topk_prob"] =
        fields.boolean(keyOf("expert_weights_norm").c_str(), false);
    double scale = number("expert_weights_scale", 1);
    config["routed_scaling_factor"] = scale == 0 ? 1 : scale;
    config["scoring_func"] = isSigmoid ? "sigmoid" : "softmax";
    groups(hasBias);
  }
  config["model_type"] = hasBias || isSigmoid ? "deepseek_v3" : "deepseek_v2";
}

void ConfigTranslator::tokens() {
  auto id = [&](const char *key) { return fields.integer(key, -1, most, -1); };
  if (int64_t bos = id("tokenizer.ggml.bos_token_id"); bos >= 0)
    config["bos_token_id"] = bos;
  Json ends = Json::array();
  for (const char *key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (int64_t eos = id(key); eos >= 0)
      ends.push_back(eos);
  config["eos_token_id"] = ends;
}

Result<std::string> ConfigTranslator::translate() {
  std::string architecture = fields.text("general.architecture", "");
  if (architecture != "deepseek2")
    fields.fail("general.architecture is " +
                JsonFields::describe(Json(architecture)) +
                ", expected deepseek2");
  using Part = void (ConfigTranslator::*)();
  for (Part part : {&ConfigTranslator::sizes, &ConfigTranslator::attention,
                    &ConfigTranslator::rope, &ConfigTranslator::experts,
                    &ConfigTranslator::tokens}) {
    if (!fields.ok())
      return fields.status();
    (this->*part)();
  }
  if (!fields.ok())
    return fields.status();
  return config.dump(1) + "\n";
}

Result<std::string> dsv2::ggufConfigJson(const GgufContents &file,
                                         const FindGgufTensor &find,
                                         std::string_view path,
                                         std::vector<std::string> &notes) {
  return ConfigTranslator(file, find, path, notes).translate();
}
