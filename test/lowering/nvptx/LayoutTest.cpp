//===- LayoutTest.cpp - Index arithmetic of GPU kernels -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/HopperLayout.h"
#include "lowering/NVPTX/TileOrder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

using namespace mlir::dsv2::nvptx;

namespace {

TEST(HopperLayoutTest, SwizzleIsAPermutationThatSpreadsColumns) {
  std::set<int64_t> places;
  for (int64_t row = 0; row < 16; ++row)
    for (int64_t column = 0; column < 128; ++column) {
      int64_t place = swizzled128(row, column);
      EXPECT_EQ(place / 128, row);
      // TMA's rule on whole addresses: bits 4-6 are xored with bits 7-9.
      int64_t linear = row * 128 + column;
      EXPECT_EQ(place, linear ^ (linear >> 7 & 7) << 4);
      places.insert(place);
    }
  EXPECT_EQ(places.size(), 16u * 128);
  // Eight rows of one column of 16-byte pieces touch each bank once.
  for (int64_t piece = 0; piece < 8; ++piece) {
    std::set<int64_t> banks;
    for (int64_t row = 0; row < 8; ++row)
      banks.insert(swizzled128(row, 16 * piece) / 16 % 8);
    EXPECT_EQ(banks.size(), 8u);
  }
}

TEST(HopperLayoutTest, DescriptorFields) {
  uint64_t d = descriptorAt(kMajorDescriptor, 0x2c400);
  EXPECT_EQ(d & 0x3fff, 0x2c400u >> 4);
  EXPECT_EQ(d >> 16 & 0x3fff, 1u);         // leading: not used
  EXPECT_EQ(d >> 32 & 0x3fff, 1024u / 16); // from 8 rows to the next 8
  EXPECT_EQ(d >> 49 & 7, 0u);              // tiles begin at atoms
  EXPECT_EQ(d >> 62, 1u);                  // 128-byte swizzle
  // No carry into other fields while stepping through k of the last tile.
  EXPECT_EQ(descriptorAt(kMajorDescriptor, 227 * 1024 - 16384) + 6,
            descriptorAt(kMajorDescriptor, 227 * 1024 - 16384 + 96));
  uint64_t t = mnMajorDescriptor(8192);
  EXPECT_EQ(t >> 16 & 0x3fff, 512u);
  EXPECT_EQ(t >> 32 & 0x3fff, 64u);
}

TEST(HopperLayoutTest, AccumulatorsCoverATileOnce) {
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int64_t thread = 0; thread < 128; ++thread)
    for (int64_t index = 0; index < 128; ++index) {
      Position p = accumulatorPosition(thread, index);
      EXPECT_LT(p.row, 64);
      EXPECT_LT(p.column, 256);
      seen.insert({p.row, p.column});
    }
  EXPECT_EQ(seen.size(), 64u * 256);
}

// stmatrix takes of lane l, matrix m, row l / 4, columns 2 * (l % 4) and on,
// and puts row r of it where lane 8 * m + r points.
TEST(HopperLayoutTest, StoredMatricesAreWhereTheyBelong) {
  for (int64_t thread = 0; thread < 128; ++thread)
    for (int64_t part = 0; part < 16; ++part)
      for (int64_t matrix = 0; matrix < 4; ++matrix)
        for (int64_t half = 0; half < 2; ++half) {
          int64_t lane = thread % 32;
          Position target = matrixRow(8 * matrix + lane / 4);
          Position element =
              accumulatorPosition(thread, 8 * part + 2 * matrix + half);
          EXPECT_EQ(thread / 32 * 16 + target.row, element.row);
          EXPECT_EQ(16 * part + target.column + lane % 4 * 2 + half,
                    element.column);
        }
}

struct HostMath {
  int64_t add(int64_t a, int64_t b) { return a + b; }
  int64_t sub(int64_t a, int64_t b) { return a - b; }
  int64_t mul(int64_t a, int64_t b) { return a * b; }
  int64_t div(int64_t a, int64_t b) { return a / b; }
  int64_t min(int64_t a, int64_t b) { return std::min(a, b); }
};

TEST(TileOrderTest, EveryTileOnceInBands) {
  HostMath math;
  for (int64_t rows : {1, 5, 12, 13, 40})
    for (int64_t columns : {1, 3, 11})
      for (int64_t height : {1, 6, 12}) {
        std::set<std::pair<int64_t, int64_t>> seen;
        for (int64_t tile = 0; tile < rows * columns; ++tile) {
          auto place =
              placeOfTile<HostMath, int64_t>(math, tile, rows, columns, height);
          EXPECT_LT(place.row, rows);
          EXPECT_LT(place.column, columns);
          EXPECT_EQ(place.row / height, tile / (height * columns));
          seen.insert({place.row, place.column});
        }
        EXPECT_EQ(seen.size(), size_t(rows * columns));
      }
}

// The protocol of a ring, with barriers as counters: waiting for a parity is
// right only while the barrier is at most one phase away.
TEST(RingTest, ParityNamesThePhase) {
  for (int64_t stages : {1, 3, 4}) {
    std::vector<int64_t> full(stages), empty(stages); // completed phases
    auto passes = [](int64_t completed, int64_t parity) {
      return completed % 2 != parity; // the current phase has the other parity
    };
    int64_t produced = 0, consumed = 0;
    uint32_t random = 12345;
    while (consumed < 100) {
      random = random * 1664525 + 1013904223;
      if (random >> 31) {
        int64_t stage = produced % stages, phase = produced / stages % 2;
        bool free = produced - consumed < stages;
        EXPECT_EQ(passes(empty[stage], phase ^ 1), free);
        if (free)
          ++full[stage], ++produced;
      } else {
        int64_t stage = consumed % stages, phase = consumed / stages % 2;
        bool ready = consumed < produced;
        EXPECT_EQ(passes(full[stage], phase), ready);
        if (ready)
          ++empty[stage], ++consumed;
      }
    }
  }
}

} // namespace
