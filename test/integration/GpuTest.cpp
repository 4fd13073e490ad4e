//===- GpuTest.cpp - The whole stack for a GPU, on an emulator ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Fixtures of test/golden, compiled for sm_90a and run by the CUDA driver of
// the runtime, on a libcuda that emulates PTX.
//
//===----------------------------------------------------------------------===//

#include "test/integration/Harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace dsv2::test;

namespace {

std::vector<std::string> fixtureNames() {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(DSV2_FIXTURES))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string nameOf(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// From now on, the emulator is libcuda.so.1 to the process.
void useFakeCuda() {
  ASSERT_TRUE(dlopen(DSV2_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL)) << dlerror();
}

class GpuTest : public testing::TestWithParam<std::string> {
protected:
  static void SetUpTestSuite() { useFakeCuda(); }
  std::string directory() const {
    return std::string(DSV2_FIXTURES) + "/" + GetParam();
  }
};

/// A prompt, then a few tokens more.
TEST_P(GpuTest, Golden) {
  std::string artifact =
      compiled(directory(), "--target=sm_90a --ptxas=none --max-context=256 "
                            "--max-batch-tokens=64 --max-sequences=2");
  ASSERT_FALSE(artifact.empty());
  Array<int32_t> tokens = readIds(directory() + "/tokens.npy");
  Array<float> logits = readFloats(directory() + "/logits.npy");
  // A chunk for each program.
  int64_t count = std::min<int64_t>(tokens.data.size(), 12);
  Runner runner(artifact);
  std::vector<float> found =
      runner.evaluate({tokens.data.begin(), tokens.data.begin() + count}, 10);
  ASSERT_EQ(found.size(), static_cast<size_t>(count * logits.width()));

  // As for the native target: a token whose routing is nearly a tie may take
  // another expert.
  std::vector<double> errors;
  for (int64_t t = 0; t < count; ++t)
    errors.push_back(relativeError(found.data() + t * logits.width(),
                                   logits.row(t), logits.width()));
  std::sort(errors.begin(), errors.end());
  EXPECT_LE(errors[errors.size() / 2], 2e-2);
  RecordProperty("largest_error", std::to_string(errors.back()));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GpuTest, testing::ValuesIn(fixtureNames()),
                         nameOf);

using GpuBatchTest = GpuTest;

/// A sequence gets the same bits alone and beside another.
void expectBatchInvariant(Runner &runner) {
  // Together they are too many for the kernels of few tokens.
  std::vector<int32_t> first = {1, 2, 3, 4, 5}, second = {9, 8, 7, 6};
  std::vector<float> alone = runner.step({{runner.newSequence(), first}});
  std::vector<float> together = runner.step(
      {{runner.newSequence(), second}, {runner.newSequence(), first}});
  ASSERT_EQ(together.size(), alone.size() / 5 * 9);
  EXPECT_TRUE(
      std::equal(alone.begin(), alone.end(), together.end() - alone.size()));
}

TEST_P(GpuBatchTest, BatchInvariant) {
  std::string artifact =
      compiled(directory(), "--target=sm_90a --ptxas=none --max-context=256 "
                            "--max-batch-tokens=64 --max-sequences=2");
  ASSERT_FALSE(artifact.empty());
  Runner runner(artifact);
  expectBatchInvariant(runner);
}

/// The tokens that a sampler chooses after a prompt. With `reads`, from logits
/// that are copied; else from the best of them, or a row where that decides.
std::vector<int32_t> sampled(Runner &runner, dsv2_sampler_options_t options,
                             bool reads) {
  dsv2_sampler_t *sampler = nullptr;
  EXPECT_EQ(dsv2_sampler_create(&options, &sampler), nullptr);
  dsv2_session_t *session = runner.sessionHandle();
  dsv2_sequence_t sequence = runner.newSequence();
  std::vector<int32_t> tokens = {1, 2, 3}, result;
  for (int step = 0; step < 4; ++step) {
    dsv2_sequence_input_t input = {sequence, tokens.data(), tokens.size(),
                                   DSV2_LOGITS_LAST};
    dsv2_logits_t logits = {};
    EXPECT_EQ(dsv2_session_step(session, &input, 1, reads ? &logits : nullptr),
              nullptr);
    int32_t token = -1;
    EXPECT_EQ(
        reads ? dsv2_sampler_sample(sampler, logits.data, logits.vocab, &token)
              : dsv2_session_sample(session, 0, sampler, &token),
        nullptr);
    result.push_back(token);
    tokens = {token};
  }
  dsv2_sampler_release(sampler);
  runner.release(sequence);
  return result;
}

TEST_P(GpuBatchTest, SamplesFromTheBestLogits) {
  std::string artifact =
      compiled(directory(), "--target=sm_90a --ptxas=none --max-context=256 "
                            "--max-batch-tokens=64 --max-sequences=2");
  ASSERT_FALSE(artifact.empty());
  Runner runner(artifact);
  dsv2_sampler_options_t usual = DSV2_SAMPLER_OPTIONS_INIT, all = usual,
                         greedy = usual;
  usual.seed = all.seed = 3;
  all.top_k = 0;
  greedy.temperature = 0;
  for (const dsv2_sampler_options_t &options : {usual, all, greedy})
    EXPECT_EQ(sampled(runner, options, false), sampled(runner, options, true));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GpuBatchTest,
                         testing::Values("v2-lite", "v2-odd-sizes"), nameOf);

/// A small model of the shapes that tensor cores take, with random weights.
constexpr const char *tiledConfig = R"({
  "model_type": "deepseek_v2", "hidden_size": 128, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 4, "q_lora_rank": 128,
  "kv_lora_rank": 128, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "intermediate_size": 192, "moe_intermediate_size": 128,
  "n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1,
  "first_k_dense_replace": 1, "moe_layer_freq": 1, "n_group": 1,
  "topk_group": 1, "topk_method": "greedy", "scoring_func": "softmax",
  "norm_topk_prob": false, "routed_scaling_factor": 1.0, "vocab_size": 128,
  "max_position_embeddings": 1024, "rope_theta": 10000, "rms_norm_eps": 1e-6,
  "hidden_act": "silu", "attention_bias": false, "tie_word_embeddings": false
})";

/// The path of a file with it.
std::string writtenConfig() {
  std::string path =
      testing::TempDir() + "dsv2-tiled-" + std::to_string(getpid()) + ".json";
  std::ofstream(path) << tiledConfig;
  return path;
}

class GpuChunkTest : public testing::Test {
protected:
  static void SetUpTestSuite() { useFakeCuda(); }
};

class GpuTiledTest : public GpuTest {
protected:
  /// Runs `config` on the emulator and on the CPU as the reference, checks that
  /// the median of the relative errors of logits is at most `error`, and that
  /// batches are invariant.
  static void expectLikeTheReference(const std::string &config,
                                     const std::string &options, double error) {
    std::string file =
        testing::TempDir() + "dsv2-tiled-" + std::to_string(getpid()) + ".json";
    std::ofstream(file) << config;
    std::string flags = " --weights=random:7 --max-context=1024"
                        " --max-batch-tokens=64 --max-sequences=2 " +
                        options;
    std::string onGpu = compiled(file, "--target=sm_90a --ptxas=none" + flags);
    std::string onCpu = compiled(file, "--target=reference" + flags);
    std::remove(file.c_str());
    ASSERT_FALSE(onGpu.empty() || onCpu.empty());
    Runner gpu(onGpu), cpu(onCpu);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 12; ++i)
      tokens.push_back(i * 29 % 128);
    std::vector<float> found = gpu.evaluate(tokens, 10);
    std::vector<float> expected = cpu.evaluate(tokens, 10);
    ASSERT_EQ(found.size(), expected.size());
    std::vector<double> errors;
    for (size_t t = 0; t < tokens.size(); ++t)
      errors.push_back(relativeError(&found[t * 128], &expected[t * 128], 128));
    std::sort(errors.begin(), errors.end());
    EXPECT_LE(errors[errors.size() / 2], error);
    RecordProperty("median_error", std::to_string(errors[errors.size() / 2]));
    RecordProperty("largest_error", std::to_string(errors.back()));
    expectBatchInvariant(gpu);
  }
};

/// As on the CPU, in the kernels that are for real models: products of few and
/// of many rows in each format, attention over splits of the context.
TEST_P(GpuTiledTest, LikeTheReference) {
  // Activations are rounded to 8 bits where they meet weights of as many or
  // fewer: to integers, or to e4m3, whose steps are up to 1/8 of a value.
  expectLikeTheReference(tiledConfig, "--quantize=" + GetParam(),
                         GetParam() == "fp8" ? 1e-1 : 3e-2);
}

/// A prompt after a prefix, whose context is cut in chunks, alone and beside
/// others.
TEST_F(GpuChunkTest, LikeTheReference) {
  std::string config = writtenConfig();
  std::string flags = " --weights=random:7 --max-context=1024"
                      " --max-batch-tokens=512 --max-sequences=3";
  // Latents this small would be attended to in either phase.
  std::string onGpu =
      compiled(config, "--target=sm_90a --ptxas=none --attention=expanded"
                       " --context-chunk=128" +
                           flags);
  std::string onCpu = compiled(config, "--target=reference" + flags);
  std::remove(config.c_str());
  ASSERT_FALSE(onGpu.empty() || onCpu.empty());
  Runner gpu(onGpu), cpu(onCpu);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 300; ++i)
    tokens.push_back(i * 29 % 128);
  auto part = [&](size_t first, size_t count) {
    return std::vector<int32_t>(tokens.begin() + first,
                                tokens.begin() + first + count);
  };
  // The last tokens of three sequences, each after some of its own.
  auto evaluate = [&](Runner &runner) {
    dsv2_sequence_t one = runner.newSequence(), two = runner.newSequence(),
                    three = runner.newSequence();
    runner.step({{one, part(0, 110)}, {two, part(50, 150)}});
    std::vector<float> found = runner.step(
        {{one, part(110, 9)}, {two, part(200, 40)}, {three, part(7, 20)}});
    runner.release(one);
    runner.release(two);
    runner.release(three);
    return found;
  };
  std::vector<float> found = evaluate(gpu), expected = evaluate(cpu);
  ASSERT_EQ(found.size(), expected.size());
  std::vector<double> errors;
  for (size_t t = 0; t < 69; ++t)
    errors.push_back(relativeError(&found[t * 128], &expected[t * 128], 128));
  std::sort(errors.begin(), errors.end());
  EXPECT_LE(errors[errors.size() / 2], 2e-2);
  RecordProperty("largest_error", std::to_string(errors.back()));

  dsv2_sequence_t alone = gpu.newSequence();
  gpu.step({{alone, part(50, 150)}});
  std::vector<float> same = gpu.step({{alone, part(200, 40)}});
  EXPECT_TRUE(std::equal(same.begin(), same.end(), found.begin() + 9 * 128));
}

INSTANTIATE_TEST_SUITE_P(Formats, GpuTiledTest,
                         testing::Values("none", "fp8", "int8", "int4"),
                         nameOf);

using GpuCacheTest = GpuTiledTest;

/// Both round latents in the same way.
TEST_P(GpuCacheTest, LikeTheReference) {
  std::string config = tiledConfig, latent = "\"kv_lora_rank\": 128";
  config.replace(config.find(latent), latent.size(), "\"kv_lora_rank\": 512");
  expectLikeTheReference(config, "--cache=" + GetParam(), 4e-2);
}

INSTANTIATE_TEST_SUITE_P(Formats, GpuCacheTest, testing::Values("fp8"), nameOf);

} // namespace
