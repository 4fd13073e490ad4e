//===- LayoutTest.cpp - Index arithmetic of GPU kernels -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTX/HopperLayout.h"
#include "lowering/NVPTX/PackWeights.h"
#include "lowering/NVPTX/TileOrder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <set>
#include <vector>

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

// The bytes that a lane loads at once are the k that its products want: of each
// group of 32, k = 8 * lane to 8 * lane + 7.
TEST(NVPTXFormatsTest, QuantsLieWhereLanesLoadThem) {
  for (WeightFormat format : {WeightFormat::int8, WeightFormat::int4}) {
    std::set<std::pair<int64_t, bool>> places;
    int64_t depth = 256, blockDepth = format == WeightFormat::int8 ? 64 : 128;
    for (int64_t k = 0; k < depth; ++k) {
      QuantPlace place = placeOfQuant(format, k);
      EXPECT_LT(place.byte, rowBytes(format, depth));
      places.insert({place.byte, place.high});
      EXPECT_EQ(place.byte / 64, k / blockDepth);  // the step
      EXPECT_EQ(place.byte % 64 / 16, k % 32 / 8); // the lane
      int64_t groupBytes = format == WeightFormat::int8 ? 8 : 4;
      EXPECT_EQ(place.byte % 16 / groupBytes, k % blockDepth / 32);
      // Words in the order of x: four k each, low quants before high ones.
      if (format == WeightFormat::int4)
        EXPECT_EQ(place.high * 4 + place.byte % 4, k % 8);
      else
        EXPECT_EQ(place.byte % 8, k % 8);
    }
    EXPECT_EQ(places.size(), size_t(depth));
  }
  std::set<int64_t> rows;
  for (int64_t row = 0; row < 24; ++row)
    for (bool up : {false, true})
      rows.insert(interleavedRow(row, up));
  EXPECT_EQ(rows.size(), 48u);
  EXPECT_EQ(*rows.rbegin(), 47);
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

// A model of the pairs of GemmEmitter.h: two blocks, each of which loads its
// rows and half of the weights, and writes that half into both. Events happen
// in random order; bytes may arrive before they are announced.
TEST(RingTest, PairsShareWeights) {
  struct Barrier {
    int64_t count, pending = count, bytes = 0, completed = 0;
    void update(int64_t arrivals, int64_t announced) {
      pending -= arrivals;
      bytes += announced;
      if (pending == 0 && bytes == 0) {
        ++completed;
        pending = count;
      }
    }
    bool passes(int64_t parity) const { return completed % 2 != parity; }
  };
  struct Copy {
    int64_t block, part, fill; ///< part 0: rows; 1, 2: halves of the weights
  };
  std::mt19937 random(99);
  for (int64_t stages : {2, 3, 4}) {
    std::vector<Barrier> full[2], empty[2];
    std::vector<std::array<int64_t, 3>> held[2]; // the filling of each part
    for (int block = 0; block < 2; ++block) {
      full[block].assign(stages, {.count = 1});
      empty[block].assign(stages, {.count = 2});
      held[block].assign(stages, {-1, -1, -1});
    }
    int64_t produced[2] = {}, consumed[2] = {};
    std::vector<Copy> flying;
    while (consumed[0] + consumed[1] < 400) {
      int64_t block = random() & 1;
      switch (random() % 3) {
      case 0: { // the producer
        int64_t fill = produced[block], stage = fill % stages;
        if (!empty[block][stage].passes(fill / stages % 2 ^ 1))
          break;
        full[block][stage].update(1, 3);
        flying.push_back({block, 0, fill});
        for (int64_t target = 0; target < 2; ++target)
          flying.push_back({target, 1 + block, fill});
        ++produced[block];
        break;
      }
      case 1: { // the consumers
        int64_t fill = consumed[block], stage = fill % stages;
        if (!full[block][stage].passes(fill / stages % 2))
          break;
        for (int64_t part : held[block][stage])
          ASSERT_EQ(part, fill);
        ++consumed[block];
        for (int64_t target = 0; target < 2; ++target)
          empty[target][stage].update(1, 0);
        break;
      }
      default: { // a copy
        if (flying.empty())
          break;
        std::swap(flying[random() % flying.size()], flying.back());
        Copy copy = flying.back();
        flying.pop_back();
        int64_t stage = copy.fill % stages;
        // What the stage held has been used.
        ASSERT_GT(consumed[copy.block] + stages, copy.fill);
        held[copy.block][stage][copy.part] = copy.fill;
        full[copy.block][stage].update(0, -1);
      }
      }
    }
  }
}

TEST(PackWeightsTest, EachQuantIsWhereKernelsLookForIt) {
  unsigned seed = 31;
  std::mt19937 random(seed);
  for (WeightFormat format : {WeightFormat::int8, WeightFormat::int4})
    for (int64_t depth : {32, 96, 128, 160, 384}) {
      bool four = format == WeightFormat::int4;
      std::vector<int8_t> quants(depth);
      for (int8_t &quant : quants)
        quant = static_cast<int8_t>(four ? int(random() % 16) - 8
                                         : int(random() % 255) - 127);
      std::vector<uint16_t> scales(depth / groupSize);
      for (uint16_t &scale : scales)
        scale = static_cast<uint16_t>(random());
      std::vector<std::byte> row(rowBytes(format, depth), std::byte(0x55));
      std::vector<std::byte> tail(scaleBytes(format, depth), std::byte(0x55));
      packRow(format, quants.data(), scales.data(), depth, row.data(),
              tail.data());
      for (int64_t k = 0; k < paddedDepth(depth); ++k) {
        QuantPlace place = placeOfQuant(format, k);
        auto bits = static_cast<int8_t>(row[place.byte]);
        if (four)
          bits = static_cast<int8_t>(place.high ? bits >> 4
                                                : int8_t(bits << 4) >> 4);
        EXPECT_EQ(bits, k < depth ? quants[k] : 0) << "k " << k;
      }
      for (int64_t group = 0; group < paddedDepth(depth) / groupSize; ++group) {
        uint16_t bits;
        std::memcpy(&bits, &tail[2 * group], 2);
        EXPECT_EQ(bits, group < depth / groupSize ? scales[group] : 0);
      }
    }
}

} // namespace
