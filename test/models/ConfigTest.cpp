//===- ConfigTest.cpp - Reading configs and what follows from them --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Config.h"
#include "models/BuiltinConfigs.h"
#include "models/LoadConfig.h"
#include "test/models/CheckpointBuilder.h"

using namespace dsv2;
using namespace dsv2::test;
using Json = nlohmann::json;

static Config builtin(const char *name) {
  auto json = findBuiltinConfig(name);
  EXPECT_TRUE(json.has_value()) << name;
  Result<Config> config = parseConfig(json.value_or("{}"), name);
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : Config();
}

/// The message of a refused config; checks that it is one line with a source.
static std::string refusal(const Json &json) {
  Result<Config> config = parseConfig(json.dump(), "test.json");
  EXPECT_FALSE(config.ok()) << json.dump();
  if (config.ok())
    return "";
  const std::string &message = config.status().message();
  EXPECT_EQ(message.rfind("test.json: ", 0), 0u) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

static std::string refusalWith(const char *key, Json value) {
  Json json = tinyConfig();
  json[key] = std::move(value);
  return refusal(json);
}

static void expectMentions(const std::string &message,
                           std::initializer_list<const char *> parts) {
  for (const char *part : parts)
    EXPECT_NE(message.find(part), std::string::npos)
        << "'" << message << "' should mention '" << part << "'";
}

//===----------------------------------------------------------------------===//
// Builtin models
//===----------------------------------------------------------------------===//

struct BuiltinFacts {
  const char *name;
  int64_t parameters, activated, withoutEmbedding, withoutHead;
  int64_t kvBytes;
  double scale;
};

static const BuiltinFacts builtinFacts[] = {
    {"deepseek-v2", 235741434880, 21375800320, 20851512320, 20327224320, 69120,
     0.1147213868},
    {"deepseek-coder-v2", 235741434880, 21375800320, 20851512320, 20327224320,
     69120, 0.1352337789},
    {"deepseek-v2-lite", 15706484224, 2661150208, 2451435008, 2241719808, 31104,
     0.1147213868},
    {"deepseek-coder-v2-lite", 15706484224, 2661150208, 2451435008, 2241719808,
     31104, 0.1147213868},
    {"deepseek-v3", 671026419200, 37552297472, 36625618432, 35698939392, 70272,
     0.1352337789},
    {"deepseek-r1", 671026419200, 37552297472, 36625618432, 35698939392, 70272,
     0.1352337789},
    {"moonlight-16b-a3b", 15960110208, 2914776192, 2579231872, 2243687552,
     31104, 0.0721687836},
    {"kimi-k2", 1026408232448, 32861500928, 31687095808, 30512690688, 70272,
     0.1308608000},
};

TEST(BuiltinConfigs, AreAllListedAndSorted) {
  auto list = listBuiltinConfigs();
  EXPECT_EQ(list.size(), std::size(builtinFacts));
  for (size_t i = 1; i < list.size(); ++i)
    EXPECT_LT(list[i - 1].name, list[i].name);
  EXPECT_FALSE(findBuiltinConfig("deepseek-v9").has_value());
}

TEST(BuiltinConfigs, HaveThePublishedSizes) {
  for (const BuiltinFacts &facts : builtinFacts) {
    SCOPED_TRACE(facts.name);
    Config config = builtin(facts.name);
    int64_t table = config.vocab * config.hidden;
    EXPECT_EQ(parameterCount(config), facts.parameters);
    EXPECT_EQ(activatedParameterCount(config), facts.activated);
    EXPECT_EQ(activatedParameterCount(config) - table, facts.withoutEmbedding);
    EXPECT_EQ(activatedParameterCount(config) - 2 * table, facts.withoutHead);
    EXPECT_EQ(kvBytesPerToken(config, 2), facts.kvBytes);
    EXPECT_NEAR(softmaxScale(config), facts.scale, 1e-10);
    EXPECT_EQ(ropeMagnitude(config), 1.0);
  }
}

TEST(BuiltinConfigs, ExpectTensorsThatAddUpToTheParameters) {
  for (const BuiltinFacts &facts : builtinFacts) {
    int64_t elements = 0;
    for (const ExpectedTensor &tensor : expectedTensors(builtin(facts.name))) {
      int64_t product = 1;
      for (int64_t size : tensor.shape)
        product *= size;
      elements += product;
    }
    EXPECT_EQ(elements, facts.parameters) << facts.name;
  }
  EXPECT_EQ(expectedTensors(builtin("deepseek-v2")).size(), 29102u);
  EXPECT_EQ(expectedTensors(builtin("deepseek-v2-lite")).size(), 5291u);
}

TEST(BuiltinConfigs, HaveTheRoutingOfTheirFamily) {
  Config v2 = builtin("deepseek-v2");
  EXPECT_EQ(v2.selection, Selection::groupLimitedMax);
  EXPECT_EQ(v2.scoring, Scoring::softmax);
  EXPECT_EQ(v2.routingRule, RoutingRule::normalizeXorScale);
  EXPECT_EQ(v2.groups, 8);
  EXPECT_EQ(v2.topkGroup, 3);
  EXPECT_EQ(v2.routedScalingFactor, 16.0);
  EXPECT_EQ(v2.qLoraRank, 1536);
  EXPECT_EQ(v2.dtype, DataType::bf16);
  EXPECT_EQ(v2.eosIds, std::vector<int64_t>{100001});
  EXPECT_FALSE(v2.fp8.has_value());

  Config lite = builtin("deepseek-v2-lite");
  EXPECT_EQ(lite.selection, Selection::greedy);
  EXPECT_FALSE(lite.qLoraRank.has_value());
  EXPECT_FALSE(isMoeLayer(lite, 0));
  EXPECT_TRUE(isMoeLayer(lite, 1));

  Config v3 = builtin("deepseek-v3");
  EXPECT_EQ(v3.selection, Selection::noauxTc);
  EXPECT_EQ(v3.scoring, Scoring::sigmoid);
  EXPECT_EQ(v3.routingRule, RoutingRule::normalizeThenScale);
  EXPECT_TRUE(v3.normTopkProb);
  EXPECT_EQ(v3.nextTokenLayers, 1);
  ASSERT_TRUE(v3.fp8.has_value());
  EXPECT_EQ(v3.fp8->rows, 128);

  Config moonlight = builtin("moonlight-16b-a3b");
  EXPECT_FALSE(moonlight.yarn.has_value());
  EXPECT_EQ(moonlight.rmsNormEps, 1e-5);
  EXPECT_EQ(moonlight.latentNormEps, 1e-6);
  EXPECT_EQ(builtin("kimi-k2").eosIds, (std::vector<int64_t>{163585, 163586}));
}

TEST(BuiltinConfigs, LoadByNameOrSayWhatExists) {
  EXPECT_TRUE(loadConfig("kimi-k2").ok());
  Result<Config> unknown = loadConfig("no-such-model");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), StatusCode::notFound);
  expectMentions(unknown.status().message(),
                 {"no-such-model", "deepseek-v2-lite", "kimi-k2"});
}

//===----------------------------------------------------------------------===//
// Rotary frequencies
//===----------------------------------------------------------------------===//

TEST(Rope, MatchesTheReferenceFrequencies) {
  std::vector<double> freq = ropeInverseFrequencies(builtin("deepseek-v2"));
  ASSERT_EQ(freq.size(), 32u);
  EXPECT_EQ(freq[0], 1.0);
  const std::pair<size_t, double> samples[] = {
      {10, 0.056234133},  {11, 0.039006927},  {16, 0.0055},
      {22, 1.7782794e-4}, {23, 3.3338036e-5}, {31, 3.3338036e-6}};
  for (auto [i, value] : samples)
    EXPECT_NEAR(freq[i], value, 1e-6 * value) << i;
}

TEST(Rope, StepsWhenBothBoundariesMeet) {
  // Both betas are 1: dimensions up to 19 keep their frequency.
  std::vector<double> freq = ropeInverseFrequencies(builtin("kimi-k2"));
  for (size_t i = 0; i < freq.size(); ++i) {
    double plain = std::pow(50000.0, -static_cast<double>(i) / 32);
    EXPECT_NEAR(freq[i], i <= 19 ? plain : plain / 32, 1e-12 * plain) << i;
  }
}

TEST(Rope, WithoutYarnIsPlain) {
  Config config = builtin("moonlight-16b-a3b");
  std::vector<double> freq = ropeInverseFrequencies(config);
  EXPECT_NEAR(freq[31], std::pow(50000.0, -31.0 / 32), 1e-18);
  EXPECT_EQ(ropeMagnitude(config), 1.0);
}

static Json withRope(const char *key, Json rope) {
  Json json = tinyConfig();
  json[key] = std::move(rope);
  return json;
}

TEST(Rope, ReadsEveryFormOfTheParameters) {
  Json yarn = {{"factor", 40},
               {"original_max_position_embeddings", 64},
               {"mscale", 0.707},
               {"mscale_all_dim", 0.5}};
  Json oldForm = yarn, newForm = yarn;
  oldForm["type"] = "yarn";
  newForm["rope_type"] = "yarn";
  newForm["rope_theta"] = 50000.0;

  Config old = parsed(withRope("rope_scaling", oldForm));
  ASSERT_TRUE(old.yarn.has_value());
  EXPECT_EQ(old.yarn->factor, 40);
  EXPECT_EQ(old.yarn->betaFast, 32);
  EXPECT_EQ(old.ropeTheta, 10000);
  double expected = (0.0707 * std::log(40.0) + 1) / (0.05 * std::log(40.0) + 1);
  EXPECT_NEAR(ropeMagnitude(old), expected, 1e-12);

  Config fresh = parsed(withRope("rope_parameters", newForm));
  ASSERT_TRUE(fresh.yarn.has_value());
  EXPECT_EQ(fresh.ropeTheta, 50000.0);

  Config plain = parsed(withRope(
      "rope_parameters", {{"rope_type", "default"}, {"rope_theta", 123.0}}));
  EXPECT_FALSE(plain.yarn.has_value());
  EXPECT_EQ(plain.ropeTheta, 123.0);

  // A null factor means the ratio of the lengths.
  Json derived = oldForm;
  derived["factor"] = nullptr;
  EXPECT_EQ(parsed(withRope("rope_scaling", derived)).yarn->factor, 2.0);
}

TEST(Rope, WithoutMscaleAllDimScalesTheRotationOnly) {
  Config config = parsed(
      withRope("rope_scaling", {{"type", "yarn"},
                                {"factor", 40},
                                {"original_max_position_embeddings", 64}}));
  EXPECT_NEAR(ropeMagnitude(config), 0.1 * std::log(40.0) + 1, 1e-12);
  EXPECT_NEAR(softmaxScale(config), 1 / std::sqrt(24.0), 1e-12);
}

TEST(Rope, RefusesWhatItCannotCompute) {
  auto why = [](Json rope) { return refusal(withRope("rope_scaling", rope)); };
  expectMentions(why({{"type", "dynamic"}, {"factor", 2}}),
                 {"dynamic", "yarn"});
  expectMentions(why({{"factor", 2}}), {"no type"});
  expectMentions(why(Json::array()), {"rope_scaling", "array"});
  expectMentions(why({{"type", "yarn"}, {"factor", 2}}),
                 {"original_max_position_embeddings is missing"});
  Json yarn = {{"type", "yarn"},
               {"factor", 0.5},
               {"original_max_position_embeddings", 64}};
  expectMentions(why(yarn), {"factor is 0.5"});
  yarn["factor"] = 2;
  yarn["beta_fast"] = 1;
  yarn["beta_slow"] = 32;
  expectMentions(why(yarn), {"beta_fast"});
  expectMentions(why({{"partial_rotary_factor", 0.5}}),
                 {"partial_rotary_factor"});
  expectMentions(refusalWith("rope_theta", 0), {"rope_theta is 0"});
}

//===----------------------------------------------------------------------===//
// Defaults and refusals
//===----------------------------------------------------------------------===//

TEST(ParseConfig, FillsTheDefaultsOfEachFamily) {
  Config v2 = parsed(tinyConfig());
  EXPECT_EQ(v2.routedScalingFactor, 1.0);
  EXPECT_FALSE(v2.normTopkProb);
  EXPECT_EQ(v2.scoring, Scoring::softmax);
  EXPECT_EQ(v2.nextTokenLayers, 0);
  EXPECT_FALSE(v2.bosId.has_value());
  EXPECT_TRUE(v2.eosIds.empty());
  EXPECT_EQ(v2.dtype, DataType::f32);

  Config v3 = parsed(tinyV3Config());
  EXPECT_EQ(v3.routedScalingFactor, 2.5);
  EXPECT_TRUE(v3.normTopkProb);
  EXPECT_EQ(v3.selection, Selection::noauxTc);
  EXPECT_EQ(v3.scoring, Scoring::sigmoid);
  EXPECT_EQ(v3.nextTokenLayers, 1);
}

TEST(ParseConfig, AcceptsAFileSavedByTransformers5) {
  Json json = tinyV3Config();
  json.update(Json{
      {"architectures", {"DeepseekV3ForCausalLM"}},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"dtype", "bfloat16"},
      {"head_dim", 8},
      {"qk_head_dim", 24},
      {"num_key_value_heads", 4},
      {"pad_token_id", nullptr},
      {"rope_interleave", true},
      {"rope_parameters", {{"rope_theta", 10000.0}, {"rope_type", "default"}}},
      {"eos_token_id", {1, 2}},
      {"bos_token_id", 0},
      {"transformers_version", "5.23.0"},
      {"unknown_key", {{"nested", true}}}});
  Config config = parsed(json);
  EXPECT_EQ(config.dtype, DataType::bf16);
  EXPECT_EQ(config.eosIds, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(config.bosId, 0);
}

TEST(ParseConfig, AcceptsModelsWithoutExperts) {
  Json json = tinyConfig();
  json["n_routed_experts"] = nullptr;
  for (const char *key : {"moe_intermediate_size", "num_experts_per_tok"})
    json.erase(key);
  Config config = parsed(json);
  EXPECT_FALSE(config.routedExperts.has_value());
  EXPECT_FALSE(isMoeLayer(config, 2));
  EXPECT_EQ(activatedParameterCount(config), parameterCount(config));
}

TEST(ParseConfig, AcceptsModelsWithoutSharedExperts) {
  for (Json none : {Json(nullptr), Json(0)}) {
    Json json = tinyConfig();
    json["n_shared_experts"] = none;
    Config config = parsed(json);
    EXPECT_EQ(config.sharedExperts, 0);
    for (const ExpectedTensor &tensor : expectedTensors(config))
      EXPECT_EQ(tensor.name.find("shared_experts"), std::string::npos);
  }
}

TEST(ParseConfig, HonorsMoeLayerFrequency) {
  Json json = tinyConfig();
  json["moe_layer_freq"] = 2;
  Config config = parsed(json);
  EXPECT_FALSE(isMoeLayer(config, 1));
  EXPECT_TRUE(isMoeLayer(config, 2));
}

TEST(ParseConfig, TiedEmbeddingsCountOnce) {
  Json json = tinyConfig();
  int64_t untied = parameterCount(parsed(json));
  json["tie_word_embeddings"] = true;
  Config config = parsed(json);
  EXPECT_EQ(parameterCount(config), untied - 100 * 64);
  EXPECT_NE(expectedTensors(config).back().name, "lm_head.weight");
}

TEST(ParseConfig, RequiresTheShape) {
  for (const char *key :
       {"num_hidden_layers", "hidden_size", "vocab_size",
        "max_position_embeddings", "num_attention_heads", "q_lora_rank",
        "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
        "intermediate_size", "moe_intermediate_size", "n_routed_experts",
        "num_experts_per_tok", "n_group", "topk_group"}) {
    Json json = tinyConfig();
    json.erase(key);
    expectMentions(refusal(json), {key, "missing"});
  }
}

TEST(ParseConfig, RefusesWrongTypesAndSizes) {
  for (const char *key :
       {"num_hidden_layers", "hidden_size", "vocab_size",
        "max_position_embeddings", "num_attention_heads", "q_lora_rank",
        "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
        "intermediate_size", "moe_intermediate_size", "n_routed_experts",
        "n_shared_experts", "num_experts_per_tok", "n_group", "topk_group",
        "first_k_dense_replace", "moe_layer_freq"}) {
    for (Json bad : {Json(-1), Json("4"), Json(4.5), Json(true), Json::array(),
                     Json(INT64_MAX), Json(UINT64_MAX), Json(1e300)})
      expectMentions(refusalWith(key, bad), {key, "expected an integer"});
  }
  for (const char *key : {"num_hidden_layers", "hidden_size", "vocab_size",
                          "num_attention_heads", "num_experts_per_tok"})
    expectMentions(refusalWith(key, 0), {key, "is 0"});
}

TEST(ParseConfig, RefusesImpossibleRouting) {
  expectMentions(refusalWith("num_experts_per_tok", 9),
                 {"num_experts_per_tok is 9", "n_routed_experts (8)"});
  expectMentions(refusalWith("num_experts_per_tok", 5),
                 {"num_experts_per_tok is 5", "at most the 4"});
  expectMentions(refusalWith("n_group", 3), {"multiple of n_group (3)"});
  expectMentions(refusalWith("topk_group", 5),
                 {"topk_group is 5", "n_group (4)"});
  expectMentions(refusalWith("topk_method", "best"), {"topk_method", "best"});
  expectMentions(refusalWith("scoring_func", "tanh"), {"scoring_func", "tanh"});
  Json lonely = tinyV3Config();
  lonely["n_group"] = 8;
  lonely["topk_group"] = 4;
  expectMentions(refusal(lonely), {"two best"});
}

TEST(ParseConfig, GreedyIgnoresGroups) {
  Json json = tinyConfig();
  json["topk_method"] = "greedy";
  json["n_group"] = nullptr;
  json["num_experts_per_tok"] = 8;
  EXPECT_EQ(parsed(json).groups, 1);
}

TEST(ParseConfig, RefusesModelsItCannotCompute) {
  expectMentions(refusalWith("model_type", "llama"), {"llama", "deepseek_v2"});
  expectMentions(refusalWith("hidden_act", "gelu"), {"gelu", "silu"});
  expectMentions(refusalWith("attention_bias", true), {"attention_bias"});
  expectMentions(refusalWith("mlp_bias", true), {"mlp_bias"});
  expectMentions(refusalWith("num_key_value_heads", 1),
                 {"num_key_value_heads is 1"});
  expectMentions(refusalWith("qk_rope_head_dim", 7), {"even"});
  expectMentions(refusalWith("torch_dtype", "int8"), {"torch_dtype", "int8"});
  expectMentions(refusalWith("rms_norm_eps", -1e-6), {"rms_norm_eps"});
  expectMentions(refusalWith("tie_word_embeddings", 1),
                 {"tie_word_embeddings", "true or false"});
  expectMentions(refusalWith("bos_token_id", 100), {"bos_token_id", "99"});
  expectMentions(refusalWith("eos_token_id", {5, "x"}), {"eos_token_id"});
  expectMentions(refusalWith("mlp_layer_types", {"sparse", "sparse", "dense"}),
                 {"mlp_layer_types"});
  Json halfSplit = tinyV3Config();
  halfSplit["rope_interleave"] = false;
  expectMentions(refusal(halfSplit), {"rope_interleave"});
}

TEST(ParseConfig, ReadsOrRefusesQuantization) {
  Json json = tinyConfig();
  json["quantization_config"] = {{"quant_method", "fp8"},
                                 {"weight_block_size", {64, 32}}};
  Config config = parsed(json);
  ASSERT_TRUE(config.fp8.has_value());
  EXPECT_EQ(config.fp8->rows, 64);
  EXPECT_EQ(config.fp8->cols, 32);
  auto why = [](Json value) {
    return refusalWith("quantization_config", value);
  };
  expectMentions(why({{"quant_method", "gptq"}}), {"gptq", "fp8"});
  expectMentions(why({{"quant_method", "fp8"}}), {"weight_block_size"});
  expectMentions(why({{"quant_method", "fp8"}, {"weight_block_size", {0, 1}}}),
                 {"weight_block_size is 0"});
  expectMentions(why({{"quant_method", "fp8"},
                      {"fmt", "e5m2"},
                      {"weight_block_size", {1, 1}}}),
                 {"e5m2"});
  expectMentions(why(3), {"quantization_config is 3"});
}

TEST(ParseConfig, RefusesSizesThatNobodyCouldStore) {
  Json json = tinyConfig();
  json["num_hidden_layers"] = 1024;
  json["n_routed_experts"] = 4096;
  json["first_k_dense_replace"] = 0;
  expectMentions(refusal(json), {"num_hidden_layers times n_routed_experts"});
  Json wide = tinyConfig();
  wide["hidden_size"] = 1 << 20;
  wide["moe_intermediate_size"] = 1 << 20;
  wide["num_hidden_layers"] = 1024;
  expectMentions(refusal(wide), {"1e15"});
}

TEST(ParseConfig, RefusesTextThatIsNotAConfig) {
  for (const char *text :
       {"", "{", "nul", "{\"a\":1}x", "\xff\xfe{}", "[1e999]"}) {
    Result<Config> config = parseConfig(text, "test.json");
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.status().code(), StatusCode::dataLoss) << text;
  }
  for (const char *text : {"[]", "3", "null", "\"text\""})
    expectMentions(parseConfig(text, "test.json").status().message(),
                   {"JSON object"});
}

TEST(ParseConfig, KeepsLongAndBinaryValuesOutOfMessages) {
  std::string message =
      refusalWith("model_type", "line\nbreak" + std::string(5000, 'x'));
  EXPECT_LT(message.size(), 200u);
}
