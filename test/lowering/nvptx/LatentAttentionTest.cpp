//===- LatentAttentionTest.cpp - Absorbed attention of the GPU ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatent.h"
#include "lowering/NVPTX/AttentionWork.h"
#include "test/lowering/nvptx/Integers.h"
#include "test/lowering/nvptx/LatentBatch.h"

#include <gtest/gtest.h>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

TEST(NVPTXAttentionWorkTest, CoversEachRowAndPositionOnce) {
  Integers math;
  for (int64_t heads : {1, 3, 9, 16, 63, 64, 126, 128})
    for (int64_t tokens : {1, 2, 4, 8})
      for (int64_t context : {8, 20, 63, 64, 65, 140, 256, 257, 500, 1100}) {
        // Of 128 up to 384 positions, of 256 up to 768, and so on.
        ContextSplits splits = {128, 3, 1200};
        int64_t splitTokens = splitTokensOf(math, context, splits);
        ASSERT_EQ(splitTokens, context <= 384   ? 128
                               : context <= 768 ? 256
                                                : 512);
        ASSERT_LE(splitsOf(math, context, splitTokens), splits.most);
        int64_t items = countItems(math, tokens, context, heads, splits);
        std::map<int64_t, int64_t> seen; // positions that rows have reached
        for (int64_t i = 0; i < items; ++i) {
          AttentionItem<int64_t> item =
              itemOf(math, i, tokens, context, heads, splits);
          ASSERT_LT(item.split, item.splits);
          for (int64_t r = item.firstRow;
               r < std::min(item.firstRow + 64, item.rows); ++r) {
            int64_t visible = context - tokens + r / heads + 1;
            int64_t end = std::min(visible, item.begin + item.blocks * 64);
            seen[r] += std::max<int64_t>(end - item.begin, 0);
            // The combination reads these splits and no others.
            if (item.split <= (visible - 1) / splitTokens) {
              ASSERT_GT(item.blocks, 0);
            }
          }
          ASSERT_LE(item.begin + (item.blocks - 1) * 64, context);
        }
        for (int64_t r = 0; r < tokens * heads; ++r)
          ASSERT_EQ(seen[r], context - tokens + r / heads + 1);
      }
}

TEST(NVPTXLatentAttentionTest, AssemblesForModels) {
  SKIP_WITHOUT_PTXAS();
  // Of V2-Lite, of a shard of V2 in large pages, and of V2.
  std::pair<int64_t, int64_t> headsAndTokens[] = {
      {16, 1}, {32, 512}, {128, 64}};
  for (auto [heads, tokens] : headsAndTokens) {
    LatentAttentionSpec spec;
    spec.tokens = tokens;
    spec.sequences = std::min<int64_t>(tokens, 256);
    spec.heads = heads;
    spec.cache.rows = 1 << 20;
    spec.cache.pageSize = heads == 32 ? 128 : 64;
    spec.maxContext = 163840;
    spec.cache.pagesPerSequence = spec.maxContext / spec.cache.pageSize;
    spec.scale = 0.1147f;
    for (CacheFormat format : {CacheFormat::bf16, CacheFormat::fp8}) {
      spec.cache.format = format;
      AssembledKernel kernel([&](ModuleOp m) {
        return emitLatentAttention(m, "attention", spec);
      });
      kernel.expectClean({{"HGMMA", 84}, {"UTMALDG", 3}});
      EXPECT_LE(kernel.info().sharedBytes, maxSharedBytes);
    }
  }
}

struct Case {
  int64_t heads;
  int64_t latent;
  std::vector<LatentBatch::Sequence> batch;
  CacheFormat format = CacheFormat::bf16;
  int64_t maxSplits = 100;
};

/// Names the parameter of a test in its listing.
std::ostream &operator<<(std::ostream &os, const Case &c) {
  os << c.heads << "x" << c.latent
     << (c.format == CacheFormat::fp8 ? "_fp8" : "_bf16");
  for (const LatentBatch::Sequence &sequence : c.batch)
    os << "_" << sequence.tokens << "of" << sequence.context;
  return os;
}

class LatentAttention : public testing::TestWithParam<Case> {};

std::vector<double> attendByLoops(LatentBatch &batch, const float *query,
                                  int64_t sequence, int64_t visible,
                                  int64_t latent, float scale) {
  std::vector<double> scores(visible), out(latent);
  double largest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < visible; ++j) {
    std::span<float> row = batch.row(sequence, j);
    for (int64_t i = 0; i < batch.width; ++i)
      scores[j] += static_cast<double>(query[i]) * row[i] * scale;
    largest = std::max(largest, scores[j]);
  }
  for (int64_t j = 0; j < visible; ++j) {
    double power = std::exp(scores[j] - largest);
    sum += power;
    for (int64_t i = 0; i < latent; ++i)
      out[i] += power * batch.row(sequence, j)[i];
  }
  for (double &v : out)
    v /= sum;
  return out;
}

TEST_P(LatentAttention, MatchesLoops) {
  const Case &c = GetParam();
  std::mt19937 random(21);
  int64_t width = c.latent + 64;
  LatentBatch batch(c.batch, 5, width, random);
  LatentAttentionSpec spec;
  spec.tokens = batch.tokens() + 3;
  spec.sequences = static_cast<int64_t>(c.batch.size()) + 2;
  spec.heads = c.heads;
  spec.cache.latent = c.latent;
  spec.cache.format = c.format;
  bool fp8 = c.format == CacheFormat::fp8;
  spec.cache.rows = batch.cacheRows();
  spec.cache.pagesPerSequence = batch.pages;
  spec.scale = 0.1147f;
  spec.splitTokens = c.maxSplits == 100 ? 128 : 64;
  spec.maxSplits = c.maxSplits;
  spec.maxContext = 320;
  std::string error;
  ASSERT_TRUE(succeeded(checkLatentAttention(spec, error))) << error;
  AssembledKernel attention(
      [&](ModuleOp m) { return emitLatentAttention(m, "attention", spec); });
  AssembledKernel combine(
      [&](ModuleOp m) { return emitLatentCombine(m, "combine", spec); });
  int tiles = static_cast<int>(width / 64);
  attention.expectClean({{"HGMMA", 8 * tiles + 12}, {"UTMALDG", 3}});
  combine.expectClean();

  int64_t rows = batch.tokens() * c.heads;
  std::vector<float> query = randomFloats(rows * width, random);
  for (float &v : query)
    v = bf16ToFloat(floatToBf16(v));
  std::vector<uint16_t> latentPart, rotatedPart;
  for (int64_t i = 0; i < rows * width; ++i)
    (i % width < c.latent ? latentPart : rotatedPart)
        .push_back(floatToBf16(query[i]));
  DeviceBuffer latents = DeviceBuffer::of(latentPart, 3 * c.heads * c.latent),
               rotated = DeviceBuffer::of(rotatedPart, 3 * c.heads * 64),
               cache = fp8 ? DeviceBuffer::of(batch.roundToFp8(random))
                           : DeviceBuffer::of(bf16Of(batch.cache)),
               offsets = DeviceBuffer::of(batch.offsets),
               lengths = DeviceBuffer::of(batch.lengths),
               table = DeviceBuffer::of(batch.table),
               positions = DeviceBuffer::of(batch.positions),
               sequences = DeviceBuffer::of(batch.sequences),
               out(spec.tokens * c.heads * c.latent * 2),
               partials(spec.partialBytes()), sums(spec.partialSumBytes());
  for (uint64_t seed : {1, 2}) {
    runEmulated(attention,
                {&latents, &rotated, &cache, &offsets, &lengths, &table, &out,
                 &partials, &sums},
                batch.sizes(), seed, seed == 1 ? 3 : 100);
    runEmulated(combine,
                {&partials, &sums, &positions, &sequences, &lengths, &out},
                batch.sizes(), seed);
    std::vector<uint16_t> actual = out.read<uint16_t>(rows * c.latent);
    for (int64_t row = 0; row < rows; ++row) {
      int64_t token = row / c.heads;
      std::vector<double> expected =
          attendByLoops(batch, &query[row * width], batch.sequences[token],
                        batch.positions[token] + 1, c.latent, spec.scale);
      for (int64_t i = 0; i < c.latent; ++i)
        ASSERT_NEAR(bf16ToFloat(actual[row * c.latent + i]), expected[i],
                    0.006 + 0.006 * std::fabs(expected[i]))
            << "row " << row << " column " << i << " seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    NVPTX, LatentAttention,
    testing::Values(
        Case{16, 512, {{1, 1}, {1, 63}, {0, 70}, {1, 64}, {1, 65}, {1, 300}}},
        Case{128, 512, {{1, 100}, {1, 129}}},
        Case{9, 512, {{4, 130}, {2, 20}, {8, 257}}}, Case{3, 128, {{1, 140}}},
        Case{16,
             512,
             {{1, 1}, {1, 63}, {0, 70}, {4, 64}, {1, 193}, {2, 300}},
             CacheFormat::fp8},
        // Splits of 64, 128 and 256.
        Case{16,
             512,
             {{1, 60}, {2, 100}, {3, 200}, {1, 300}, {1, 256}},
             CacheFormat::bf16,
             2},
        Case{128, 512, {{1, 70}, {3, 129}}, CacheFormat::fp8}));

} // namespace
