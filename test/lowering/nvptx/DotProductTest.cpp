//===- DotProductTest.cpp - Matrix products of any shape ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/DotProduct.h"
#include "lowering/NVPTX/Fill.h"
#include "lowering/NVPTX/RouterProduct.h"
#include "runtime/base/NumberFormats.h"
#include "test/lowering/nvptx/EmulatedKernel.h"
#include "test/lowering/nvptx/SassOpcodes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

AssembledKernel assembled(const DotProductSpec &spec) {
  return AssembledKernel(
      [&](ModuleOp module) { return emitDotProduct(module, "dot", spec); });
}

TEST(DotProductTest, RouterInFloat32) {
  AssembledKernel kernel = assembled({.rows = 64,
                                      .depth = 2048,
                                      .bf16Weight = false,
                                      .inputStride = 2048,
                                      .outputStride = 64});
  kernel.expectPtx({"ld.global.v4.b32", "fma.rn.f32", "shfl.sync.bfly"});
  kernel.expectClean({{"SHFL", 20}});
}

TEST(DotProductTest, HeadsAndResidual) {
  assembled({.rows = 512,
             .depth = 128,
             .bf16Input = true,
             .bf16Output = true,
             .heads = 16,
             .inputStride = 2048,
             .inputHeadStride = 128,
             .outputStride = 16 * 576,
             .outputHeadStride = 576})
      .expectClean();
  assembled({.rows = 100,
             .depth = 99,
             .residual = true,
             .dim = Dim::logitRows,
             .inputStride = 99,
             .outputStride = 100,
             .residualStride = 100})
      .expectClean();
}

TEST(DotProductTest, Experts) {
  assembled({.rows = 2816,
             .depth = 2048,
             .bf16Input = true,
             .experts = 64,
             .slotsPerToken = 6,
             .gather = true,
             .inputStride = 2048,
             .outputStride = 2816})
      .expectClean();
}

/// f32 or bf16 numbers in a buffer, and what they are.
struct Numbers {
  std::vector<float> values;
  DeviceBuffer data{16};

  Numbers(int64_t count, bool isBf16, std::mt19937 &random)
      : values(randomFloats(count, random)) {
    if (isBf16)
      for (float &value : values)
        value = bf16ToFloat(floatToBf16(value));
    data = isBf16 ? DeviceBuffer::of(bf16Of(values)) : DeviceBuffer::of(values);
  }
};

struct Case {
  const char *name;
  DotProductSpec spec;
  int64_t tokens;
  std::vector<int32_t> offsets; ///< with experts
};

std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.name;
}

class DotProductRun : public testing::TestWithParam<Case> {};

TEST_P(DotProductRun, MatchesLoops) {
  const Case &c = GetParam();
  const DotProductSpec &spec = c.spec;
  std::mt19937 random(3);
  int64_t rows = c.tokens * spec.slotsPerToken;
  int64_t stack = spec.experts ? spec.experts : spec.heads;
  Numbers x(rows * spec.inputStride, spec.bf16Input, random);
  Numbers w(stack * spec.rows * spec.depth, spec.bf16Weight, random);
  Numbers added(rows * std::max<int64_t>(spec.residualStride, 1), false,
                random);
  std::vector<int32_t> slots;
  for (int64_t row = 0; row < rows; ++row)
    slots.push_back(static_cast<int32_t>(random() % c.tokens));
  DeviceBuffer offsets = DeviceBuffer::of(c.offsets),
               slotToken = DeviceBuffer::of(slots),
               y(rows * spec.outputStride * (spec.bf16Output ? 2 : 4));
  std::vector<DeviceBuffer *> bindings = {&x.data, &w.data};
  if (spec.experts)
    bindings.push_back(&offsets);
  if (spec.gather)
    bindings.push_back(&slotToken);
  if (spec.residual)
    bindings.push_back(&added.data);
  bindings.push_back(&y);
  runEmulated(assembled(spec), bindings,
              {.tokens = c.tokens, .logitRows = c.tokens});

  int64_t expert = 0;
  for (int64_t row = 0; row < rows; ++row) {
    while (spec.experts && c.offsets[expert + 1] <= row)
      ++expert;
    int64_t from = spec.gather ? slots[row] : row;
    for (int64_t head = 0; head < spec.heads; ++head)
      for (int64_t n = 0; n < spec.rows; ++n) {
        double sum =
            spec.residual ? added.values[row * spec.residualStride + n] : 0;
        int64_t matrix = spec.experts ? expert : head;
        for (int64_t k = 0; k < spec.depth; ++k)
          sum += double(x.values[from * spec.inputStride +
                                 head * spec.inputHeadStride + k]) *
                 w.values[(matrix * spec.rows + n) * spec.depth + k];
        int64_t at = row * spec.outputStride + head * spec.outputHeadStride + n;
        float found =
            spec.bf16Output
                ? bf16ToFloat(reinterpret_cast<uint16_t *>(y.data())[at])
                : reinterpret_cast<float *>(y.data())[at];
        double allowed = spec.bf16Output ? 5e-3 : 1e-5;
        ASSERT_NEAR(found, sum, allowed * (1 + std::fabs(sum)))
            << "row " << row << " head " << head << " column " << n;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(NVPTX, DotProductRun,
                         testing::Values(Case{"router",
                                              {.rows = 10,
                                               .depth = 72,
                                               .bf16Weight = false,
                                               .inputStride = 72,
                                               .outputStride = 10},
                                              6,
                                              {}},
                                         Case{"logits",
                                              {.rows = 13,
                                               .depth = 37,
                                               .bf16Input = true,
                                               .residual = true,
                                               .dim = Dim::logitRows,
                                               .inputStride = 41,
                                               .outputStride = 15,
                                               .residualStride = 14},
                                              5,
                                              {}},
                                         Case{"heads",
                                              {.rows = 12,
                                               .depth = 20,
                                               .bf16Input = true,
                                               .bf16Output = true,
                                               .heads = 3,
                                               .inputStride = 72,
                                               .inputHeadStride = 24,
                                               .outputStride = 60,
                                               .outputHeadStride = 20},
                                              3,
                                              {}},
                                         Case{"experts",
                                              {.rows = 9,
                                               .depth = 40,
                                               .bf16Input = true,
                                               .experts = 5,
                                               .slotsPerToken = 2,
                                               .gather = true,
                                               .inputStride = 40,
                                               .outputStride = 9},
                                              4,
                                              {0, 3, 3, 4, 4, 8}}));

TEST(FillTest, WritesSmallNumbersInEveryFormat) {
  AssembledKernel kernel([](ModuleOp module) { return emitFill(module); });
  kernel.expectPtx({"st.global.v4.b32"});
  kernel.expectClean({{"STG", 1}});
  constexpr int64_t units = 300;
  DeviceBuffer weight(units * 16);
  runEmulated(kernel, {&weight}, {.tokens = units});
  std::set<uint32_t> different;
  for (uint32_t word : weight.read<uint32_t>(units * 4))
    different.insert(word);
  EXPECT_GT(different.size(), 1000u);
  for (uint16_t half : weight.read<uint16_t>(units * 8))
    EXPECT_LE(std::fabs(bf16ToFloat(half)), 1.0f);
  for (uint8_t byte : weight.read<uint8_t>(units * 16))
    EXPECT_FALSE(std::isnan(::dsv2::e4m3ToFloat(byte)));
  for (float value : weight.read<float>(units * 4))
    EXPECT_LE(std::fabs(value), 1.0f);
}

TEST(RouterProductTest, MatchesLoops) {
  for (bool norm : {false, true}) {
    constexpr int64_t rows = 12, depth = 2560, stride = 2600, tokens = 6;
    std::mt19937 random(19);
    std::vector<float> x = randomFloats(tokens * stride, random),
                       w = randomFloats(rows * depth, random),
                       gamma = randomFloats(depth, random), first;
    for (int64_t tileRows : {1, 4}) {
      RouterProductSpec spec{.rows = rows,
                             .depth = depth,
                             .stride = stride,
                             .norm = norm,
                             .epsilon = 1e-6f,
                             .tileRows = tileRows};
      AssembledKernel kernel(
          [&](ModuleOp m) { return emitRouterProduct(m, "router", spec); });
      kernel.expectClean();
      if (kernel.assembly()) {
        std::vector<char> cubin(kernel.assembly()->cubin.begin(),
                                kernel.assembly()->cubin.end());
        EXPECT_GE(countSassOpcodes(cubin, "ACQBULK")["LDG"], 3);
      }
      DeviceBuffer xs = DeviceBuffer::of(x), ws = DeviceBuffer::of(w),
                   gammas = DeviceBuffer::of(gamma), y(tokens * rows * 4);
      std::vector<DeviceBuffer *> bindings = {&xs, &ws};
      if (norm)
        bindings.push_back(&gammas);
      bindings.push_back(&y);
      runEmulated(kernel, bindings, {.tokens = tokens});
      std::vector<float> out = y.read<float>(tokens * rows);
      if (first.empty())
        first = out;
      EXPECT_EQ(out, first); // the same bits
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t n = 0; n < rows; ++n) {
          double sum = 0, squares = 0;
          for (int64_t k = 0; k < depth; ++k) {
            double value = x[t * stride + k];
            squares += value * value;
            sum += value * w[n * depth + k] * (norm ? gamma[k] : 1);
          }
          if (norm)
            sum /= std::sqrt(squares / depth + 1e-6);
          ASSERT_NEAR(out[t * rows + n], sum, 1e-4) << t << " " << n;
        }
    }
  }
}

} // namespace
