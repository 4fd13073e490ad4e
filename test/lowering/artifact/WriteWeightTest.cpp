//===- WriteWeightTest.cpp - Weights in the formats of GPU kernels --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/WeightEvaluator.h"
#include "runtime/base/NumberFormats.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Result;
using ::dsv2::Status;
using ::dsv2::TensorInfo;

namespace {

constexpr int64_t depth = 256;

/// "a" and "b" are e4m3; anything else is plain numbers.
class Source final : public ::dsv2::TensorSource {
public:
  static uint8_t quant(std::string_view name, int64_t index) {
    return static_cast<uint8_t>((index * 37 + name[0]) % 0x7f);
  }
  static float scale(std::string_view name, int64_t row, int64_t block) {
    return static_cast<float>(name[0] + row / 128 * 2 + block);
  }
  static float value(int64_t index) {
    return std::sin(static_cast<float>(index)) *
           static_cast<float>(1 + index / 1000);
  }

  Result<TensorInfo> info(std::string_view name) const override {
    TensorInfo info;
    info.shape = {name == "c" ? 260 : name == "a" ? 128 : 64, depth};
    info.hasFp8 = name != "c";
    return info;
  }
  Status readRows(std::string_view name, int64_t first, int64_t rows,
                  float *out) const override {
    EXPECT_EQ(name, "c") << "quants are to be read as they are";
    for (int64_t i = 0; i < rows * depth; ++i)
      out[i] = value(first * depth + i);
    return Status();
  }
  Status readFp8(std::string_view name, int64_t first, int64_t rows,
                 uint8_t *quants, float *scales) const override {
    for (int64_t i = 0; i < rows * depth; ++i)
      quants[i] = quant(name, first * depth + i);
    for (int64_t i = 0; i < rows * 2; ++i)
      scales[i] = scale(name, first + i / 2, i % 2);
    return Status();
  }
};

class WriteWeightTest : public testing::Test {
protected:
  WriteWeightTest() {
    context.loadDialect<DSV2Dialect, tensor::TensorDialect>();
  }
  /// The bytes of the weight @w of `text`.
  std::vector<std::byte> write(const std::string &text) {
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(text, ParserConfig(&context));
    std::vector<std::byte> bytes;
    if (!module) {
      ADD_FAILURE() << "the IR does not parse";
      return bytes;
    }
    auto weight = module->lookupSymbol<WeightOp>("w");
    EXPECT_TRUE(succeeded(writeWeight(
        weight, Source(), /*threads=*/2, [&](std::span<const std::byte> part) {
          bytes.insert(bytes.end(), part.begin(), part.end());
          return Status();
        })));
    EXPECT_EQ(bytes.size(), weightBytes(weight.getWeightType()));
    return bytes;
  }
  static float floatAt(const std::vector<std::byte> &bytes, int64_t offset) {
    float value;
    std::memcpy(&value, &bytes[offset], sizeof(value));
    return value;
  }

  MLIRContext context;
};

TEST_F(WriteWeightTest, Fp8OfACheckpointIsKept) {
  std::vector<std::byte> bytes = write(R"(
    !a = tensor<128x256xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !b = tensor<64x256xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !c = tensor<192x256xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !p = tensor<192x256xf8E4M3FN, #dsv2.panels<1, #dsv2.block_fp8<128x128>>>
    dsv2.weight @a : !a from "a"
    dsv2.weight @b : !b from "b"
    dsv2.weight @w : !p {
      %a = dsv2.get_weight @a : !a
      %b = dsv2.get_weight @b : !b
      %c = tensor.concat dim(0) %a, %b : (!a, !b) -> !c
      %p = dsv2.pack_weight %c : !c -> !p
      dsv2.yield %p : !p
    })");
  constexpr int64_t quants = 192 * depth;
  ASSERT_EQ(bytes.size(), static_cast<size_t>(quants + 2 * 2 * 4));
  for (int64_t i = 0; i < quants; ++i) {
    bool second = i >= 128 * depth;
    ASSERT_EQ(static_cast<uint8_t>(bytes[i]),
              Source::quant(second ? "b" : "a", i - second * 128 * depth))
        << i;
  }
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_EQ(floatAt(bytes, quants + 4 * i),
              Source::scale(i < 2 ? "a" : "b", 0, i % 2));
}

/// Shared experts are columns of a matrix: their blocks stay what they are.
TEST_F(WriteWeightTest, ColumnsOfFp8AreKept) {
  std::vector<std::byte> bytes = write(R"(
    !a = tensor<128x256xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !s = tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !m = tensor<1x128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !c = tensor<2x128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !p = tensor<2x128x128xf8E4M3FN, #dsv2.panels<1, #dsv2.block_fp8<128x128>>>
    dsv2.weight @a : !a from "a"
    dsv2.weight @w : !p {
      %a = dsv2.get_weight @a : !a
      %0 = tensor.extract_slice %a[0, 0] [128, 128] [1, 1] : !a to !s
      %1 = tensor.extract_slice %a[0, 128] [128, 128] [1, 1] : !a to !s
      %2 = tensor.expand_shape %0 [[0, 1], [2]] output_shape [1, 128, 128] : !s into !m
      %3 = tensor.expand_shape %1 [[0, 1], [2]] output_shape [1, 128, 128] : !s into !m
      %c = tensor.concat dim(0) %2, %3 : (!m, !m) -> !c
      %p = dsv2.pack_weight %c : !c -> !p
      dsv2.yield %p : !p
    })");
  constexpr int64_t quants = 2 * 128 * 128;
  ASSERT_EQ(bytes.size(), static_cast<size_t>(quants + 2 * 4));
  for (int64_t i = 0; i < quants; ++i) {
    int64_t half = i / (128 * 128), row = i / 128 % 128;
    ASSERT_EQ(static_cast<uint8_t>(bytes[i]),
              Source::quant("a", row * depth + half * 128 + i % 128))
        << i;
  }
  for (int64_t half = 0; half < 2; ++half)
    EXPECT_EQ(floatAt(bytes, quants + 4 * half), Source::scale("a", 0, half));
}

/// Blocks begin anew in each matrix of a stack, and its last rows have one too.
TEST_F(WriteWeightTest, Fp8IsQuantizedInBlocks) {
  std::vector<std::byte> bytes = write(R"(
    !c = tensor<260x256xf32>
    !s = tensor<2x130x256xf32>
    !q = tensor<2x130x256xf8E4M3FN, #dsv2.block_fp8<128x128>>
    !p = tensor<2x130x256xf8E4M3FN, #dsv2.panels<1, #dsv2.block_fp8<128x128>>>
    dsv2.weight @c : !c from "c"
    dsv2.weight @w : !p {
      %c = dsv2.get_weight @c : !c
      %s = tensor.expand_shape %c [[0, 1], [2]] output_shape [2, 130, 256] : !c into !s
      %q = dsv2.quantize %s : !s -> !q
      %p = dsv2.pack_weight %q : !q -> !p
      dsv2.yield %p : !p
    })");
  constexpr int64_t quants = 260 * depth;
  ASSERT_EQ(bytes.size(), static_cast<size_t>(quants + 2 * 2 * 2 * 4));
  for (int64_t i = 0; i < quants; ++i) {
    int64_t row = i / depth, matrix = row / 130, block = row % 130 / 128;
    float scale = floatAt(
        bytes, quants + 4 * ((matrix * 2 + block) * 2 + i % depth / 128));
    float found = scale * ::dsv2::e4m3ToFloat(static_cast<uint8_t>(bytes[i]));
    float expected = Source::value(i);
    // Half a step: of a normal number, or of the smallest ones.
    float most = std::max(std::fabs(expected) / 16, scale * 0x1p-10f);
    ASSERT_LE(std::fabs(found - expected), most * 1.0001f) << i;
  }
}

} // namespace
