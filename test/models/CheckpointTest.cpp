//===- CheckpointTest.cpp - Whole checkpoint directories ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Checkpoint.h"
#include "models/LoadConfig.h"
#include "test/models/CheckpointBuilder.h"

#include <cmath>
#include <random>
#include <thread>

using namespace dsv2;
using namespace dsv2::test;
using Json = nlohmann::json;

namespace {
/// A directory with a config and one file of tensors.
class CheckpointTest : public testing::Test {
protected:
  CheckpointTest() { setConfig(tinyConfig()); }

  void setConfig(const Json &json) {
    directory.write("config.json", json.dump());
    tensors = tensorsOf(parsed(json));
  }

  Checkpoint open() {
    directory.write("model.safetensors", safetensorsImage(tensors));
    Result<Checkpoint> checkpoint = Checkpoint::open(directory.path());
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    return *std::move(checkpoint);
  }

  Status verify() {
    Checkpoint checkpoint = open();
    return checkpoint.verify(checkpoint.config());
  }

  /// All of a tensor, or the failure.
  static Status read(const Checkpoint &checkpoint, const std::string &name,
                     std::vector<float> &out) {
    Result<TensorInfo> info = checkpoint.info(name);
    EXPECT_TRUE(info.ok()) << info.status().message();
    out.assign(info->rows() * info->rowSize(), -1);
    return checkpoint.readRows(name, 0, info->rows(), out.data());
  }

  CheckpointDirectory directory;
  RawTensors tensors;
};
} // namespace

static const std::string query = "model.layers.1.self_attn.q_proj.weight";

TEST_F(CheckpointTest, OpensAndVerifiesACompleteModel) {
  Checkpoint checkpoint = open();
  EXPECT_TRUE(checkpoint.verify(checkpoint.config()).ok());
  EXPECT_EQ(checkpoint.names().size(), tensors.size());
  EXPECT_EQ(checkpoint.config().layers, 3);
  Result<TensorInfo> info = checkpoint.info(query);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->dtype, DataType::bf16);
  EXPECT_EQ(info->rows(), 96);
  EXPECT_EQ(info->rowSize(), 64);
  EXPECT_EQ(checkpoint.info("model.norm.weight")->rows(), 1);
  expectFailure(checkpoint.info("nothing").status(), {"nothing"});
}

TEST_F(CheckpointTest, ReadsAnyRows) {
  Checkpoint checkpoint = open();
  Checkpoint moved = std::move(checkpoint);
  std::vector<float> rows(2 * 64);
  ASSERT_TRUE(moved.readRows(query, 5, 2, rows.data()).ok());
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(rows[i], static_cast<float>(i % 64));
  EXPECT_TRUE(moved.readRows(query, 96, 0, nullptr).ok());
  for (auto [first, count] : std::vector<std::pair<int64_t, int64_t>>{
           {96, 1}, {0, 97}, {-1, 1}, {0, -1}, {INT64_MAX, INT64_MAX}})
    expectFailure(moved.readRows(query, first, count, rows.data()),
                  {"96 rows", "q_proj"});
  expectFailure(moved.readRows("nothing", 0, 1, rows.data()), {"nothing"});
}

TEST_F(CheckpointTest, ConvertsEveryFormatExactly) {
  std::vector<uint16_t> halves;
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if ((bits & 0x7c00) != 0x7c00)
      halves.push_back(static_cast<uint16_t>(bits));
  std::vector<uint16_t> brains;
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if ((bits & 0x7f80) != 0x7f80)
      brains.push_back(static_cast<uint16_t>(bits));
  unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::vector<float> singles(1001);
  for (float &value : singles)
    value = std::ldexp(static_cast<float>(random()) - 0x1p31f,
                       static_cast<int>(random() % 200) - 140);
  auto count = [](const auto &list) {
    return std::vector<int64_t>{static_cast<int64_t>(list.size())};
  };
  tensors["half"] = {"F16", count(halves), toBytes(halves)};
  tensors["brain"] = {"BF16", count(brains), toBytes(brains)};
  tensors["single"] = f32Tensor(count(singles), singles);
  tensors["odd"] = {"U8", {3}, "abc"}; // shifts what follows off alignment
  Checkpoint checkpoint = open();

  std::vector<float> out;
  ASSERT_TRUE(read(checkpoint, "half", out).ok());
  for (size_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]),
              std::bit_cast<uint32_t>(f16ToFloat(halves[i])));
  ASSERT_TRUE(read(checkpoint, "brain", out).ok());
  for (size_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]),
              std::bit_cast<uint32_t>(bf16ToFloat(brains[i])));
  ASSERT_TRUE(read(checkpoint, "single", out).ok());
  EXPECT_EQ(out, singles);
  expectFailure(read(checkpoint, "odd", out), {"'odd'", "U8", "expected F32"});
}

TEST_F(CheckpointTest, FindsNanAndInfinity) {
  const uint16_t halfBad[] = {0x7c00, 0xfc00, 0x7e01};
  const uint16_t brainBad[] = {0x7f80, 0xff80, 0x7fc1};
  const float singleBad[] = {INFINITY, -INFINITY, NAN};
  for (int kind = 0; kind < 3; ++kind) {
    std::vector<uint16_t> half(6, 0x3c00), brain(6, 0x3f80);
    std::vector<float> single(6, 1);
    half[4] = halfBad[kind];
    brain[4] = brainBad[kind];
    single[4] = singleBad[kind];
    tensors["h"] = {"F16", {2, 3}, toBytes(half)};
    tensors["b"] = {"BF16", {2, 3}, toBytes(brain)};
    tensors["s"] = f32Tensor({2, 3}, single);
    Checkpoint checkpoint = open();
    std::vector<float> out;
    for (const char *name : {"h", "b", "s"}) {
      expectFailure(read(checkpoint, name, out),
                    {name, kind == 2 ? "NaN" : "infinity", "[1, 1]"});
      float row[3];
      EXPECT_TRUE(checkpoint.readRows(name, 0, 1, row).ok());
    }
  }
}

TEST_F(CheckpointTest, ReadsConcurrently) {
  Checkpoint checkpoint = open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      std::vector<float> out;
      for (std::string_view name : checkpoint.names()) {
        EXPECT_TRUE(read(checkpoint, std::string(name), out).ok());
        EXPECT_EQ(out.back(), static_cast<float>((out.size() - 1) % 64));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST_F(CheckpointTest, ReportsMissingTensors) {
  tensors.erase(query);
  tensors.erase("model.norm.weight");
  expectFailure(verify(), {"2 of the", "missing", query.c_str()});
}

TEST_F(CheckpointTest, ReportsWrongShapesAndTypes) {
  RawTensor transposed = tensors[query];
  std::swap(transposed.shape[0], transposed.shape[1]);
  tensors[query] = transposed;
  expectFailure(verify(), {query.c_str(), "[64, 96]", "[96, 64]"});
  tensors[query] = {"I8", {96, 64}, std::string(96 * 64, 'x')};
  expectFailure(verify(), {query.c_str(), "I8"});
}

TEST_F(CheckpointTest, ReportsUnknownTensors) {
  tensors["model.layers.3.input_layernorm.weight"] = f32Tensor({1}, {1});
  tensors["zzz"] = f32Tensor({1}, {1});
  Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.unknownTensors(checkpoint.config()).size(), 2u);
  expectFailure(checkpoint.verify(checkpoint.config()),
                {"2 tensors", "model.layers.3."});
}

TEST_F(CheckpointTest, IgnoresBuffersAndLayersOfTokenPrediction) {
  setConfig(tinyV3Config());
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = f32Tensor({1}, {1});
  tensors["model.layers.3.eh_proj.weight"] = f32Tensor({1}, {1});
  EXPECT_TRUE(verify().ok());
  tensors["model.layers.4.eh_proj.weight"] = f32Tensor({1}, {1});
  expectFailure(verify(), {"model.layers.4."});
}

TEST_F(CheckpointTest, AcceptsATiedHeadOrNone) {
  Json json = tinyConfig();
  json["tie_word_embeddings"] = true;
  setConfig(json);
  EXPECT_FALSE(tensors.contains("lm_head.weight"));
  EXPECT_TRUE(verify().ok());
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  EXPECT_TRUE(verify().ok());
}

//===----------------------------------------------------------------------===//
// FP8
//===----------------------------------------------------------------------===//

namespace {
class Fp8CheckpointTest : public CheckpointTest {
protected:
  Fp8CheckpointTest() {
    Json json = tinyConfig();
    json["quantization_config"] = {{"quant_method", "fp8"},
                                   {"weight_block_size", {40, 24}}};
    setConfig(json);
    // 96 x 64 in blocks of 40 x 24: three by three, the last ones cut.
    std::string bytes(96 * 64, '\0');
    for (size_t i = 0; i < bytes.size(); ++i) {
      uint8_t bits = static_cast<uint8_t>(i * 7);
      bytes[i] = static_cast<char>((bits & 0x7f) == 0x7f ? 0 : bits);
    }
    for (int i = 0; i < 9; ++i)
      scales.push_back(0.37f * static_cast<float>(i + 1));
    tensors[query] = {"F8_E4M3", {96, 64}, bytes};
    tensors[query + "_scale_inv"] = f32Tensor({3, 3}, scales);
  }
  std::vector<float> scales;
};
} // namespace

TEST_F(Fp8CheckpointTest, ReadsScaledBlocks) {
  EXPECT_TRUE(verify().ok());
  Checkpoint checkpoint = open();
  std::vector<float> out;
  ASSERT_TRUE(read(checkpoint, query, out).ok());
  const std::string &bytes = tensors[query].bytes;
  for (size_t i = 0; i < out.size(); ++i) {
    size_t row = i / 64, column = i % 64;
    float scale = scales[row / 40 * 3 + column / 24];
    ASSERT_EQ(out[i], scale * e4m3ToFloat(static_cast<uint8_t>(bytes[i])))
        << row << ", " << column;
  }
  std::vector<float> part(2 * 64);
  ASSERT_TRUE(checkpoint.readRows(query, 39, 2, part.data()).ok());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), out.begin() + 39 * 64));
}

TEST_F(Fp8CheckpointTest, ReadsBlocksAsTheyAre) {
  EXPECT_FALSE(open().info(query)->hasFp8); // of 40 x 24
  Json json = tinyConfig();
  json["quantization_config"] = {{"quant_method", "fp8"},
                                 {"weight_block_size", {128, 128}}};
  auto quantized = tensors[query];
  setConfig(json);
  tensors[query] = quantized;
  tensors[query + "_scale_inv"] = f32Tensor({1, 1}, {0.5f});
  ASSERT_TRUE(open().info(query)->hasFp8);
  std::vector<uint8_t> quants(2 * 64);
  std::vector<float> scale(2);
  ASSERT_TRUE(open().readFp8(query, 3, 2, quants.data(), scale.data()).ok());
  EXPECT_EQ(scale, std::vector<float>(2, 0.5f));
  for (size_t i = 0; i < quants.size(); ++i)
    ASSERT_EQ(quants[i],
              static_cast<uint8_t>(tensors[query].bytes[3 * 64 + i]));
  tensors[query].bytes[65] = '\xff';
  expectFailure(open().readFp8(query, 0, 2, quants.data(), scale.data()),
                {query.c_str(), "NaN", "[1, 1]"});
  expectFailure(open().readFp8(query, 95, 2, quants.data(), scale.data()),
                {"has 96 rows"});
}

TEST_F(Fp8CheckpointTest, ReportsNanAndBadScales) {
  tensors[query].bytes[65] = '\x7f';
  std::vector<float> out;
  expectFailure(read(open(), query, out), {query.c_str(), "NaN", "[1, 1]"});
  tensors[query].bytes[65] = 0;
  scales[4] = NAN;
  tensors[query + "_scale_inv"] = f32Tensor({3, 3}, scales);
  expectFailure(read(open(), query, out), {"_scale_inv", "NaN", "[1, 1]"});
  scales[4] = 1e35f;
  tensors[query + "_scale_inv"] = f32Tensor({3, 3}, scales);
  expectFailure(read(open(), query, out), {"_scale_inv", "1e30"});
}

TEST_F(Fp8CheckpointTest, ReportsScalesThatDoNotFit) {
  tensors[query + "_scale_inv"] = f32Tensor({1, 9}, scales);
  expectFailure(verify(), {query.c_str(), "[1, 9]", "[3, 3]"});
  tensors[query + "_scale_inv"] = {"U8", {3, 3}, std::string(9, 'x')};
  expectFailure(verify(), {query.c_str(), "U8"});
  tensors.erase(query + "_scale_inv");
  expectFailure(verify(), {query.c_str(), "no _scale_inv"});
}

TEST_F(Fp8CheckpointTest, NeedsBlocksInTheConfig) {
  directory.write("config.json", tinyConfig().dump());
  expectFailure(verify(), {query.c_str(), "quantization_config"});
}

TEST_F(Fp8CheckpointTest, ScalesWithoutWeightsAreUnknown) {
  tensors["model.norm.weight_scale_inv"] = f32Tensor({1}, {1});
  expectFailure(verify(), {"model.norm.weight_scale_inv"});
}

//===----------------------------------------------------------------------===//
// Directories
//===----------------------------------------------------------------------===//

namespace {
class ShardedCheckpointTest : public CheckpointTest {
protected:
  ShardedCheckpointTest() {
    size_t i = 0;
    for (const auto &[name, tensor] : tensors) {
      std::string shard = "model-" + std::to_string(i++ % 3) + ".safetensors";
      shards[shard][name] = tensor;
      weightMap[name] = shard;
    }
  }
  Result<Checkpoint> openShards() {
    for (const auto &[shard, content] : shards)
      directory.write(shard, safetensorsImage(content));
    writeIndex({{"metadata", {{"total_size", 1}}}, {"weight_map", weightMap}});
    return Checkpoint::open(directory.path());
  }
  void writeIndex(const Json &index) {
    directory.write("model.safetensors.index.json", index.dump());
  }
  std::map<std::string, RawTensors> shards;
  std::map<std::string, std::string> weightMap;
};
} // namespace

TEST_F(ShardedCheckpointTest, OpensAndVerifies) {
  Result<Checkpoint> checkpoint = openShards();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->names().size(), tensors.size());
  EXPECT_TRUE(checkpoint->verify(checkpoint->config()).ok());
}

TEST_F(ShardedCheckpointTest, ReportsMissingShards) {
  weightMap["other"] = "model-9.safetensors";
  expectFailure(openShards().status(),
                {"1 of 4 shards", "model-9.safetensors"});
}

TEST_F(ShardedCheckpointTest, ReportsTruncatedShards) {
  ASSERT_TRUE(openShards().ok());
  std::string path = directory / "model-1.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  expectFailure(Checkpoint::open(directory.path()).status(),
                {"model-1.safetensors", "truncated"});
}

TEST_F(ShardedCheckpointTest, ReportsAnIndexThatDoesNotFit) {
  weightMap["absent.weight"] = "model-1.safetensors";
  expectFailure(openShards().status(),
                {"absent.weight", "model-1.safetensors"});
}

TEST_F(ShardedCheckpointTest, RefusesBadIndexes) {
  auto status = [&](const Json &index) {
    writeIndex(index);
    return Checkpoint::open(directory.path()).status();
  };
  expectFailure(status(Json::array()), {"index.json", "JSON object"});
  expectFailure(status(Json::object()), {"no weight_map"});
  expectFailure(status({{"weight_map", 1}}), {"no weight_map"});
  for (Json shard : {Json(1), Json(""), Json("../model.safetensors"),
                     Json("/etc/passwd"), Json("weights.bin")})
    expectFailure(status({{"weight_map", {{"w", shard}}}}),
                  {"\"w\"", "name of a safetensors file"});
  directory.write("model.safetensors.index.json", "{\"weight_map\":");
  expectFailure(Checkpoint::open(directory.path()).status(), {"JSON object"});
}

TEST_F(CheckpointTest, ReportsIncompleteDirectories) {
  expectFailure(Checkpoint::open("/nonexistent").status(),
                {"/nonexistent", "not a directory"});
  expectFailure(Checkpoint::open(directory.path()).status(),
                {"neither model.safetensors"});
  CheckpointDirectory empty;
  expectFailure(Checkpoint::open(empty.path()).status(), {"config.json"});
  empty.write("config.json", "{}");
  expectFailure(Checkpoint::open(empty.path()).status(),
                {"config.json", "model_type"});
}

TEST_F(CheckpointTest, TakesEndTokensOfTheGenerationConfig) {
  Json json = tinyConfig();
  json["eos_token_id"] = 7;
  directory.write("config.json", json.dump());
  directory.write("generation_config.json", "{\"eos_token_id\": [7, 9]}");
  EXPECT_EQ(open().config().eosIds, (std::vector<int64_t>{7, 9}));
  EXPECT_EQ(loadConfig(directory.path())->eosIds.size(), 2u);
  EXPECT_EQ(loadConfig(directory / "config.json")->eosIds.size(), 1u);
  directory.write("generation_config.json", "{\"eos_token_id\": 1000}");
  expectFailure(Checkpoint::open(directory.path()).status(),
                {"generation_config.json", "eos_token_id is 1000"});
}
