//===- GroupedLinearTest.cpp - The linear layers of experts ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/GroupedLinear.h"
#include "test/lowering/x86/PackedOperands.h"
#include "test/lowering/x86/RunKernel.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace dsv2;
using namespace dsv2::test;
using mlir::dsv2::x86::emitGroupedLinear;
using mlir::dsv2::x86::GroupedLinearSpec;

namespace {

class GroupedLinearTest : public testing::TestWithParam<WeightFormat> {
protected:
  /// `slots` has the number of slots of each expert.
  void check(const std::vector<int32_t> &slots, bool gather) {
    uint32_t seed = std::random_device()();
    for (const InstructionSet &set : productSets()) {
      SCOPED_TRACE(set.name.str() + ", seed " + std::to_string(seed));
      Random random(seed);
      checkOn(set, slots, gather, random);
    }
  }

private:
  void checkOn(const InstructionSet &set, const std::vector<int32_t> &slots,
               bool gather, Random &random) {
    constexpr int64_t rows = 75, depth = 100;
    int64_t experts = slots.size();
    std::vector<int32_t> offsets = {0}, active;
    for (int64_t e = 0; e < experts; ++e) {
      offsets.push_back(offsets.back() + slots[e]);
      if (slots[e] > 0)
        active.push_back(e);
    }
    int32_t total = offsets.back(), activeCount = active.size();
    active.resize(experts, -1);

    GroupedLinearSpec spec = {.rows = rows,
                              .depth = depth,
                              .format = GetParam(),
                              .experts = experts,
                              .maxSlots = total,
                              .gather = gather};
    Kernel kernel(set, [&](mlir::ModuleOp module, const InstructionSet &s) {
      return emitGroupedLinear(module, "grouped", s, spec);
    });

    std::vector<int32_t> slotToken(total);
    std::iota(slotToken.begin(), slotToken.end(), 0);
    if (gather)
      for (int32_t &token : slotToken)
        token = random.below(total);
    std::vector<float> x = random.floats(total * depth);
    std::vector<float> w = random.floats(experts * rows * depth);
    Buffer packedX = packRows(rowFormatOf(spec.format), x, depth);
    Buffer packedW = packMatrices(spec.format, w, experts, rows, depth);
    Buffer y(total * rows * sizeof(float));
    std::vector<void *> bindings = {packedX.data(), packedW.data(),
                                    offsets.data(), active.data(),
                                    &activeCount};
    if (gather)
      bindings.push_back(slotToken.data());
    bindings.push_back(y.data());
    kernel(bindings, {.tokens = total});

    EXPECT_TRUE(y.guardIntact());
    for (int64_t e = 0; e < experts; ++e)
      for (int64_t slot = offsets[e]; slot < offsets[e + 1]; ++slot)
        for (int64_t n = 0; n < rows; ++n) {
          Dot dot = dotProduct(x.data() + slotToken[slot] * depth,
                               w.data() + (e * rows + n) * depth, depth);
          ASSERT_NEAR(y.as<float>()[slot * rows + n], dot.sum,
                      1e-6 * dot.magnitude)
              << "expert " << e << " slot " << slot << " row " << n;
        }
  }
};

TEST_P(GroupedLinearTest, GathersTokens) {
  check({3, 0, 1, 17, 0, 0, 6}, /*gather=*/true);
}

TEST_P(GroupedLinearTest, ReadsSlots) { check({0, 9, 2, 0}, /*gather=*/false); }

TEST_P(GroupedLinearTest, OneExpert) { check({1}, /*gather=*/true); }

INSTANTIATE_TEST_SUITE_P(Formats, GroupedLinearTest,
                         testing::ValuesIn(allWeightFormats),
                         [](auto &info) { return formatName(info.param); });

} // namespace
