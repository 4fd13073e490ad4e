//===- ExpandedAttentionTest.cpp - Attention over expanded keys -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionExpanded.h"
#include "lowering/NVPTX/AttentionWork.h"
#include "lowering/NVPTX/CacheGather.h"
#include "test/lowering/nvptx/Integers.h"
#include "test/lowering/nvptx/LatentBatch.h"

#include <gtest/gtest.h>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

TEST(NVPTXAttentionWorkTest, CoversEachTokenOfEachHeadOnce) {
  Integers math;
  for (int64_t heads : {1, 3, 16, 40})
    for (int64_t tokens : {1, 100, 128, 129, 400})
      for (int64_t before : {0, 1, 127, 128, 300}) {
        int64_t context = before + tokens;
        std::map<std::pair<int64_t, int64_t>, int64_t> seen;
        for (int64_t i = 0; i < heads * ((tokens + 127) / 128); ++i) {
          ExpandedItem<int64_t> item =
              expandedItemOf(math, i, tokens, context, heads);
          int64_t end = std::min(item.firstToken + 128, tokens);
          for (int64_t t = item.firstToken; t < end; ++t) {
            ++seen[{item.head, t}];
            ASSERT_LE(before + t + 1, item.blocks * 128);
          }
          ASSERT_LT((item.blocks - 1) * 128, before + end);
        }
        ASSERT_EQ(static_cast<int64_t>(seen.size()), heads * tokens);
        for (auto &[where, count] : seen) {
          ASSERT_LT(where.first, heads);
          ASSERT_EQ(count, 1);
        }
      }
}

/// What blocks compute of a sequence, in blocks of 128 positions: the mean
/// divided by the most.
double balanceOf(int64_t heads, int64_t tokens, int64_t blocks) {
  Integers math;
  int64_t items = heads * ((tokens + 127) / 128);
  std::vector<int64_t> seen(items), work(blocks);
  for (int64_t base = 0; base < items; base += blocks)
    for (int64_t block = 0; block < blocks; ++block) {
      int64_t item = itemOfRound(math, base, block, blocks);
      if (item >= items)
        continue;
      ++seen[item];
      work[block] += expandedItemOf(math, item, tokens, tokens, heads).blocks;
    }
  EXPECT_EQ(std::ranges::count(seen, 1), items);
  int64_t most = *std::ranges::max_element(work);
  return std::accumulate(work.begin(), work.end(), 0.0) /
         static_cast<double>(blocks * most);
}

TEST(NVPTXAttentionWorkTest, BlocksHaveAsMuchToDo) {
  for (int64_t tokens : {2048, 4096, 8192, 16384}) {
    EXPECT_GT(balanceOf(16, tokens, 132), 0.96) << tokens;
    EXPECT_GT(balanceOf(128, tokens, 132), 0.96) << tokens;
    EXPECT_GT(balanceOf(16, tokens, 114), 0.9) << tokens;
    EXPECT_GT(balanceOf(128, tokens, 114), 0.9) << tokens;
  }
  balanceOf(3, 1000, 7);
  balanceOf(40, 300, 132);
  balanceOf(1, 100, 132);
}

TEST(NVPTXExpandedAttentionTest, AssemblesForModels) {
  SKIP_WITHOUT_PTXAS();
  for (int64_t heads : {16, 128}) {
    ExpandedAttentionSpec spec;
    spec.tokens = 8192;
    spec.sequences = 256;
    spec.context = 1 << 17;
    spec.heads = heads;
    spec.chunkStep = heads == 16 ? 0 : 4096;
    spec.scale = 0.1147f;
    AssembledKernel kernel([&](ModuleOp m) {
      return emitExpandedAttention(m, "attention", spec);
    });
    kernel.expectClean({{"HGMMA", 40}, {"UTMALDG", 8}});
    EXPECT_LE(kernel.info().sharedBytes, maxSharedBytes);
  }
}

TEST(NVPTXExpandedAttentionTest, RefusesWhatItCannot) {
  ExpandedAttentionSpec spec;
  spec.sequences = 1;
  spec.rope = 32;
  std::string error;
  EXPECT_TRUE(failed(checkExpandedAttention(spec, error)));
  EXPECT_NE(error.find("128 + 32"), std::string::npos) << error;
}

TEST(NVPTXAttentionWorkTest, ChunksHaveEachBlockOnceAndWhole) {
  Integers math;
  constexpr int64_t step = 256;
  for (int64_t start : {0, 1, 100, 255, 256, 300, 1000})
    for (int64_t blocks : {1, 2, 7}) {
      int64_t next = 0;
      for (int64_t first = 0; first < 3000; first += step) {
        auto chunk = chunkBlocksOf(math, start - first, blocks, step);
        for (int64_t block = chunk.begin; block < chunk.end; ++block) {
          ASSERT_EQ(block, next++);
          ASSERT_GE(start + block * 128, first);
          ASSERT_LE(start + block * 128 + 128, first + step + 128);
        }
      }
      ASSERT_EQ(next, blocks);
    }
}

/// Random keys and values of a ragged batch, and queries.
struct ExpandedCase {
  static constexpr int64_t heads = 2;
  using Sequences = std::vector<LatentBatch::Sequence>;

  explicit ExpandedCase(const Sequences &sequences)
      : random(31), batch(sequences, 6, 64, random) {
    for (int32_t length : batch.lengths)
      starts.push_back(starts.back() + length);
    nope = rounded(batch.tokens() * heads * 128);
    rope = rounded(batch.tokens() * heads * 64);
    key = rounded(context() * heads * 128);
    value = rounded(context() * heads * 128);
    rotated = rounded(context() * 64);
  }
  /// One of the sequences alone.
  ExpandedCase(const ExpandedCase &all, const Sequences &sequences,
               size_t which)
      : random(31), batch({sequences[which]}, 6, 64, random) {
    starts.push_back(batch.lengths[0]);
    auto part = [](const std::vector<float> &from, int64_t first, int64_t count,
                   int64_t width) {
      return std::vector<float>(from.begin() + first * width,
                                from.begin() + (first + count) * width);
    };
    int64_t token = all.batch.offsets[which], row = all.starts[which];
    nope = part(all.nope, token, batch.tokens(), heads * 128);
    rope = part(all.rope, token, batch.tokens(), heads * 64);
    key = part(all.key, row, context(), heads * 128);
    value = part(all.value, row, context(), heads * 128);
    rotated = part(all.rotated, row, context(), 64);
  }

  int64_t context() const { return starts.back(); }
  std::vector<float> rounded(int64_t count) {
    std::vector<float> values = randomFloats(count, random);
    for (float &v : values)
      v = bf16ToFloat(floatToBf16(v));
    return values;
  }
  ExpandedAttentionSpec spec(int64_t chunkStep) const {
    ExpandedAttentionSpec spec;
    spec.tokens = batch.tokens() + 5;
    spec.sequences = static_cast<int64_t>(batch.lengths.size()) + 1;
    spec.context = context() + 7;
    spec.heads = heads;
    spec.chunkStep = chunkStep;
    spec.scale = 0.1147f;
    return spec;
  }
  std::vector<uint16_t> run(const AssembledKernel &kernel,
                            const ExpandedAttentionSpec &spec, uint64_t seed,
                            int64_t blocks) const;

  std::mt19937 random;
  LatentBatch batch;
  std::vector<int32_t> starts = {0};
  std::vector<float> nope, rope, key, value, rotated;
};

std::vector<uint16_t> ExpandedCase::run(const AssembledKernel &kernel,
                                        const ExpandedAttentionSpec &spec,
                                        uint64_t seed, int64_t blocks) const {
  int64_t count = batch.tokens() * heads * 128;
  int64_t behind = spec.tokens - batch.tokens();
  DeviceBuffer nopes = DeviceBuffer::of(bf16Of(nope), behind * heads * 128),
               ropes = DeviceBuffer::of(bf16Of(rope), behind * heads * 64),
               offsets = DeviceBuffer::of(batch.offsets),
               lengths = DeviceBuffer::of(batch.lengths),
               begins = DeviceBuffer::of(starts),
               out(spec.tokens * heads * 128 * 2), sums(spec.sumBytes()),
               states(spec.stateBytes());
  int64_t step = spec.chunkStep ? spec.chunkStep : context();
  for (int64_t first = 0; first < context(); first += step) {
    int64_t rows = std::min(spec.rows(), context() - first);
    auto chunk = [&](const std::vector<float> &of, int64_t width) {
      std::vector<float> part(of.begin() + first * width,
                              of.begin() + (first + rows) * width);
      return DeviceBuffer::of(bf16Of(part), (spec.rows() - rows) * width);
    };
    DeviceBuffer keys = chunk(key, heads * 128),
                 values = chunk(value, heads * 128),
                 shared = chunk(rotated, 64);
    StepSizes sizes = batch.sizes();
    sizes.context = rows;
    sizes.firstContextRow = first;
    runEmulated(kernel,
                {&nopes, &ropes, &keys, &values, &shared, &offsets, &lengths,
                 &begins, &out, &sums, &states},
                sizes, seed, blocks);
  }
  return out.read<uint16_t>(count);
}

class ExpandedAttention
    : public testing::TestWithParam<ExpandedCase::Sequences> {};

TEST_P(ExpandedAttention, MatchesLoops) {
  constexpr int64_t heads = ExpandedCase::heads;
  ExpandedCase data(GetParam());
  const LatentBatch &batch = data.batch;
  ExpandedAttentionSpec spec = data.spec(0);
  std::string error;
  ASSERT_TRUE(succeeded(checkExpandedAttention(spec, error))) << error;
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitExpandedAttention(m, "attention", spec); });
  kernel.expectClean({{"HGMMA", 40}, {"UTMALDG", 8}});
  // Many items for a block, and blocks without any.
  std::vector<uint16_t> actual = data.run(kernel, spec, 1, 3);
  EXPECT_EQ(data.run(kernel, spec, 2, 40), actual);
  for (int64_t t = 0; t < batch.tokens(); ++t)
    for (int64_t h = 0; h < heads; ++h) {
      int64_t visible = batch.positions[t] + 1;
      int64_t start = data.starts[batch.sequences[t]];
      std::vector<double> scores(visible), expected(128);
      double sum = 0;
      for (int64_t j = 0; j < visible; ++j) {
        int64_t row = (start + j) * heads + h;
        for (int64_t i = 0; i < 128; ++i)
          scores[j] +=
              data.nope[(t * heads + h) * 128 + i] * data.key[row * 128 + i];
        for (int64_t i = 0; i < 64; ++i)
          scores[j] += data.rope[(t * heads + h) * 64 + i] *
                       data.rotated[(start + j) * 64 + i];
        double power = std::exp(scores[j] * spec.scale);
        sum += power;
        for (int64_t i = 0; i < 128; ++i)
          expected[i] += power * data.value[row * 128 + i];
      }
      for (int64_t i = 0; i < 128; ++i)
        ASSERT_NEAR(bf16ToFloat(actual[(t * heads + h) * 128 + i]),
                    expected[i] / sum, 0.008)
            << "token " << t << " head " << h << " column " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(
    NVPTX, ExpandedAttention,
    testing::Values(ExpandedCase::Sequences{{70, 70}, {3, 200}},
                    ExpandedCase::Sequences{{1, 1}, {0, 40}, {140, 300}},
                    ExpandedCase::Sequences{
                        {129, 130}, {2, 2}, {64, 384}, {33, 161}}));

TEST(NVPTXExpandedAttentionTest, ChunksAndNeighborsDoNotChangeBits) {
  ExpandedCase::Sequences sequences = {{2, 90}, {130, 384}, {1, 200}};
  ExpandedCase data(sequences);
  auto kernelOf = [](const ExpandedAttentionSpec &spec) {
    return AssembledKernel([&](ModuleOp m) {
      return emitExpandedAttention(m, "attention", spec);
    });
  };
  ExpandedAttentionSpec whole = data.spec(0);
  std::vector<uint16_t> expected = data.run(kernelOf(whole), whole, 1, 3);
  for (int64_t step : {128, 384}) {
    ExpandedAttentionSpec spec = data.spec(step);
    AssembledKernel kernel = kernelOf(spec);
    kernel.expectClean({{"HGMMA", 40}, {"UTMALDG", 8}});
    EXPECT_EQ(data.run(kernel, spec, 1, 3), expected) << step;
    // The second alone is cut elsewhere.
    ExpandedCase one(data, sequences, 1);
    std::vector<uint16_t> alone = one.run(kernel, spec, 2, 2);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(),
                           expected.begin() + 2 * ExpandedCase::heads * 128))
        << step;
  }
}

TEST(NVPTXCacheGatherTest, CopiesRowsOfAChunk) {
  std::mt19937 random(5);
  for (bool fp8 : {false, true}) {
    LatentBatch batch({{1, 70}, {1, 3}, {2, 150}}, 3, 576, random);
    std::vector<int32_t> starts = {0, 70, 73, 223};
    CacheGatherSpec spec;
    spec.sequences = 5;
    spec.cache.rows = batch.cacheRows();
    spec.cache.pagesPerSequence = batch.pages;
    spec.cache.format = fp8 ? CacheFormat::fp8 : CacheFormat::bf16;
    AssembledKernel kernel(
        [&](ModuleOp m) { return emitCacheGather(m, "gather", spec); });
    kernel.expectClean({});
    DeviceBuffer cache = fp8 ? DeviceBuffer::of(batch.roundToFp8(random))
                             : DeviceBuffer::of(bf16Of(batch.cache));
    DeviceBuffer begins = DeviceBuffer::of(starts),
                 table = DeviceBuffer::of(batch.table), latents(200 * 1024),
                 rotated(200 * 128);
    StepSizes sizes = batch.sizes();
    sizes.context = 160;
    sizes.firstContextRow = 60;
    runEmulated(kernel, {&cache, &begins, &table, &latents, &rotated}, sizes);
    std::vector<uint16_t> left = latents.read<uint16_t>(160 * 512),
                          right = rotated.read<uint16_t>(160 * 64);
    for (int64_t r = 0; r < 160; ++r) {
      int64_t row = r + 60, sequence = row < 70 ? 0 : row < 73 ? 1 : 2;
      std::span<float> expected = batch.row(sequence, row - starts[sequence]);
      for (int64_t i = 0; i < 576; ++i)
        ASSERT_EQ(
            bf16ToFloat(i < 512 ? left[r * 512 + i] : right[r * 64 + i - 512]),
            expected[i])
            << "row " << row << " column " << i;
    }
  }
}

} // namespace
