//===- LatentBatch.h - A ragged batch over a paged latent cache -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_LATENTBATCH_H
#define DSV2_TEST_LOWERING_NVPTX_LATENTBATCH_H

#include "test/lowering/nvptx/EmulatedKernel.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace dsv2::test {

/// New tokens of some sequences, whose contexts lie in shuffled pages of 64
/// rows. What no token may see is NaN, and pages that nobody has are out of
/// every range.
struct LatentBatch {
  struct Sequence {
    int64_t tokens, context;
  };
  int64_t pages, width;
  std::vector<int32_t> offsets = {0}, lengths, positions, sequences, table;
  std::vector<float> cache; ///< as bf16 holds it; NaN where there is nothing

  LatentBatch(const std::vector<Sequence> &all, int64_t pages, int64_t width,
              std::mt19937 &random)
      : pages(pages), width(width),
        table(all.size() * static_cast<size_t>(pages), 2147480000) {
    auto count = static_cast<int64_t>(all.size());
    cache.assign(count * pages * 64 * width, NAN);
    std::vector<int32_t> free(count * pages);
    std::iota(free.begin(), free.end(), 0);
    std::ranges::shuffle(free, random);
    for (int64_t b = 0; b < count; ++b) {
      offsets.push_back(offsets.back() + static_cast<int32_t>(all[b].tokens));
      lengths.push_back(static_cast<int32_t>(all[b].context));
      for (int64_t i = 0; i < all[b].tokens; ++i) {
        positions.push_back(
            static_cast<int32_t>(all[b].context - all[b].tokens + i));
        sequences.push_back(static_cast<int32_t>(b));
      }
      for (int64_t j = 0; j < all[b].context; ++j) {
        int32_t &page = table[b * pages + j / 64];
        if (j % 64 == 0) {
          page = free.back();
          free.pop_back();
        }
        for (float &v : row(b, j))
          v = bf16ToFloat(
              floatToBf16(std::uniform_real_distribution(-1.0f, 1.0f)(random)));
      }
    }
  }

  int64_t tokens() const { return offsets.back(); }
  int64_t cacheRows() const {
    return static_cast<int64_t>(lengths.size()) * pages * 64;
  }
  std::span<float> row(int64_t sequence, int64_t position) {
    int64_t at = table[sequence * pages + position / 64] * 64 + position % 64;
    return std::span(cache).subspan(at * width, width);
  }
  /// Gives the rows values that fp8 holds, and returns the cache in fp8: e4m3
  /// of 512, four scales, and 64 bf16 a row; NaN where there is nothing.
  std::vector<uint8_t> roundToFp8(std::mt19937 &random) {
    std::vector<uint8_t> packed(cacheRows() * 656, 0xff);
    for (int64_t b = 0; b < static_cast<int64_t>(lengths.size()); ++b)
      for (int64_t j = 0; j < lengths[b]; ++j) {
        std::span<float> values = row(b, j);
        uint8_t *to =
            packed.data() + (values.data() - cache.data()) / width * 656;
        for (int64_t tile = 0; tile < 4; ++tile) {
          float scale = static_cast<float>(1 + random() % 100) * 2e-5f;
          std::memcpy(to + 512 + 4 * tile, &scale, 4);
          for (int64_t i = 128 * tile; i < 128 * (tile + 1); ++i) {
            uint8_t bits = random() & 255;
            to[i] = (bits & 0x7f) == 0x7f ? 0 : bits;
            values[i] = bf16ToFloat(floatToBf16(e4m3ToFloat(to[i]) * scale));
          }
        }
        std::vector<uint16_t> key =
            bf16Of(std::vector<float>(values.begin() + 512, values.end()));
        std::memcpy(to + 528, key.data(), 128);
      }
    return packed;
  }
  StepSizes sizes() const {
    return {.tokens = tokens(),
            .sequences = static_cast<int64_t>(lengths.size())};
  }
};

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_NVPTX_LATENTBATCH_H
