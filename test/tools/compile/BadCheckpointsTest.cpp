//===- BadCheckpointsTest.cpp - Checkpoints that are not whole ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/RandomTensorSource.h"
#include "test/models/GgufBuilder.h"
#include "test/tools/compile/CompileTest.h"

#include <limits>

using namespace dsv2;
using namespace dsv2::test;
using Json = nlohmann::json;

using BadCheckpointsTest = CompileTest;

static const std::string norm = "model.norm.weight";
static const std::string query = "model.layers.1.self_attn.q_proj.weight";

TEST_F(BadCheckpointsTest, TheGoodOneCompiles) {
  ToolResult result =
      runTool(DSV2_COMPILE " -q " + checkpoint.path() + " -o " + output);
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(std::filesystem::exists(output));
}

TEST_F(BadCheckpointsTest, Files) {
  std::string weights = checkpoint / "model.safetensors";
  uintmax_t size = std::filesystem::file_size(weights);
  for (uintmax_t left : {size - 1, size / 2, uintmax_t(100), uintmax_t(0)}) {
    std::filesystem::resize_file(weights, left);
    expectRefused("model.safetensors");
  }
  std::filesystem::remove(weights);
  expectRefused("model.safetensors");
  std::filesystem::remove(checkpoint / "config.json");
  expectRefused("config.json");
}

TEST_F(BadCheckpointsTest, Shards) {
  RawTensors first, second;
  Json map;
  for (const auto &[name, tensor] : tensors) {
    bool isFirst = first.size() < tensors.size() / 2;
    (isFirst ? first : second)[name] = tensor;
    map[name] = isFirst ? "a.safetensors" : "b.safetensors";
  }
  std::filesystem::remove(checkpoint / "model.safetensors");
  checkpoint.write("a.safetensors", safetensorsImage(first));
  checkpoint.write("model.safetensors.index.json",
                   Json{{"weight_map", map}}.dump());
  expectRefused("b.safetensors");
  std::string image = safetensorsImage(second);
  checkpoint.write("b.safetensors", image.substr(0, image.size() - 2));
  expectRefused("b.safetensors");
  checkpoint.write("model.safetensors.index.json", "{");
  expectRefused("model.safetensors.index.json");
}

TEST_F(BadCheckpointsTest, Tensors) {
  save(tinyConfig(), [](RawTensors &all) { all.erase(query); });
  expectRefused(query);
  save(tinyConfig(), [](RawTensors &all) { all["model.extra"] = all[norm]; });
  expectRefused("model.extra");
  save(tinyConfig(),
       [](RawTensors &all) { all[norm].shape = {2, all[norm].shape[0] / 2}; });
  expectRefused(norm);
  save(tinyConfig(), [](RawTensors &all) { all[norm].dtype = "I16"; });
  expectRefused("I16");
  save(tinyConfig(), [](RawTensors &all) { all[norm].dtype = "X7"; });
  expectRefused("X7");
}

TEST_F(BadCheckpointsTest, NotANumber) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (auto [name, value, flags] :
       {std::tuple(norm, nan, " --target=reference"),
        std::tuple(query, infinity, " --target=reference"),
        std::tuple(query, nan, " --target=avx2"),
        std::tuple(query, infinity, " --target=avx2 --quantize=int8"),
        std::tuple(query, nan, " --target=avx2 --quantize=int4")}) {
    save(tinyConfig(), [&](RawTensors &all) {
      uint16_t bits = floatToBf16(value);
      std::memcpy(all[name].bytes.data() + 20, &bits, sizeof(bits));
    });
    expectCompileError(checkpoint.path() + flags, name);
  }
}

TEST_F(BadCheckpointsTest, Configs) {
  auto refuse = [&](const Json &change, const std::string &part) {
    Json config = tinyConfig();
    config.update(change);
    checkpoint.write("config.json", config.dump());
    expectRefused(part);
    // The same without weights.
    expectCompileError("--weights=none " + (checkpoint / "config.json"), part);
  };
  refuse({{"num_experts_per_tok", 9}}, "num_experts_per_tok");
  refuse({{"n_group", 3}}, "n_group");
  refuse({{"topk_group", 5}}, "topk_group");
  refuse({{"hidden_act", "gelu"}}, "gelu");
  refuse({{"model_type", "llama"}}, "llama");
  refuse({{"kv_lora_rank", -1}}, "kv_lora_rank");
  refuse({{"kv_lora_rank", "many"}}, "kv_lora_rank");
  refuse({{"qk_rope_head_dim", 7}}, "qk_rope_head_dim");
  refuse({{"num_hidden_layers", 0}}, "num_hidden_layers");
  refuse({{"rope_scaling", {{"type", "spiral"}, {"factor", 2}}}}, "spiral");
  refuse({{"topk_method", "best"}}, "best");
  refuse({{"scoring_func", "guess"}}, "guess");
  // Right, but of another model than the tensors.
  Json other = tinyConfig();
  other["hidden_size"] = 96;
  checkpoint.write("config.json", other.dump());
  expectRefused("96");
}

TEST_F(BadCheckpointsTest, OddLatent) {
  Json config = tinyConfig();
  config["kv_lora_rank"] = 31;
  save(config);
  expectCompileError(checkpoint.path() + " --target=avx2",
                     "even size on x86-64, found 31");
  ToolResult result = runTool(DSV2_COMPILE " -q --target=reference " +
                              checkpoint.path() + " -o " + output);
  EXPECT_EQ(result.status, 0) << result;
}

TEST_F(BadCheckpointsTest, MalformedJson) {
  for (const char *text : {"", "{", "[]", "null", "{\"a\":}", "\xff\xfe"}) {
    checkpoint.write("config.json", text);
    expectRefused("config.json");
  }
  save(tinyConfig());
  checkpoint.write("generation_config.json", "{");
  expectRefused("generation_config.json");
  std::filesystem::remove(checkpoint / "generation_config.json");
  checkpoint.write("tokenizer.json", "{");
  expectCompileError(checkpoint.path(), "tokenizer.json");
}

// Damaged GGUF files are refused as damaged checkpoints are.
TEST_F(BadCheckpointsTest, Gguf) {
  Config config = parsed(tinyConfig());
  RandomTensorSource source(config, 1);
  std::string whole = ggufOf(config, source, {GgufType::bf16, true}).bytes();
  auto refuse = [&](const std::string &bytes, const std::string &part) {
    checkpoint.write("model.gguf", bytes);
    expectCompileError(checkpoint / "model.gguf", part);
    expectError(DSV2_IMPORT " " + (checkpoint / "model.gguf"), part);
  };
  refuse("", "not a GGUF file");
  refuse("GGUF", "truncated");
  refuse(whole.substr(0, 1000), "truncated");
  refuse(whole.substr(0, whole.size() - 1), "truncated");
  GgufImage llama;
  llama.text("general.architecture", "llama");
  refuse(llama.bytes(), "expected deepseek2");
  expectCompileError(checkpoint / "absent.gguf", "absent.gguf");

  // Values are seen when they are needed.
  std::string damaged = whole;
  size_t end = damaged.size();
  damaged[end - 1] = 0x7f;
  damaged[end - 2] = '\xc0';
  checkpoint.write("model.gguf", damaged);
  expectCompileError(checkpoint / "model.gguf" + " --target=reference",
                     "NaN or infinity");
}
