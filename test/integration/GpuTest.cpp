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
#include <dlfcn.h>
#include <filesystem>

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

class GpuTest : public testing::TestWithParam<std::string> {
protected:
  static void SetUpTestSuite() {
    // From now on, this is libcuda.so.1 to the process.
    ASSERT_TRUE(dlopen(DSV2_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL)) << dlerror();
  }
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
TEST_P(GpuBatchTest, BatchInvariant) {
  std::string artifact =
      compiled(directory(), "--target=sm_90a --ptxas=none --max-context=256 "
                            "--max-batch-tokens=64 --max-sequences=2");
  ASSERT_FALSE(artifact.empty());
  Runner runner(artifact);
  std::vector<int32_t> first = {1, 2, 3, 4, 5}, second = {9, 8, 7};
  std::vector<float> alone = runner.step({{runner.newSequence(), first}});
  std::vector<float> together = runner.step(
      {{runner.newSequence(), second}, {runner.newSequence(), first}});
  ASSERT_EQ(together.size(), alone.size() / 5 * 8);
  EXPECT_TRUE(
      std::equal(alone.begin(), alone.end(), together.end() - alone.size()));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GpuBatchTest,
                         testing::Values("v2-lite", "v2-odd-sizes"), nameOf);

} // namespace
