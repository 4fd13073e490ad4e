//===- ConfigJson.cpp - Reading config.json -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Absent keys take the defaults that the original model code gives them. Where
// a default would silently change the shape of the model, the key is required.
//
//===----------------------------------------------------------------------===//

#include "models/Config.h"
#include "models/ConfigReaders.h"

#include <algorithm>

using namespace dsv2;
using Json = nlohmann::json;

/// Refuses configs whose weights nobody could store.
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

static void readEosIds(JsonFields &fields, Config &config) {
  constexpr size_t mostIds = 64;
  for (int64_t id :
       fields.integers("eos_token_id", 0, config.vocab - 1, mostIds))
    if (std::find(config.eosIds.begin(), config.eosIds.end(), id) ==
        config.eosIds.end())
      config.eosIds.push_back(id);
}

static void readTokens(JsonFields &fields, Config &config) {
  if (fields.find("bos_token_id"))
    config.bosId = fields.integer("bos_token_id", 0, config.vocab - 1);
  readEosIds(fields, config);
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
  std::vector<int64_t> block =
      inner.integers("weight_block_size", 1, widest, 2);
  if (block.size() == 2)
    config.fp8 = Fp8Blocks{block[0], block[1]};
  else
    inner.fail("weight_block_size is missing or not a pair, expected one like "
               "[128, 128]");
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

/// Parses text that should be a JSON object.
static Result<Json> parseObject(std::string_view json,
                                const std::string &source) {
  Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded())
    return Status(StatusCode::dataLoss,
                  source + ": expected a config, found text that is not JSON; "
                           "check that the file is complete");
  if (!document.is_object())
    return Status(StatusCode::dataLoss, source +
                                            ": expected a JSON object, found " +
                                            JsonFields::describe(document));
  return document;
}

Result<Config> dsv2::parseConfig(std::string_view json,
                                 std::string_view sourceName) {
  std::string source(sourceName);
  Result<Json> document = parseObject(json, source);
  if (!document.ok())
    return document.status();

  Config config;
  JsonFields fields(*document, source);
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
  if (fields.ok() && estimateParameters(config) > mostParameters)
    fields.fail("the sizes add up to more than 1e15 weights; check them");
  if (!fields.ok())
    return fields.status();
  return config;
}

Status dsv2::addGenerationConfig(std::string_view json,
                                 std::string_view sourceName, Config &config) {
  std::string source(sourceName);
  Result<Json> document = parseObject(json, source);
  if (!document.ok())
    return document.status();
  JsonFields fields(*document, source);
  readEosIds(fields, config);
  return fields.status();
}
