//===- GemmRunTest.cpp - Products of many rows against plain loops --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Runs the kernels on the emulator, where copies land and warps advance in
// random order. Rows behind the last are NaN.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTX/Gemm.h"
#include "lowering/NVPTX/RowMap.h"
#include "runtime/base/NumberFormats.h"
#include "test/lowering/nvptx/EmulatedKernel.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace ::dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

struct Case {
  const char *name;
  GemmSpec spec;
  int64_t tokens;
  std::vector<int32_t> offsets; ///< with experts
};

std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.name;
}

/// A random matrix in bf16, or in e4m3 with a scale for each 128 k of each
/// `scaleRows` rows, or two with swiglu; and the values it stands for.
struct Matrix {
  std::vector<float> values;
  DeviceBuffer data{16}, scales{16};
};

uint8_t randomE4m3(std::mt19937 &random) {
  auto bits = static_cast<uint8_t>(random() & 255);
  return (bits & 0x7f) == 0x7f ? 0x38 : bits;
}

Matrix makeMatrix(int64_t rows, int64_t depth, GemmFormat format,
                  int64_t scaleRows, int64_t extraRows, std::mt19937 &random,
                  bool swiglu = false) {
  Matrix matrix;
  matrix.values.resize(rows * depth);
  if (format == GemmFormat::bf16) {
    matrix.values = randomFloats(rows * depth, random);
    std::vector<uint16_t> bits = bf16Of(matrix.values);
    for (size_t i = 0; i < bits.size(); ++i)
      matrix.values[i] = bf16ToFloat(bits[i]);
    matrix.data = DeviceBuffer::of(bits, extraRows * depth);
    return matrix;
  }
  int64_t steps = depth / 128;
  std::vector<uint8_t> bits(rows * depth);
  int64_t kinds = swiglu ? 2 : 1;
  std::vector<float> scales((rows + scaleRows - 1) / scaleRows * kinds * steps);
  for (float &scale : scales)
    scale = static_cast<float>(1 + random() % 7) / 4096;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < depth; ++k) {
      uint8_t &each = bits[row * depth + k] = randomE4m3(random);
      matrix.values[row * depth + k] =
          e4m3ToFloat(each) *
          scales[(row / scaleRows * kinds + row / 8 % kinds) * steps + k / 128];
    }
  matrix.data = DeviceBuffer::of(bits, extraRows * depth);
  matrix.scales = DeviceBuffer::of(scales, extraRows * steps);
  return matrix;
}

class NVPTXGemmRun : public testing::TestWithParam<Case> {};

TEST_P(NVPTXGemmRun, MatchesLoops) {
  const Case &c = GetParam();
  const GemmSpec &spec = c.spec;
  std::string error;
  ASSERT_TRUE(succeeded(checkGemm(spec, error))) << error;
  AssembledKernel kernel(
      [&](ModuleOp module) { return emitGemm(module, c.name, spec); });
  std::mt19937 random(11);

  int64_t rows = spec.experts ? c.offsets.back() : c.tokens;
  int64_t stack = spec.experts ? spec.experts : spec.heads;
  bool fp8 = spec.format == GemmFormat::fp8;
  Matrix x = makeMatrix(rows, spec.heads * spec.depth, spec.format, 1,
                        spec.maxRows - rows, random);
  Matrix w = makeMatrix(stack * spec.rows, spec.depth, spec.format, 128, 0,
                        random, spec.swiglu);
  int64_t columns = spec.swiglu ? spec.rows / 2 : spec.rows;
  std::vector<float> added = randomFloats(rows * spec.heads * columns, random);
  DeviceBuffer residual =
      DeviceBuffer::of(added, (spec.maxRows - rows) * spec.heads * columns);
  DeviceBuffer offsets = DeviceBuffer::of(c.offsets);
  int64_t bytes = spec.output == GemmOutput::f32 ? 4 : 2;
  DeviceBuffer y(spec.maxRows * spec.heads * columns * bytes);

  std::vector<DeviceBuffer *> bindings = {&x.data, &w.data};
  if (fp8)
    bindings.insert(bindings.end(), {&x.scales, &w.scales});
  if (spec.experts)
    bindings.push_back(&offsets);
  if (spec.residual)
    bindings.push_back(&residual);
  bindings.push_back(&y);
  runEmulated(kernel, bindings, {.tokens = c.tokens}, /*seed=*/5,
              /*persistentBlocks=*/2);

  int64_t expert = 0, wrong = 0;
  for (int64_t row = 0; row < rows; ++row) {
    while (spec.experts && c.offsets[expert + 1] <= row)
      ++expert;
    for (int64_t head = 0; head < spec.heads; ++head) {
      int64_t matrix = spec.experts ? expert : head;
      auto dot = [&](int64_t n) {
        double sum = 0;
        for (int64_t k = 0; k < spec.depth; ++k)
          sum += double(x.values[(row * spec.heads + head) * spec.depth + k]) *
                 double(w.values[(matrix * spec.rows + n) * spec.depth + k]);
        return sum;
      };
      for (int64_t n = 0; n < columns; ++n) {
        int64_t at = (row * spec.heads + head) * columns + n;
        double expected;
        if (spec.swiglu) {
          double gate = dot(interleavedRow(n, false));
          expected =
              gate / (1 + std::exp(-gate)) * dot(interleavedRow(n, true));
        } else {
          expected = dot(n);
        }
        if (spec.residual)
          expected += added[at];
        float actual =
            spec.output == GemmOutput::f32
                ? reinterpret_cast<const float *>(y.data())[at]
                : bf16ToFloat(reinterpret_cast<const uint16_t *>(y.data())[at]);
        double tolerance = spec.output == GemmOutput::f32 ? 1e-4 : 5e-3;
        if (!(std::fabs(actual - expected) <=
              tolerance * (1 + std::fabs(expected))) &&
            ++wrong < 5)
          ADD_FAILURE() << "row " << row << " head " << head << " column " << n
                        << ": " << actual << " for " << expected;
      }
    }
  }
  EXPECT_EQ(wrong, 0);
}

/// In the product, SwiGLU has the bits of kernels of its own.
TEST(NVPTXGemmSwiGlu, HasTheBitsOfSeparateKernels) {
  constexpr int64_t tokens = 130, width = 72, depth = 136;
  GemmSpec fused{
      .rows = 2 * width, .depth = depth, .maxRows = tokens, .swiglu = true};
  GemmSpec plain = fused;
  plain.swiglu = false;
  plain.output = GemmOutput::f32;
  std::mt19937 random(12);
  Matrix x = makeMatrix(tokens, depth, GemmFormat::bf16, 1, 0, random);
  Matrix w = makeMatrix(2 * width, depth, GemmFormat::bf16, 128, 0, random);
  DeviceBuffer y(tokens * width * 2), sums(tokens * 2 * width * 4);
  AssembledKernel fusedKernel(
      [&](ModuleOp m) { return emitGemm(m, "fused", fused); });
  AssembledKernel plainKernel(
      [&](ModuleOp m) { return emitGemm(m, "plain", plain); });
  runEmulated(fusedKernel, {&x.data, &w.data, &y}, {.tokens = tokens});
  runEmulated(plainKernel, {&x.data, &w.data, &sums}, {.tokens = tokens});
  std::vector<float> both = sums.read<float>(tokens * 2 * width);
  std::vector<float> halves(both.size());
  for (int64_t row = 0; row < tokens; ++row)
    for (int64_t up = 0; up < 2; ++up)
      for (int64_t n = 0; n < width; ++n)
        halves[(row * 2 + up) * width + n] =
            both[row * 2 * width + interleavedRow(n, up != 0)];
  AssembledKernel swiglu([&](ModuleOp m) {
    return emitSwiGlu(m, "swiglu",
                      {.depth = width, .stride = 2 * width, .upOffset = width});
  });
  DeviceBuffer from = DeviceBuffer::of(halves), expected(tokens * width * 2);
  runEmulated(swiglu, {&from, &from, &expected}, {.tokens = tokens});
  EXPECT_EQ(y.read<uint16_t>(tokens * width),
            expected.read<uint16_t>(tokens * width));
}

INSTANTIATE_TEST_SUITE_P(
    , NVPTXGemmRun,
    testing::Values(
        Case{"bf16",
             {.rows = 136, .depth = 136, .maxRows = 160, .tileColumns = 128},
             150,
             {}},
        Case{"bf16_wide",
             {.rows = 264, .depth = 72, .maxRows = 140, .tileColumns = 256},
             130,
             {}},
        Case{"bf16_narrow",
             {.rows = 200, .depth = 64, .maxRows = 64, .tileColumns = 64},
             40,
             {}},
        Case{"f32_residual",
             {.rows = 136,
              .depth = 328,
              .maxRows = 160,
              .output = GemmOutput::f32,
              .residual = true},
             150,
             {}},
        Case{"heads",
             {.rows = 136,
              .depth = 72,
              .maxRows = 80,
              .heads = 3,
              .tileColumns = 128},
             70,
             {}},
        Case{"swiglu",
             {.rows = 272, .depth = 64, .maxRows = 80, .swiglu = true},
             70,
             {}},
        Case{"swiglu_wide",
             {.rows = 256,
              .depth = 64,
              .maxRows = 80,
              .swiglu = true,
              .tileColumns = 256},
             70,
             {}},
        Case{"experts_swiglu",
             {.rows = 144,
              .depth = 72,
              .maxRows = 300,
              .swiglu = true,
              .experts = 4},
             60,
             {0, 70, 70, 203, 240}},
        Case{"experts_bf16",
             {.rows = 136, .depth = 72, .maxRows = 260, .experts = 3},
             60,
             {0, 128, 131, 240}},
        Case{"experts_f32",
             {.rows = 136,
              .depth = 72,
              .maxRows = 260,
              .output = GemmOutput::f32,
              .experts = 3},
             60,
             {0, 5, 131, 240}},
        Case{"fp8",
             {.rows = 136,
              .depth = 256,
              .maxRows = 160,
              .format = GemmFormat::fp8},
             150,
             {}},
        Case{"fp8_residual",
             {.rows = 136,
              .depth = 384,
              .maxRows = 70,
              .format = GemmFormat::fp8,
              .output = GemmOutput::f32,
              .residual = true},
             70,
             {}},
        Case{"fp8_experts_swiglu",
             {.rows = 256,
              .depth = 128,
              .maxRows = 260,
              .format = GemmFormat::fp8,
              .swiglu = true,
              .experts = 3},
             60,
             {0, 5, 131, 200}}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace
