//===- ExpandedAttentionTest.cpp - Attention over expanded keys -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionExpanded.h"
#include "test/lowering/x86/RaggedBatch.h"

#include <gtest/gtest.h>

namespace dsv2::test {
namespace {

using namespace mlir::dsv2::x86;

constexpr uint32_t seed = 192;

struct Case {
  int64_t heads, nope, rope, value, latent, pageSize;
  std::vector<Sequence> sequences;
  bool int8 = false; ///< expand from int8 latents
};

/// `count` numbers `stride` apart, rounded as int8 with one scale.
void roundToInt8(double *numbers, int64_t count, int64_t stride) {
  double largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(numbers[i * stride]));
  double scale = largest == 0 ? 1 : largest / 127;
  for (int64_t i = 0; i < count; ++i)
    numbers[i * stride] = std::nearbyint(numbers[i * stride] / scale) * scale;
}

std::vector<double> widen(const std::vector<uint16_t> &numbers) {
  std::vector<double> result;
  for (uint16_t x : numbers)
    result.push_back(fromBf16(x));
  return result;
}

/// [heads][rows][depth] bf16 in panels of 32 rows.
std::vector<uint16_t> packPanels(const std::vector<uint16_t> &weights,
                                 int64_t heads, int64_t rows, int64_t depth) {
  int64_t paddedRows = roundUp(rows, 32), padded = paddedDepth(depth);
  std::vector<uint16_t> result(heads * paddedRows * padded);
  for (int64_t i = 0; i < heads * rows * depth; ++i) {
    int64_t h = i / (rows * depth), n = i / depth % rows, k = i % depth;
    int64_t pair = (n / 32 * (padded / 2) + k / 2) * 32 + n % 32;
    result[h * paddedRows * padded + pair * 2 + k % 2] = weights[i];
  }
  return result;
}

/// Weights and queries of a case; everything bf16.
struct Problem {
  Case c;
  RaggedBatch batch;
  ExpandedAttentionSpec spec;
  std::vector<uint16_t> up, down; ///< W_UK^T [H][L][dn], W_UV [H][dv][L]
  std::vector<uint16_t> query;    ///< [T][H][dn + dr]
  std::vector<double> upValues, downValues; ///< as the kernel rounds them

  Problem(const Case &c, int64_t maxContext, Random &random)
      : c(c),
        batch(c.sequences, c.latent + c.rope, c.pageSize, maxContext, random) {
    float scale = 1.5f / std::sqrt(static_cast<float>(c.latent));
    up = toBf16(random.floats(c.heads * c.latent * c.nope, scale));
    down = toBf16(random.floats(c.heads * c.value * c.latent, scale));
    upValues = widen(up);
    downValues = widen(down);
    if (c.int8) {
      for (int64_t h = 0; h < c.heads; ++h)
        for (int64_t d = 0; d < c.nope; ++d)
          roundToInt8(&upValues[h * c.latent * c.nope + d], c.latent, c.nope);
      for (int64_t i = 0; i < c.heads * c.value; ++i)
        roundToInt8(&downValues[i * c.latent], c.latent, 1);
    }
    int64_t width = c.nope + c.rope;
    query = toBf16(random.floats(batch.tokens() * c.heads * width, 2.0f));
    spec.tokens = batch.tokens();
    spec.sequences = c.sequences.size();
    spec.maxQueries = 0;
    for (Sequence s : c.sequences)
      spec.maxQueries = std::max(spec.maxQueries, s.queries);
    spec.heads = c.heads;
    spec.nope = c.nope;
    spec.value = c.value;
    spec.cache.latent = c.latent;
    spec.cache.rope = c.rope;
    spec.cache.rows = batch.rows;
    spec.cache.pageSize = c.pageSize;
    spec.cache.pagesPerSequence = batch.pagesPerSequence;
    if (c.int8)
      spec.cache.format = CacheFormat::int8;
    spec.scale = 1.0f / std::sqrt(static_cast<float>(width));
    spec.queryNope = {c.heads * width, width, 0};
    spec.queryRope = {c.heads * width, width, c.nope};
  }

  double w(const std::vector<uint16_t> &weights, int64_t i) const {
    return fromBf16(weights[i]);
  }
  CacheTilesSpec tiles() const {
    CacheTilesSpec tiles{spec.sequences, spec.cache};
    tiles.cache.format = CacheFormat::bf16;
    return tiles;
  }
  /// The latent of a token of sequence b, as the kernel rounds it.
  std::vector<double> latent(int64_t b, int64_t position) const {
    std::vector<double> result;
    for (int64_t l = 0; l < c.latent; ++l)
      result.push_back(batch.value(b, position, l));
    for (int64_t l = 0; c.int8 && l < c.latent; l += latentGroup)
      roundToInt8(&result[l], std::min(latentGroup, c.latent - l), 1);
    return result;
  }
};

class ExpandedAttention : public testing::TestWithParam<InstructionSet> {
protected:
  ExpandedAttention() { RecordProperty("seed", seed); }
  Random random{seed};

  std::unique_ptr<Kernel> convert; ///< the cache to int8

  std::unique_ptr<Kernel> compile(const Problem &p) {
    convert = std::make_unique<Kernel>(GetParam(), [&](auto module, auto &set) {
      return emitCacheTiles(module, "tiles", set, p.tiles());
    });
    return std::make_unique<Kernel>(GetParam(), [&](auto module, auto &set) {
      return emitExpandedAttention(module, "attention", set, p.spec);
    });
  }

  /// out[t][h][:value] of queries [first, ...) of p.query.
  std::vector<float> run(const Kernel &kernel, const Problem &p,
                         const RaggedBatch &batch, int64_t first) {
    int64_t depth = p.c.heads * p.c.value, stride = paddedDepth(depth);
    std::vector<uint16_t> up =
        packPanels(p.up, p.c.heads, p.c.latent, p.c.nope);
    std::vector<uint16_t> down =
        packPanels(p.down, p.c.heads, p.c.value, p.c.latent);
    std::vector<uint16_t> query(
        p.query.begin() + first * p.spec.queryNope.tokenStride, p.query.end());
    std::vector<uint16_t> cache = batch.cache;
    std::vector<int32_t> offsets = batch.queryOffsets,
                         lengths = batch.contextLengths,
                         pages = batch.pageTable;
    std::vector<uint16_t> out(batch.tokens() * stride + 1, 0x7fc0);
    void *plane = cache.data();
    std::vector<int32_t> tiles;
    if (p.c.int8) {
      // What no sequence owns stays NaN.
      tiles.assign(batch.rows * p.spec.cache.rowStride() + 1, -1);
      (*convert)({cache.data(), lengths.data(), pages.data(), tiles.data()},
                 batch.dims());
      EXPECT_EQ(tiles.back(), -1);
      plane = tiles.data();
    }
    kernel({query.data(), query.data(), plane, up.data(), down.data(),
            offsets.data(), lengths.data(), pages.data(), out.data()},
           batch.dims());
    EXPECT_EQ(out.back(), 0x7fc0);
    std::vector<float> result;
    for (int64_t i = 0; i < batch.tokens() * stride; ++i)
      if (i % stride < depth)
        result.push_back(fromBf16(out[i]));
      else
        EXPECT_EQ(out[i], 0) << "padding";
    return result;
  }

  /// Compares head `h` of the queries of sequence `b` with double precision.
  void expectExact(const std::vector<float> &got, const Problem &p, int64_t b,
                   int64_t h, int64_t every) {
    const Case &c = p.c;
    // A weight that is rounded the other way.
    double slack =
        c.int8 ? 0.03 / std::sqrt(static_cast<double>(c.latent)) : 1e-5;
    int64_t context = c.sequences[b].context;
    std::vector<double> keys(context * c.nope), values(context * c.value);
    for (int64_t j = 0; j < context; ++j) {
      std::vector<double> latent = p.latent(b, j);
      for (int64_t d = 0; d < c.nope; ++d) {
        double sum = 0;
        for (int64_t l = 0; l < c.latent; ++l)
          sum += latent[l] * p.upValues[(h * c.latent + l) * c.nope + d];
        keys[j * c.nope + d] = fromBf16(toBf16(static_cast<float>(sum)));
      }
      for (int64_t d = 0; d < c.value; ++d) {
        double sum = 0;
        for (int64_t l = 0; l < c.latent; ++l)
          sum += latent[l] * p.downValues[(h * c.value + d) * c.latent + l];
        values[j * c.value + d] = fromBf16(toBf16(static_cast<float>(sum)));
      }
    }
    for (int64_t t = p.batch.queryOffsets[b]; t < p.batch.queryOffsets[b + 1];
         t += every) {
      int64_t count = p.batch.positions[t] + 1;
      int64_t row = (t * c.heads + h) * (c.nope + c.rope);
      std::vector<double> s(count);
      double largest = -1e300, sum = 0;
      for (int64_t j = 0; j < count; ++j) {
        for (int64_t d = 0; d < c.nope; ++d)
          s[j] += p.w(p.query, row + d) * keys[j * c.nope + d];
        for (int64_t d = 0; d < c.rope; ++d)
          s[j] += p.w(p.query, row + c.nope + d) *
                  p.batch.value(b, j, c.latent + d);
        largest = std::max(largest, s[j] *= p.spec.scale);
      }
      for (double &x : s)
        sum += x = std::exp(x - largest);
      for (int64_t d = 0; d < c.value; ++d) {
        double want = 0, mass = 0;
        for (int64_t j = 0; j < count; ++j) {
          want += s[j] / sum * values[j * c.value + d];
          mass += s[j] / sum * std::abs(values[j * c.value + d]);
        }
        ASSERT_NEAR(got[(t * c.heads + h) * c.value + d], want,
                    0.005 * (mass + std::abs(want)) + slack)
            << "sequence " << b << " token " << t << " head " << h << " column "
            << d << " seed " << seed;
      }
    }
  }

  void check(const Case &c, int64_t maxContext, int64_t every = 1) {
    SCOPED_TRACE(testing::Message()
                 << c.heads << " heads of " << c.nope << "+" << c.rope
                 << ", latent " << c.latent << ", pages of " << c.pageSize
                 << (c.int8 ? ", int8" : ""));
    Problem p(c, maxContext, random);
    auto kernel = compile(p);
    std::vector<float> got = run(*kernel, p, p.batch, 0);
    int64_t width = c.heads * c.value;
    for (size_t b = 0; b < c.sequences.size(); ++b) {
      expectExact(got, p, b, random.below(c.heads), every);
      if (HasFatalFailure())
        return;
      // A sequence gets the same bits alone and in chunks.
      int64_t queries = c.sequences[b].queries;
      int64_t first = p.batch.queryOffsets[b], cut = random.below(queries);
      for (auto [from, to] : {std::pair{int64_t(0), cut}, {cut, queries}}) {
        if (from == to)
          continue;
        std::vector<float> want(got.begin() + (first + from) * width,
                                got.begin() + (first + to) * width);
        EXPECT_EQ(run(*kernel, p, p.batch.slice(b, from, to), first + from),
                  want)
            << "queries " << from << " to " << to << " of sequence " << b
            << " seed " << seed;
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Sets, ExpandedAttention, testing::ValuesIn(hostSets()),
                         [](auto &info) { return setName(info.param); });

TEST_P(ExpandedAttention, RaggedBatches) {
  check({3,
         128,
         64,
         128,
         512,
         64,
         {{1, 1}, {20, 2}, {140, 65}, {64, 64}, {300, 4}, {63, 63}}},
        512, 9);
}

TEST_P(ExpandedAttention, Int8Expansion) {
  check({3,
         128,
         64,
         128,
         512,
         64,
         {{1, 1}, {20, 2}, {140, 65}, {64, 64}, {300, 4}, {63, 63}},
         true},
        512, 9);
  check({1, 24, 8, 40, 48, 128, {{70, 70}, {5, 2}}, true}, 128, 3);
  check({5, 16, 8, 8, 42, 16, {{33, 33}, {40, 7}}, true}, 64);
}

TEST_P(ExpandedAttention, OddSizes) {
  check({1, 24, 8, 40, 48, 128, {{70, 70}, {5, 2}}}, 128, 3);
  check({5, 16, 8, 8, 40, 16, {{33, 33}, {40, 7}}}, 64);
}

TEST_P(ExpandedAttention, SeveralQueryBlocks) {
  check({2, 32, 16, 32, 64, 64, {{1000, 700}}}, 1024, 41);
}

TEST_P(ExpandedAttention, EqualsAbsorbed) {
  Case c{4, 32, 16, 32, 64, 64, {{140, 20}, {70, 3}}};
  Problem p(c, 192, random);
  std::vector<float> expanded = run(*compile(p), p, p.batch, 0);

  LatentAttentionSpec spec;
  spec.tokens = p.batch.tokens();
  spec.sequences = 2;
  spec.heads = c.heads;
  spec.cache = p.spec.cache;
  spec.scale = p.spec.scale;
  spec.maxContext = 192;
  Kernel latent(GetParam(), [&](auto module, auto &set) {
    return emitLatentAttention(module, "latent", set, spec);
  });
  int64_t width = c.latent + c.rope, tokens = p.batch.tokens();
  std::vector<uint16_t> query(tokens * c.heads * width);
  for (int64_t r = 0; r < tokens * c.heads; ++r)
    for (int64_t i = 0; i < width; ++i) {
      const uint16_t *in = p.query.data() + r * (c.nope + c.rope);
      double sum = 0;
      for (int64_t d = 0; d < c.nope && i < c.latent; ++d)
        sum += fromBf16(in[d]) *
               p.w(p.up, (r % c.heads * c.latent + i) * c.nope + d);
      query[r * width + i] =
          i < c.latent ? toBf16(sum) : in[c.nope + i - c.latent];
    }
  std::vector<uint16_t> out(tokens * c.heads * c.latent);
  latent({query.data(), p.batch.cache.data(), p.batch.positions.data(),
          p.batch.tokenSequence.data(), p.batch.pageTable.data(), out.data()},
         p.batch.dims());
  for (int64_t r = 0; r < tokens * c.heads; ++r)
    for (int64_t d = 0; d < c.value; ++d) {
      double sum = 0, mass = 0;
      for (int64_t l = 0; l < c.latent; ++l) {
        double term = fromBf16(out[r * c.latent + l]) *
                      p.w(p.down, (r % c.heads * c.value + d) * c.latent + l);
        sum += term;
        mass += std::abs(term);
      }
      ASSERT_NEAR(expanded[r * c.value + d], sum, 0.03 * mass + 1e-4)
          << "row " << r << " column " << d << " seed " << seed;
    }
}

} // namespace
} // namespace dsv2::test
