//===- GgufTest.cpp - Models from GGUF files ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// GGUF files are made of the golden fixtures and must give the same logits:
// as the fixtures say where nothing was rounded, and as a file of the rounded
// values in F32 where weights are kept in groups.
//
//===----------------------------------------------------------------------===//

#include "models/Checkpoint.h"
#include "models/GgufCheckpoint.h"
#include "test/integration/Harness.h"
#include "test/models/CheckpointBuilder.h"
#include "test/models/GgufBuilder.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace dsv2;
using namespace dsv2::test;

namespace {

class GgufTest : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    Result<Checkpoint> opened = Checkpoint::open(fixture);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    checkpoint = *std::move(opened);
  }

  std::string write(const std::string &name, const Config &config,
                    const TensorSource &source, GgufLayout layout) {
    directory.write(name, ggufOf(config, source, layout).bytes());
    return directory / name;
  }

  std::vector<float> logitsOf(const std::string &source,
                              const std::string &flags) {
    std::string artifact = compiled(source, flags);
    EXPECT_FALSE(artifact.empty());
    return Runner(artifact).evaluate(tokens, 512);
  }

  /// Of the median token: quantized activations flip near-tied experts.
  static double medianError(const std::vector<float> &found,
                            const std::vector<float> &expected, int64_t vocab) {
    std::vector<double> errors;
    for (size_t t = 0; t * vocab < expected.size(); ++t)
      errors.push_back(relativeError(found.data() + t * vocab,
                                     expected.data() + t * vocab, vocab));
    std::nth_element(errors.begin(), errors.begin() + errors.size() / 2,
                     errors.end());
    return errors[errors.size() / 2];
  }

  std::string fixture = std::string(DSV2_FIXTURES) + "/" + GetParam();
  std::vector<int32_t> tokens = readIds(fixture + "/tokens.npy").data;
  Array<float> logits = readFloats(fixture + "/logits.npy");
  std::optional<Checkpoint> checkpoint;
  CheckpointDirectory directory;
};

TEST_P(GgufTest, PlainTypesGiveTheLogitsOfTheFixture) {
  for (bool isSplit : {false, true}) {
    std::string file =
        write("plain" + std::to_string(isSplit) + ".gguf", checkpoint->config(),
              *checkpoint, {GgufType::f32, isSplit});
    std::vector<float> found = logitsOf(file, "--target=reference");
    ASSERT_EQ(found.size(), logits.data.size());
    EXPECT_LE(relativeError(found.data(), logits.data.data(), found.size()),
              1e-4);
  }
}

class GgufGroupsTest : public GgufTest {};

TEST_P(GgufGroupsTest, AreKept) {
  for (auto [type, name, flags] :
       {std::tuple(GgufType::q8_0, "q8_0", "--quantize=int8:up-projections"),
        {GgufType::q4_0, "q4_0", ""},
        {GgufType::bf16, "bf16", ""}}) {
    std::string file = write(std::string(name) + ".gguf", checkpoint->config(),
                             *checkpoint, {type, true});
    Result<GgufCheckpoint> gguf = GgufCheckpoint::open(file);
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    std::string values = write(std::string(name) + "-values.gguf",
                               gguf->config(), *gguf, {GgufType::f32, true});
    std::vector<float> expected = logitsOf(values, "--target=reference");
    std::vector<float> found = logitsOf(file, "--target=reference");
    EXPECT_LE(relativeError(found.data(), expected.data(), found.size()), 1e-6)
        << name;
    std::vector<float> native = logitsOf(file, "--target=native");
    EXPECT_LE(medianError(native, expected, logits.width()), 8e-2) << name;
    // Compiling for other formats is possible too.
    std::vector<float> plain =
        logitsOf(file, "--target=reference --quantize=bf16");
    EXPECT_LE(medianError(plain, expected, logits.width()), 3e-2) << name;
    if (*flags) {
      EXPECT_FALSE(logitsOf(file, flags).empty());
    }
  }
}

std::string nameOf(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GgufTest,
                         testing::Values("v2-lite", "v2-grouped", "v3-grouped",
                                         "v3-kimi", "v3-moonlight"),
                         nameOf);

// Without and with a projection of queries to a latent.
INSTANTIATE_TEST_SUITE_P(Fixtures, GgufGroupsTest,
                         testing::Values("v2-lite", "v3-kimi"), nameOf);

} // namespace
