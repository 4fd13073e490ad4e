//===- LatentAttentionTest.cpp - Absorbed attention -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionLatent.h"
#include "test/lowering/x86/RaggedBatch.h"

#include <gtest/gtest.h>

namespace dsv2::test {
namespace {

using namespace mlir::dsv2::x86;

constexpr uint32_t seed = 576;

struct Case {
  int64_t heads, latent, rope, pageSize;
  std::vector<Sequence> sequences;
  bool int8 = false;
};

LatentAttentionSpec specOf(const Case &c, const RaggedBatch &batch,
                           int64_t maxContext) {
  LatentAttentionSpec spec;
  spec.tokens = batch.tokens();
  spec.sequences = batch.sequences.size();
  spec.heads = c.heads;
  spec.cache.latent = c.latent;
  spec.cache.rope = c.rope;
  spec.cache.rows = batch.rows;
  spec.cache.pageSize = c.pageSize;
  spec.cache.pagesPerSequence = batch.pagesPerSequence;
  spec.scale = 1.5f / std::sqrt(static_cast<float>(c.latent + c.rope));
  spec.maxContext = maxContext;
  if (c.int8)
    spec.cache.format = CacheFormat::int8;
  return spec;
}

class LatentAttention : public testing::TestWithParam<InstructionSet> {
protected:
  LatentAttention() { RecordProperty("seed", seed); }
  Random random{seed};

  /// What a kernel reads: the rows of `batch`, or the int8 form that is made of
  /// them, in which what no sequence owns stays NaN.
  std::vector<uint16_t> cacheOf(const RaggedBatch &batch) {
    std::vector<uint16_t> cache = batch.cache;
    if (!convert)
      return cache;
    std::vector<int32_t> lengths = batch.contextLengths,
                         pages = batch.pageTable;
    std::vector<uint16_t> tiles(batch.rows * tileStride * 2, 0xffff);
    (*convert)({cache.data(), lengths.data(), pages.data(), tiles.data()},
               batch.dims());
    return tiles;
  }
  std::unique_ptr<Kernel> convert;
  int64_t tileStride = 0;

  /// `count` numbers, rounded as int8 with one scale.
  static void roundToInt8(double *numbers, int64_t count) {
    double largest = 0;
    for (int64_t i = 0; i < count; ++i)
      largest = std::max(largest, std::abs(numbers[i]));
    for (int64_t i = 0; i < count && largest > 0; ++i)
      numbers[i] = std::nearbyint(numbers[i] / largest * 127) * largest / 127;
  }

  /// out[t][h] of a batch as floats.
  std::vector<float> run(const Kernel &kernel, const RaggedBatch &batch,
                         const LatentAttentionSpec &spec,
                         std::vector<uint16_t> &query) {
    int64_t stride = rowElements(spec.format, spec.cache.latent);
    int64_t rows = batch.tokens() * spec.heads;
    std::vector<uint16_t> cache = cacheOf(batch);
    std::vector<uint16_t> out(rows * stride + 1, 0x7fc0);
    std::vector<int32_t> positions = batch.positions,
                         sequence = batch.tokenSequence,
                         pages = batch.pageTable;
    kernel({query.data(), cache.data(), positions.data(), sequence.data(),
            pages.data(), out.data()},
           batch.dims());
    EXPECT_EQ(out.back(), 0x7fc0);
    return widen(out, rows, stride, spec.cache.latent);
  }

  std::vector<float> runSplit(const Kernel &splits, const Kernel &combine,
                              const RaggedBatch &batch,
                              const LatentAttentionSpec &spec,
                              std::vector<uint16_t> &query) {
    int64_t stride = rowElements(spec.format, spec.cache.latent);
    int64_t rows = batch.tokens() * spec.heads;
    std::vector<uint16_t> cache = cacheOf(batch);
    std::vector<uint16_t> out(rows * stride, 0x7fc0);
    std::vector<int32_t> positions = batch.positions,
                         sequence = batch.tokenSequence,
                         pages = batch.pageTable;
    std::vector<float> partials(latentPartialElements(spec), NAN);
    splits({query.data(), cache.data(), positions.data(), sequence.data(),
            pages.data(), partials.data()},
           batch.dims());
    combine({partials.data(), positions.data(), out.data()}, batch.dims());
    return widen(out, rows, stride, spec.cache.latent);
  }

  static std::vector<float> widen(const std::vector<uint16_t> &out,
                                  int64_t rows, int64_t stride,
                                  int64_t latent) {
    std::vector<float> result;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < stride; ++i) {
        if (i < latent)
          result.push_back(fromBf16(out[r * stride + i]));
        else
          EXPECT_EQ(out[r * stride + i], 0) << "padding of row " << r;
      }
    return result;
  }

  /// Compares with double precision; `every` skips rows of large cases.
  void expectExact(const std::vector<float> &got, const RaggedBatch &batch,
                   const LatentAttentionSpec &spec,
                   const std::vector<uint16_t> &query, int64_t every = 1) {
    int64_t latent = spec.cache.latent, width = batch.width;
    bool int8 = spec.cache.format == CacheFormat::int8;
    std::vector<std::vector<std::vector<double>>> rows;
    for (size_t b = 0; b < batch.sequences.size(); ++b) {
      auto &sequence = rows.emplace_back();
      for (int64_t j = 0; j < batch.sequences[b].context; ++j) {
        auto &row = sequence.emplace_back();
        for (int64_t i = 0; i < width; ++i)
          row.push_back(batch.value(b, j, i));
        for (int64_t i = 0; int8 && i < latent; i += latentGroup)
          roundToInt8(&row[i], std::min(latentGroup, latent - i));
      }
    }
    for (int64_t r = 0; r < batch.tokens() * spec.heads; r += every) {
      int64_t t = r / spec.heads, b = batch.tokenSequence[t];
      int64_t count = batch.positions[t] + 1;
      std::vector<double> p(count), q;
      for (int64_t i = 0; i < width; ++i)
        q.push_back(fromBf16(query[r * width + i]));
      if (int8)
        roundToInt8(q.data(), latent);
      double largest = -1e300, sum = 0;
      for (int64_t j = 0; j < count; ++j) {
        for (int64_t i = 0; i < width; ++i)
          p[j] += q[i] * rows[b][j][i];
        largest = std::max(largest, p[j] *= spec.scale);
      }
      for (double &x : p)
        sum += x = std::exp(x - largest);
      for (int64_t i = 0; i < latent; ++i) {
        double want = 0, mass = 0;
        for (int64_t j = 0; j < count; ++j) {
          want += p[j] / sum * rows[b][j][i];
          mass += p[j] / sum * std::abs(rows[b][j][i]);
        }
        // Two roundings to bf16: of the probabilities and of the result.
        ASSERT_NEAR(got[r * latent + i], want,
                    0.004 * (mass + std::abs(want)) + (int8 ? 0.004 : 1e-5))
            << "token " << t << " head " << r % spec.heads << " column " << i
            << " seed " << seed;
      }
    }
  }

  void check(const Case &c, int64_t maxContext, int64_t every = 1) {
    SCOPED_TRACE(testing::Message() << c.heads << " heads, latent " << c.latent
                                    << ", rope " << c.rope << ", pages of "
                                    << c.pageSize << (c.int8 ? ", int8" : ""));
    RaggedBatch batch(c.sequences, c.latent + c.rope, c.pageSize, maxContext,
                      random);
    LatentAttentionSpec spec = specOf(c, batch, maxContext);
    convert.reset();
    if (c.int8) {
      tileStride = spec.cache.rowStride();
      CacheTilesSpec tiles{spec.sequences, spec.cache};
      tiles.cache.format = CacheFormat::bf16;
      convert =
          std::make_unique<Kernel>(GetParam(), [&](auto module, auto &set) {
            return emitCacheTiles(module, "tiles", set, tiles);
          });
    }
    std::vector<uint16_t> query =
        toBf16(random.floats(batch.tokens() * c.heads * batch.width, 2.0f));
    Kernel whole(GetParam(), [&](auto module, auto &set) {
      return emitLatentAttention(module, "attention", set, spec);
    });
    std::vector<float> got = run(whole, batch, spec, query);
    expectExact(got, batch, spec, query, every);
    if (HasFatalFailure())
      return;

    Kernel splits(GetParam(), [&](auto module, auto &set) {
      return emitLatentSplits(module, "splits", set, spec);
    });
    Kernel combine(GetParam(), [&](auto module, auto &set) {
      return emitLatentCombine(module, "combine", set, spec);
    });
    EXPECT_EQ(runSplit(splits, combine, batch, spec, query), got)
        << "splits change the result";

    // Alone, a sequence gets the same bits as in the batch.
    int64_t row = c.heads * c.latent;
    for (size_t b = 0; b < c.sequences.size(); ++b) {
      RaggedBatch one = batch.slice(b, 0, c.sequences[b].queries);
      int64_t first = batch.queryOffsets[b], count = c.sequences[b].queries;
      std::vector<uint16_t> part(query.begin() + first * c.heads * batch.width,
                                 query.begin() +
                                     (first + count) * c.heads * batch.width);
      std::vector<float> want(got.begin() + first * row,
                              got.begin() + (first + count) * row);
      EXPECT_EQ(run(whole, one, spec, part), want) << "sequence " << b;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Sets, LatentAttention, testing::ValuesIn(hostSets()),
                         [](auto &info) { return setName(info.param); });

TEST_P(LatentAttention, RaggedBatches) {
  check({16, 512, 64, 64, {{20, 1}, {140, 2}, {1, 1}, {600, 4}}}, 1024, 7);
}

TEST_P(LatentAttention, ChunksOfAPrompt) {
  check({4, 64, 16, 64, {{63, 63}, {64, 64}, {65, 65}, {130, 64}}}, 256, 3);
}

TEST_P(LatentAttention, OddSizes) {
  check({3, 48, 8, 64, {{1, 1}, {70, 2}, {300, 1}}}, 512);
  check({1, 32, 8, 128, {{129, 3}, {5, 5}}}, 256);
  check({20, 72, 24, 16, {{17, 2}, {33, 1}}}, 64);
}

TEST_P(LatentAttention, Int8) {
  check({16, 512, 64, 64, {{20, 1}, {140, 2}, {1, 1}, {600, 4}}, true}, 1024,
        7);
  check({4, 64, 16, 64, {{63, 63}, {64, 64}, {65, 65}, {130, 64}}, true}, 256,
        3);
  check({3, 48, 8, 128, {{1, 1}, {70, 2}, {300, 1}}, true}, 512);
  check({20, 74, 24, 16, {{17, 2}, {33, 1}}, true}, 64);
  check({16, 512, 64, 128, {{4096, 1}, {1000, 1}}, true}, 4096, 5);
}

TEST_P(LatentAttention, ManyHeadsAndLongContexts) {
  check({128, 512, 64, 64, {{140, 1}}}, 256, 17);
  check({16, 512, 64, 128, {{4096, 1}, {1000, 1}}}, 4096, 5);
}

} // namespace
} // namespace dsv2::test
