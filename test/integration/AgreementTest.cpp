//===- AgreementTest.cpp - One model, many ways to run it -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Chunk sizes, batches, threads and forms of attention must not matter: the
// first three to the bit where the same program runs, the last to rounding.
//
//===----------------------------------------------------------------------===//

#include "test/integration/Harness.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace dsv2::test;

namespace {

const std::string fixture = std::string(DSV2_FIXTURES) + "/v2-grouped";

class AgreementTest : public testing::TestWithParam<std::string> {
protected:
  std::string artifact = compiled(fixture, GetParam());
  std::vector<int32_t> tokens = readIds(fixture + "/tokens.npy").data;

  /// How far the two forms of attention may be apart for the median token:
  /// they round at different places, and with quantized weights each later
  /// product also rounds its inputs to eight bits.
  double tolerance() const {
    if (GetParam().find("reference") != std::string::npos)
      return 1e-5;
    bool int8 = GetParam().find("quantize") != std::string::npos ||
                GetParam().find("cache") != std::string::npos;
    return int8 ? 8e-2 : 2e-2;
  }

  /// The largest relative error of a token's logits.
  static double worst(const std::vector<float> &a, const std::vector<float> &b,
                      int64_t vocab) {
    double error = 0;
    for (size_t t = 0; t * vocab < b.size(); ++t)
      error = std::max(error, relativeError(a.data() + t * vocab,
                                            b.data() + t * vocab, vocab));
    return error;
  }

  /// Runs prompts, and then a step of one token each, alone and together. Those
  /// of at least `exactFrom` tokens have the same bits in both.
  void expectSameAlone(const std::vector<int64_t> &lengths, int64_t exactFrom) {
    Runner runner(artifact);
    std::vector<std::vector<float>> alone, aloneNext;
    for (int64_t length : lengths) {
      dsv2_sequence_t sequence = runner.newSequence();
      alone.push_back(
          runner.step({{sequence, {tokens.begin(), tokens.begin() + length}}}));
      aloneNext.push_back(runner.step({{sequence, {tokens[length]}}}));
    }
    std::vector<Runner::Input> prompts, nexts;
    for (int64_t length : lengths) {
      dsv2_sequence_t sequence = runner.newSequence();
      prompts.push_back({sequence, {tokens.begin(), tokens.begin() + length}});
      nexts.push_back({sequence, {tokens[length]}});
    }
    std::vector<float> together = runner.step(prompts);
    std::vector<float> togetherNext = runner.step(nexts);
    int64_t vocab = runner.vocab(), row = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      std::vector<float> mine(together.begin() + row * vocab,
                              together.begin() + (row + lengths[i]) * vocab);
      row += lengths[i];
      if (lengths[i] < exactFrom) {
        EXPECT_LE(worst(mine, alone[i], vocab), 2.5 * tolerance());
        continue;
      }
      EXPECT_EQ(mine, alone[i]) << "prompt of " << lengths[i];
      std::vector<float> next(togetherNext.begin() + i * vocab,
                              togetherNext.begin() + (i + 1) * vocab);
      EXPECT_EQ(next, aloneNext[i]) << "after a prompt of " << lengths[i];
    }
  }
};

TEST_P(AgreementTest, ChunksAgree) {
  Runner runner(artifact);
  std::vector<float> whole = runner.evaluate(tokens, 512);
  for (int64_t chunk : {1, 63, 64, 65, 127, 128, 129}) {
    std::vector<float> found = runner.evaluate(tokens, chunk);
    ASSERT_EQ(found.size(), whole.size());
    // Chunks of one run the latent form, which rounds elsewhere; its flips of
    // near-tied experts are allowed for by comparing the median token.
    std::vector<double> errors;
    int64_t vocab = runner.vocab();
    for (size_t t = 0; t * vocab < whole.size(); ++t)
      errors.push_back(relativeError(found.data() + t * vocab,
                                     whole.data() + t * vocab, vocab));
    std::nth_element(errors.begin(), errors.begin() + errors.size() / 2,
                     errors.end());
    EXPECT_LE(errors[errors.size() / 2], tolerance()) << "chunk " << chunk;
  }
}

// The decode program takes queries of at least 8 tokens, the prefill program
// those of more than 64. Enough sequences for the variants of kernels that are
// for many tokens.
TEST_P(AgreementTest, BatchEqualsSequencesAlone) {
  expectSameAlone({1, 7, 3, 8, 5, 2, 4, 6, 1, 8, 3}, 1);
  // A prompt that is short enough runs the decode program when it is alone.
  expectSameAlone({1, 70, 7, 65, 90, 66}, 65);
}

TEST_P(AgreementTest, RunsAndThreadsAreBitEqual) {
  Runner one(artifact, 1), two(artifact, 2), four(artifact, 4);
  std::vector<float> first = two.evaluate(tokens, 48);
  EXPECT_EQ(two.evaluate(tokens, 48), first);
  EXPECT_EQ(one.evaluate(tokens, 48), first);
  EXPECT_EQ(four.evaluate(tokens, 48), first);
  EXPECT_EQ(one.evaluate(tokens, 1), two.evaluate(tokens, 1));
}

TEST(FormsTest, LatentAndExpandedAgree) {
  std::vector<int32_t> tokens = readIds(fixture + "/tokens.npy").data;
  for (auto [target, tolerance] :
       {std::pair("--target=reference", 1e-5), {"--target=native", 2e-2}}) {
    std::string flags = target;
    Runner latent(compiled(fixture, flags + " --attention=latent"));
    Runner expanded(compiled(fixture, flags + " --attention=expanded"));
    std::vector<float> a = latent.evaluate(tokens, 512);
    std::vector<float> b = expanded.evaluate(tokens, 512);
    ASSERT_EQ(a.size(), b.size());
    int64_t vocab = latent.vocab();
    std::vector<double> errors;
    for (size_t t = 0; t * vocab < b.size(); ++t)
      errors.push_back(
          relativeError(a.data() + t * vocab, b.data() + t * vocab, vocab));
    std::nth_element(errors.begin(), errors.begin() + errors.size() / 2,
                     errors.end());
    EXPECT_LE(errors[errors.size() / 2], tolerance) << target;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Targets, AgreementTest,
    testing::Values("--target=reference", "--target=native",
                    "--target=x86-64-v3", "--quantize=int8", "--quantize=int4",
                    "--cache=int8", "--target=reference --cache=int8"),
    [](const auto &info) {
      std::string name = info.param.substr(2);
      std::replace_if(
          name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
          '_');
      return name;
    });

/// Caches of int8 lie differently in memory, but stand for the same numbers.
TEST(Int8Cache, IsThatOfTheReference) {
  std::vector<int32_t> tokens = readIds(fixture + "/tokens.npy").data;
  Runner reference(compiled(fixture, "--target=reference --cache=int8"));
  Runner fast(compiled(fixture, "--cache=int8"));
  EXPECT_EQ(fast.modelInfo().kv_bytes_per_token,
            reference.modelInfo().kv_bytes_per_token);
  for (int64_t chunk : {512, 1}) {
    std::vector<float> a = reference.evaluate(tokens, chunk);
    std::vector<float> b = fast.evaluate(tokens, chunk);
    std::vector<double> errors;
    int64_t vocab = reference.vocab();
    for (size_t t = 0; t * vocab < a.size(); ++t)
      errors.push_back(
          relativeError(b.data() + t * vocab, a.data() + t * vocab, vocab));
    std::nth_element(errors.begin(), errors.begin() + errors.size() / 2,
                     errors.end());
    EXPECT_LE(errors[errors.size() / 2], 4e-2) << "chunk " << chunk;
  }
}

} // namespace
