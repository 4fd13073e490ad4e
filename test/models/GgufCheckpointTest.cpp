//===- GgufCheckpointTest.cpp - Models in GGUF files ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/GgufCheckpoint.h"
#include "models/RandomTensorSource.h"
#include "test/models/CheckpointBuilder.h"
#include "test/models/GgufBuilder.h"

using namespace dsv2;
using namespace dsv2::test;

namespace {

/// A config whose rows are whole groups.
nlohmann::json wideConfig() {
  nlohmann::json json = tinyConfig();
  json["moe_intermediate_size"] = 32;
  json["qk_nope_head_dim"] = 32;
  json["v_head_dim"] = 32;
  json["eos_token_id"] = 5;
  json["rope_scaling"] = {{"type", "yarn"},
                          {"factor", 40},
                          {"original_max_position_embeddings", 32},
                          {"mscale", 0.707},
                          {"mscale_all_dim", 0.707}};
  return json;
}

class GgufCheckpointTest : public testing::Test {
protected:
  Result<GgufCheckpoint> open(const GgufImage &image) {
    directory.write("model.gguf", image.bytes());
    return GgufCheckpoint::open(directory / "model.gguf");
  }

  CheckpointDirectory directory;
  Config config = parsed(wideConfig());
  RandomTensorSource source = RandomTensorSource(config, 1);
};

std::vector<float> rowsOf(const TensorSource &source, const std::string &name) {
  TensorInfo info = *source.info(name);
  std::vector<float> values(info.rows() * info.rowSize());
  Status status = source.readRows(name, 0, info.rows(), values.data());
  EXPECT_TRUE(status.ok()) << status.message();
  return values;
}

TEST_F(GgufCheckpointTest, ReadsBothLayouts) {
  for (bool isSplit : {false, true}) {
    Result<GgufCheckpoint> gguf =
        open(ggufOf(config, source, {GgufType::f32, isSplit}));
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    EXPECT_TRUE(gguf->notes().empty());
    for (const ExpectedTensor &expected : expectedTensors(config)) {
      EXPECT_EQ(gguf->info(expected.name)->shape, expected.shape);
      EXPECT_EQ(rowsOf(*gguf, expected.name), rowsOf(source, expected.name))
          << expected.name;
    }
    // Some rows, across the border of keys and values of a head.
    const std::string name = "model.layers.1.self_attn.kv_b_proj.weight";
    std::vector<float> all = rowsOf(source, name), some(40 * 32);
    ASSERT_TRUE(gguf->readRows(name, 50, 40, some.data()).ok());
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + 50 * 32));
    EXPECT_FALSE(gguf->readRows(name, 250, 40, some.data()).ok());
  }
}

TEST_F(GgufCheckpointTest, TranslatesTheConfig) {
  for (bool isSplit : {false, true}) {
    Result<GgufCheckpoint> gguf =
        open(ggufOf(config, source, {GgufType::f32, isSplit}));
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    const Config &found = gguf->config();
    EXPECT_EQ(parameterCount(found), parameterCount(config));
    EXPECT_EQ(activatedParameterCount(found), activatedParameterCount(config));
    EXPECT_EQ(softmaxScale(found), softmaxScale(config));
    EXPECT_EQ(ropeInverseFrequencies(found), ropeInverseFrequencies(config));
    EXPECT_EQ(ropeMagnitude(found), ropeMagnitude(config));
    EXPECT_EQ(found.qkNopeHeadDim, config.qkNopeHeadDim);
    EXPECT_EQ(found.vHeadDim, config.vHeadDim);
    EXPECT_EQ(found.heads, config.heads);
    EXPECT_EQ(found.selection, config.selection);
    EXPECT_EQ(found.groups, config.groups);
    EXPECT_EQ(found.topkGroup, config.topkGroup);
    EXPECT_EQ(found.rmsNormEps, config.rmsNormEps);
    EXPECT_EQ(found.eosIds, config.eosIds);
  }
}

TEST_F(GgufCheckpointTest, TranslatesTheConfigOfV3) {
  config = parsed(tinyV3Config());
  source = RandomTensorSource(config, 1);
  Result<GgufCheckpoint> gguf = open(ggufOf(config, source, {}));
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(gguf->config().family, Family::deepseekV3);
  EXPECT_EQ(gguf->config().selection, Selection::noauxTc);
  EXPECT_EQ(gguf->config().scoring, Scoring::sigmoid);
  EXPECT_EQ(gguf->config().normTopkProb, config.normTopkProb);
  EXPECT_EQ(gguf->config().routedScalingFactor, config.routedScalingFactor);
}

TEST_F(GgufCheckpointTest, KeepsGroups) {
  const std::string gate = "model.layers.1.mlp.experts.3.gate_proj.weight";
  for (auto [type, groups] : {std::pair(GgufType::q8_0, GroupFormat::int8),
                              {GgufType::q4_0, GroupFormat::int4}}) {
    Result<GgufCheckpoint> gguf = open(ggufOf(config, source, {type, true}));
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    TensorInfo info = *gguf->info(gate);
    EXPECT_TRUE(info.hasGroups);
    EXPECT_EQ(info.groups, groups);
    std::vector<float> values = rowsOf(*gguf, gate);
    std::vector<int8_t> quants(values.size());
    std::vector<uint16_t> scales(values.size() / 32);
    ASSERT_TRUE(
        gguf->readGroups(gate, 0, info.rows(), quants.data(), scales.data())
            .ok());
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(f16ToFloat(scales[i / 32]) * quants[i], values[i]);
    // Projections of the latent, embeddings and routers have none.
    for (const char *name :
         {"model.layers.1.self_attn.kv_b_proj.weight",
          "model.embed_tokens.weight", "model.layers.1.mlp.gate.weight"}) {
      EXPECT_FALSE(gguf->info(name)->hasGroups) << name;
      EXPECT_EQ(gguf->info(name)->groups, GroupFormat::none) << name;
      EXPECT_FALSE(
          gguf->readGroups(name, 0, 1, quants.data(), scales.data()).ok());
    }
    EXPECT_EQ(gguf->info("model.embed_tokens.weight")->dtype, DataType::bf16);
  }
}

TEST_F(GgufCheckpointTest, SaysWhatChanges) {
  Result<GgufCheckpoint> gguf =
      open(ggufOf(config, source, {GgufType::q4_1, false}));
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  TensorInfo info = *gguf->info("lm_head.weight");
  EXPECT_FALSE(info.hasGroups);
  EXPECT_EQ(info.groups, GroupFormat::int4);
  ASSERT_EQ(gguf->notes().size(), 1u);
  for (const char *part : {"Q4_1 to int4", "Q4_1 to bf16", "--quantize"})
    EXPECT_NE(gguf->notes()[0].find(part), std::string::npos)
        << gguf->notes()[0];
}

TEST_F(GgufCheckpointTest, ReadsSplitModels) {
  // All tensors in the second part, the metadata in the first.
  GgufImage first = ggufMetadata(config, false);
  first.u32("split.no", 0);
  first.u32("split.count", 2);
  GgufImage second = ggufOf(config, source, {});
  second.u32("split.no", 1);
  second.u32("split.count", 2);
  directory.write("m-00001-of-00002.gguf", first.bytes());
  std::string path = directory / "m-00001-of-00002.gguf";
  expectFailure(GgufCheckpoint::open(path).status(), {"m-00002-of-00002.gguf"});
  directory.write("m-00002-of-00002.gguf", second.bytes());
  Result<GgufCheckpoint> gguf = GgufCheckpoint::open(path);
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(rowsOf(*gguf, "lm_head.weight"), rowsOf(source, "lm_head.weight"));
  expectFailure(
      GgufCheckpoint::open(directory / "m-00002-of-00002.gguf").status(),
      {"part 2 of 2", "-00001-of-00002.gguf"});
  directory.write("m-00002-of-00002.gguf", first.bytes());
  expectFailure(GgufCheckpoint::open(path).status(), {"split.no is 0"});
}

TEST_F(GgufCheckpointTest, RefusesOtherModels) {
  GgufImage llama;
  llama.text("general.architecture", "llama");
  expectFailure(open(llama).status(), {"llama", "expected deepseek2"});
  expectFailure(open(ggufMetadata(config, false)).status(),
                {"token_embd.weight"});

  GgufImage more = ggufOf(config, source, {});
  more.tensor("blk.0.attn_q.bias", {4}, GgufType::f32, std::string(16, 0));
  expectFailure(open(more).status(), {"blk.0.attn_q.bias", "no place"});

  GgufImage empty;
  empty.text("general.architecture", "deepseek2");
  expectFailure(open(empty).status(), {"deepseek2.block_count is missing"});

  GgufImage mixed = ggufMetadata(config, false);
  mixed.tensor("token_embd.weight", {100, 60}, GgufType::f32,
               std::string(100 * 60 * 4, 0));
  expectFailure(open(mixed).status(), {"token_embd.weight", "rows of 60"});
}

} // namespace
