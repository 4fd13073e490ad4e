//===- NumberFormatsTest.cpp - Narrow number formats ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/base/NumberFormats.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

using namespace dsv2;

TEST(NumberFormats, Bf16RoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = bf16ToFloat(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(bf16ToFloat(floatToBf16(value))));
    else
      ASSERT_EQ(floatToBf16(value), bits);
  }
}

TEST(NumberFormats, F16RoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = f16ToFloat(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(value))));
    else
      ASSERT_EQ(floatToF16(value), bits);
  }
}

/// Rounding picks the nearest of the two neighbors, the even one on ties.
template <float (*toFloat)(uint16_t), uint16_t (*fromFloat)(float)>
static void checkRounding(uint16_t largest) {
  unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 100000; ++i) {
    uint16_t low = static_cast<uint16_t>(random() % largest);
    uint16_t high = static_cast<uint16_t>(low + 1);
    double a = toFloat(low), b = toFloat(high);
    double middle = (a + b) / 2; // exact
    ASSERT_EQ(fromFloat(static_cast<float>(middle)), low % 2 ? high : low);
    float below = std::nextafter(static_cast<float>(middle), -1.0f);
    float above = std::nextafter(static_cast<float>(middle), INFINITY);
    ASSERT_EQ(fromFloat(below), low);
    ASSERT_EQ(fromFloat(above), high);
    ASSERT_EQ(fromFloat(-above), high | 0x8000);
  }
}

TEST(NumberFormats, RoundsToNearestEven) {
  checkRounding<f16ToFloat, floatToF16>(0x7bff);
  checkRounding<bf16ToFloat, floatToBf16>(0x7f7f);
  EXPECT_EQ(floatToF16(65519.0f), 0x7bff);
  EXPECT_EQ(floatToF16(65520.0f), 0x7c00);
}

TEST(NumberFormats, E4m3HasItsKnownValues) {
  EXPECT_EQ(e4m3ToFloat(0x00), 0.0f);
  EXPECT_EQ(e4m3ToFloat(0x01), 0x1p-9f);
  EXPECT_EQ(e4m3ToFloat(0x08), 0x1p-6f);
  EXPECT_EQ(e4m3ToFloat(0x38), 1.0f);
  EXPECT_EQ(e4m3ToFloat(0x7e), 448.0f);
  EXPECT_EQ(e4m3ToFloat(0xfe), -448.0f);
  EXPECT_TRUE(std::isnan(e4m3ToFloat(0x7f)));
  EXPECT_TRUE(std::isnan(e4m3ToFloat(0xff)));
  for (uint8_t bits = 1; bits < 0x7f; ++bits)
    EXPECT_LT(e4m3ToFloat(static_cast<uint8_t>(bits - 1)), e4m3ToFloat(bits));
}

TEST(NumberFormats, RoundsToE4m3) {
  for (unsigned bits = 0; bits < 0x100; ++bits)
    if ((bits & 0x7f) != 0x7f)
      EXPECT_EQ(floatToE4m3(e4m3ToFloat(static_cast<uint8_t>(bits))), bits);
  for (uint8_t low = 0; low < 0x7e; ++low) {
    uint8_t high = static_cast<uint8_t>(low + 1);
    float middle = (e4m3ToFloat(low) + e4m3ToFloat(high)) / 2; // exact
    EXPECT_EQ(floatToE4m3(middle), low % 2 ? high : low);
    EXPECT_EQ(floatToE4m3(std::nextafter(middle, -1.0f)), low);
    EXPECT_EQ(floatToE4m3(std::nextafter(middle, INFINITY)), high);
    EXPECT_EQ(floatToE4m3(-std::nextafter(middle, INFINITY)), high | 0x80);
  }
  EXPECT_EQ(floatToE4m3(1e6f), 0x7e);
  EXPECT_EQ(floatToE4m3(-INFINITY), 0xfe);
  EXPECT_EQ(floatToE4m3(NAN) & 0x7f, 0x7f);
}
