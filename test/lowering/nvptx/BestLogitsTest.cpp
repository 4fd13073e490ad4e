//===- BestLogitsTest.cpp - The best logits against a sort ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/BestLogits.h"
#include "runtime/base/LogitCandidate.h"
#include "test/lowering/nvptx/EmulatedKernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;
using ::dsv2::LogitCandidate;

namespace {

/// The lists of rows of logits.
std::vector<std::vector<LogitCandidate>>
listed(const std::vector<float> &logits, int64_t depth) {
  BestLogitsSpec spec{.depth = depth};
  AssembledKernel maxima(
      [&](ModuleOp m) { return emitGroupMaxima(m, "maxima", spec); });
  AssembledKernel best(
      [&](ModuleOp m) { return emitBestLogits(m, "best", spec); });
  maxima.expectClean();
  best.expectClean();
  int64_t rows = static_cast<int64_t>(logits.size()) / depth;
  DeviceBuffer x = DeviceBuffer::of(logits), groups(rows * spec.groups() * 4),
               lists(rows * spec.rowBytes());
  StepSizes sizes;
  sizes.logitRows = rows;
  runEmulated(maxima, {&x, &groups}, sizes);
  runEmulated(best, {&x, &groups, &lists}, sizes, 2);
  std::vector<std::vector<LogitCandidate>> result;
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t *at = lists.data() + row * spec.rowBytes();
    int32_t count;
    std::memcpy(&count, at, sizeof(count));
    EXPECT_GE(count, 0);
    EXPECT_LE(count, spec.most);
    std::vector<LogitCandidate> list(count);
    std::memcpy(list.data(), at + ::dsv2::LogitCandidates::headerBytes,
                count * sizeof(LogitCandidate));
    result.push_back(std::move(list));
  }
  return result;
}

void expectBest(const std::vector<LogitCandidate> &found, const float *logits,
                int64_t depth) {
  std::vector<int32_t> order(depth);
  std::iota(order.begin(), order.end(), 0);
  auto valueOf = [&](int32_t id) {
    return std::isnan(logits[id]) ? -INFINITY : logits[id];
  };
  std::ranges::stable_sort(
      order, [&](int32_t a, int32_t b) { return valueOf(a) > valueOf(b); });
  ASSERT_EQ(found.size(), std::min<size_t>(64, depth));
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].id, order[i]) << "place " << i;
    if (!std::isnan(logits[order[i]]))
      ASSERT_EQ(found[i].logit, logits[order[i]]);
  }
}

TEST(NVPTXBestLogits, AreThoseOfASort) {
  for (int64_t depth : {int64_t(7), int64_t(100), int64_t(2048), int64_t(5001),
                        int64_t(102400)}) {
    SCOPED_TRACE(depth);
    std::mt19937 random(static_cast<unsigned>(depth));
    int64_t rows = depth < 10000 ? 3 : 1;
    std::vector<float> logits = randomFloats(rows * depth, random);
    // Equals, also across groups, and what no number is.
    for (int64_t i = 0; i < depth; i += 97)
      logits[i] = std::round(logits[i] * 4) / 4 + 1;
    logits[depth / 2] = NAN;
    logits[depth / 3] = -INFINITY;
    auto lists = listed(logits, depth);
    for (int64_t row = 0; row < rows; ++row)
      expectBest(lists[row], &logits[row * depth], depth);
  }
}

TEST(NVPTXBestLogits, ZerosAreEqual) {
  constexpr int64_t depth = 4096;
  std::vector<float> logits(depth, -1.0f);
  for (int64_t i = 0; i < 70; ++i)
    logits[1000 + i * 40] = 0.0f;
  logits[5] = logits[1001] = -0.0f;
  expectBest(listed(logits, depth)[0], logits.data(), depth);
}

TEST(NVPTXBestLogits, SaysWhenTooManyAreEqual) {
  constexpr int64_t depth = 102400; // groups of 64 columns
  std::vector<float> logits(2 * depth, 0.5f);
  // Of the second row one group is better by itself.
  for (int64_t i = 0; i < 100; ++i)
    logits[depth + i * 80] = 1 + static_cast<float>(i);
  auto lists = listed(logits, depth);
  EXPECT_TRUE(lists[0].empty());
  expectBest(lists[1], &logits[depth], depth);
}

} // namespace
