//===- GateUpTest.cpp - SwiGLU in the products it takes -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/GroupedLinear.h"
#include "lowering/X86/Linear.h"
#include "lowering/X86/RowMap.h"
#include "test/lowering/x86/PackedOperands.h"
#include "test/lowering/x86/RunKernel.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace dsv2;
using namespace dsv2::test;
using namespace mlir::dsv2::x86;

namespace {

constexpr int64_t columns = 96, depth = 100;
/// More than the rows that are taken at once.
constexpr std::array<int32_t, 4> slots = {0, 131, 7, 1};

/// What the products and the SwiGLU give one after the other, and together.
class GateUpTest : public testing::TestWithParam<WeightFormat> {
protected:
  using EmitProduct = std::function<mlir::dsv2::x86::KernelInfo(
      mlir::ModuleOp, const InstructionSet &, std::optional<RowFormat>)>;

  /// `inputs` are the bindings of the product but for its result.
  void check(const InstructionSet &set, const EmitProduct &emit,
             const std::vector<void *> &inputs, int64_t rows) {
    auto run = [&](std::optional<RowFormat> swiglu, void *output) {
      Kernel kernel(set, [&](mlir::ModuleOp module, const InstructionSet &s) {
        return emit(module, s, swiglu);
      });
      std::vector<void *> bindings = inputs;
      bindings.push_back(output);
      kernel(bindings, {.tokens = rows});
    };
    Buffer products(rows * 2 * columns * sizeof(float));
    run(std::nullopt, products.data());
    for (RowFormat format :
         {RowFormat::f32, RowFormat::bf16, RowFormat::int8}) {
      SwiGluSpec spec;
      spec.tokens = rows;
      spec.depth = columns;
      spec.stride = 2 * columns;
      spec.upOffset = columns;
      spec.format = format;
      Kernel swiglu(set, [&](mlir::ModuleOp module, const InstructionSet &s) {
        return emitSwiGlu(module, "swiglu", s, spec);
      });
      size_t bytes = rows * rowBytes(format, columns);
      Buffer expected(bytes), found(bytes);
      swiglu({products.data(), products.data(), expected.data()},
             {.tokens = rows});
      run(format, found.data());
      EXPECT_TRUE(found.guardIntact());
      for (int64_t row = 0; row < rows; ++row) {
        size_t start = row * rowBytes(format, columns);
        size_t used = format == RowFormat::int8
                          ? sumsOffset(columns) + columns / groupSize * 4
                          : rowBytes(format, columns);
        ASSERT_EQ(std::memcmp(found.as<char>() + start,
                              expected.as<char>() + start, used),
                  0)
            << "row " << row << " of format " << int(format);
      }
    }
  }
};

TEST_P(GateUpTest, Experts) {
  uint32_t seed = std::random_device()();
  Random random(seed);
  std::vector<int32_t> offsets = {0}, active = {1, 2, 3, -1};
  for (int32_t count : slots)
    offsets.push_back(offsets.back() + count);
  int32_t total = offsets.back(), activeCount = 3;
  std::vector<int32_t> slotToken(total);
  for (int32_t &token : slotToken)
    token = random.below(total);
  std::vector<float> x = random.floats(total * depth);
  std::vector<float> w = random.floats(slots.size() * 2 * columns * depth);
  Buffer packedX = packRows(rowFormatOf(GetParam()), x, depth);
  Buffer packedW =
      packMatrices(GetParam(), w, slots.size(), 2 * columns, depth);
  for (const InstructionSet &set : productSets()) {
    SCOPED_TRACE(set.name.str() + ", seed " + std::to_string(seed));
    check(
        set,
        [&](auto module, auto &s, std::optional<RowFormat> swiglu) {
          GroupedLinearSpec spec = {.rows = 2 * columns,
                                    .depth = depth,
                                    .format = GetParam(),
                                    .experts = slots.size(),
                                    .maxSlots = total,
                                    .gather = true,
                                    .swiglu = swiglu};
          return emitGroupedLinear(module, "product", s, spec);
        },
        {packedX.data(), packedW.data(), offsets.data(), active.data(),
         &activeCount, slotToken.data()},
        total);
  }
}

TEST_P(GateUpTest, Dense) {
  constexpr int64_t tokens = 300; // more than a workgroup takes
  uint32_t seed = std::random_device()();
  Random random(seed);
  std::vector<float> x = random.floats(tokens * depth);
  std::vector<float> w = random.floats(2 * columns * depth);
  Buffer packedX = packRows(rowFormatOf(GetParam()), x, depth);
  Buffer packedW = packMatrices(GetParam(), w, 1, 2 * columns, depth);
  for (const InstructionSet &set : productSets()) {
    SCOPED_TRACE(set.name.str() + ", seed " + std::to_string(seed));
    check(
        set,
        [&](auto module, auto &s, std::optional<RowFormat> swiglu) {
          LinearSpec spec = {.rows = 2 * columns,
                             .depth = depth,
                             .format = GetParam(),
                             .maxTokens = tokens,
                             .swiglu = swiglu};
          return emitLinear(module, "product", s, spec);
        },
        {packedX.data(), packedW.data()}, tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, GateUpTest,
                         testing::ValuesIn(allWeightFormats),
                         [](auto &info) { return formatName(info.param); });

} // namespace
