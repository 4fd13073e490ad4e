//===- PackWeightsTest.cpp - Packing weights and reading them back --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/PackWeights.h"
#include "runtime/base/NumberFormats.h"
#include "test/lowering/x86/PackedOperands.h"
#include "test/lowering/x86/RunKernel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace dsv2;
using namespace dsv2::test;

namespace {

constexpr int64_t rows = 45, depth = 70;

/// The largest error of a value of a group whose largest magnitude is 1.
double tolerance(WeightFormat format) {
  switch (format) {
  case WeightFormat::f32:
    return 0;
  case WeightFormat::bf16:
    return 0x1p-9;
  case WeightFormat::int8:
    return 0.51 / 127;
  case WeightFormat::int4:
    return 0.2; // one step when the extreme is clipped
  }
  return 0;
}

class PackWeightsTest : public testing::TestWithParam<WeightFormat> {};

TEST_P(PackWeightsTest, UnpackGivesNearbyValues) {
  uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::vector<float> values = Random(seed).floats(rows * depth);
  std::vector<float> unpacked = values;
  packMatrices(GetParam(), unpacked, 1, rows, depth);
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(unpacked[i], values[i], tolerance(GetParam())) << i;
}

TEST_P(PackWeightsTest, PackedValuesStay) {
  std::vector<float> once = Random(7).floats(rows * depth), twice;
  packMatrices(GetParam(), once, 1, rows, depth);
  if (GetParam() == WeightFormat::int4)
    GTEST_SKIP() << "the search may find another scale";
  twice = once;
  packMatrices(GetParam(), twice, 1, rows, depth);
  for (size_t i = 0; i < once.size(); ++i)
    ASSERT_NEAR(once[i], twice[i], std::fabs(once[i]) * 1e-3) << i;
}

TEST_P(PackWeightsTest, ZerosAndNonFiniteValues) {
  std::vector<float> values(rows * depth, 0.0f);
  packMatrices(GetParam(), values, 1, rows, depth);
  for (float value : values)
    ASSERT_EQ(value, 0.0f);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  values[80] = std::numeric_limits<float>::infinity();
  values[200] = std::numeric_limits<float>::max();
  packMatrices(GetParam(), values, 1, rows, depth); // must not fail
}

TEST_P(PackWeightsTest, PaddingIsZero) {
  std::vector<float> values(33 * 33, 1.0f);
  Buffer packed = packMatrices(GetParam(), values, 1, 33, 33);
  std::vector<float> padded(64 * 64);
  unpackWeights(GetParam(), packed.data(), 64, 64, padded.data());
  for (int64_t r = 0; r < 64; ++r)
    for (int64_t k = 0; k < 64; ++k)
      ASSERT_NEAR(padded[r * 64 + k], r < 33 && k < 33 ? 1.0f : 0.0f, 1e-2)
          << r << " " << k;
}

INSTANTIATE_TEST_SUITE_P(Formats, PackWeightsTest,
                         testing::ValuesIn(allWeightFormats),
                         [](auto &info) { return formatName(info.param); });

/// The squared error of packing, relative to that of the scale for which the
/// extreme element of a group becomes `extremeQuant`.
double relativeError(WeightFormat format, float extremeQuant, float highest) {
  // Normally distributed, as weights nearly are.
  std::mt19937 engine(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(64 * 1024);
  for (float &value : values)
    value = normal(engine);
  std::vector<float> unpacked = values;
  packMatrices(format, unpacked, 1, 64, 1024);
  double error = 0, baseline = 0;
  for (size_t group = 0; group < values.size(); group += groupSize) {
    float extreme = 0;
    for (int64_t k = 0; k < groupSize; ++k)
      if (std::fabs(values[group + k]) > std::fabs(extreme))
        extreme = values[group + k];
    float scale = f16ToFloat(floatToF16(extreme / extremeQuant));
    for (int64_t k = 0; k < groupSize; ++k) {
      float x = values[group + k];
      float quant = std::fmin(highest, std::nearbyint(x / scale));
      baseline += std::pow(x - quant * scale, 2);
      error += std::pow(x - unpacked[group + k], 2);
    }
  }
  return error / baseline;
}

TEST(PackInt4Test, BeatsTheExtremeOverEight) {
  EXPECT_LT(relativeError(WeightFormat::int4, -8, 7), 0.92);
}

TEST(PackInt8Test, BeatsTheExtremeOver127) {
  EXPECT_LT(relativeError(WeightFormat::int8, 127, 127), 0.87);
}

class PackGroupsTest : public testing::TestWithParam<WeightFormat> {};

// Weights that come quantized keep every quant and scale, whatever those are.
TEST_P(PackGroupsTest, KeepsQuantsAndScales) {
  WeightFormat format = GetParam();
  bool isInt8 = format == WeightFormat::int8;
  std::mt19937 engine(4);
  std::uniform_int_distribution<int> quant(isInt8 ? -128 : -8,
                                           isInt8 ? 127 : 7);
  std::normal_distribution<float> scale;
  for (auto [rows, depth] : {std::pair<int64_t, int64_t>(64, 96), {33, 40}}) {
    std::vector<int8_t> quants(rows * depth);
    std::vector<uint16_t> scales(rows * groupCount(depth));
    for (int8_t &value : quants)
      value = static_cast<int8_t>(quant(engine));
    for (uint16_t &value : scales)
      value = floatToF16(scale(engine)); // negative ones too
    std::vector<std::byte> packed(packedWeightBytes(format, rows, depth));
    packGroups(format, {quants.data(), scales.data(), rows, depth},
               packed.data());
    std::vector<float> values(rows * depth);
    unpackWeights(format, packed.data(), rows, depth, values.data());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < depth; ++k)
        ASSERT_EQ(values[r * depth + k],
                  f16ToFloat(scales[r * groupCount(depth) + k / groupSize]) *
                      static_cast<float>(quants[r * depth + k]));
  }
}

// Quantizing and packing are what packing alone does.
TEST_P(PackGroupsTest, QuantizesAsPackingDoes) {
  WeightFormat format = GetParam();
  std::mt19937 engine(5);
  std::normal_distribution<float> normal;
  for (auto [rows, depth] : {std::pair<int64_t, int64_t>(64, 96), {33, 40}}) {
    std::vector<float> values(rows * depth);
    for (float &value : values)
      value = normal(engine);
    std::vector<int8_t> quants(rows * depth);
    std::vector<uint16_t> scales(rows * groupCount(depth));
    quantizeGroups(format, {values.data(), rows, depth, depth}, quants.data(),
                   scales.data());
    size_t bytes = packedWeightBytes(format, rows, depth);
    std::vector<std::byte> once(bytes), twice(bytes);
    packWeights(format, {values.data(), rows, depth, depth}, once.data());
    packGroups(format, {quants.data(), scales.data(), rows, depth},
               twice.data());
    EXPECT_EQ(once, twice);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, PackGroupsTest,
                         testing::Values(WeightFormat::int8,
                                         WeightFormat::int4),
                         [](auto &info) { return formatName(info.param); });

} // namespace
