//===- WeightTypeTest.cpp - Reading the types of weights ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/WeightType.h"

#include <gtest/gtest.h>

using namespace dsv2;

using Shape = std::vector<int64_t>;

TEST(WeightTypeTest, Formats) {
  WeightType plain = parseWeightType("tensor<2048xf32>");
  EXPECT_EQ(plain.shape, Shape{2048});
  EXPECT_EQ(plain.element, "f32");
  EXPECT_EQ(plain.format, "f32");

  WeightType packed = parseWeightType("tensor<96x64xbf16, #dsv2.panels<32>>");
  EXPECT_EQ(packed.shape, (Shape{96, 64}));
  EXPECT_EQ(packed.format, "bf16");

  WeightType experts = parseWeightType(
      "tensor<64x1408x2048xi4, #dsv2.panels<32, #dsv2.block_int4<32>>>");
  EXPECT_EQ(experts.shape, (Shape{64, 1408, 2048}));
  EXPECT_EQ(experts.element, "i4");
  EXPECT_EQ(experts.format, "block_int4<32>");

  WeightType blocks =
      parseWeightType("tensor<256x128xf8E4M3FN, #dsv2.block_fp8<128x128>>");
  EXPECT_EQ(blocks.element, "f8E4M3FN");
  EXPECT_EQ(blocks.format, "block_fp8<128x128>");
}

TEST(WeightTypeTest, Others) {
  for (const char *text : {"", "tensor<", "f32", "tensor<4xf32", ">"})
    EXPECT_EQ(parseWeightType(text).element, "") << text;
  EXPECT_EQ(parseWeightType("tensor<>").element, "");
  EXPECT_EQ(parseWeightType("tensor<4x").element, "");
  EXPECT_EQ(parseWeightType("tensor<f32>").element, "f32");
}
