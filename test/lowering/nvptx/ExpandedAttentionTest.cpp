//===- ExpandedAttentionTest.cpp - Attention over expanded keys -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionExpanded.h"
#include "lowering/NVPTX/AttentionWork.h"
#include "test/lowering/nvptx/Integers.h"
#include "test/lowering/nvptx/LatentBatch.h"

#include <gtest/gtest.h>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

TEST(NVPTXAttentionWorkTest, CoversEachTokenOfEachHeadOnce) {
  Integers math;
  for (int64_t tokens : {1, 100, 128, 129, 400})
    for (int64_t before : {0, 1, 127, 128, 300}) {
      constexpr int64_t heads = 3;
      int64_t context = before + tokens;
      std::map<std::pair<int64_t, int64_t>, int64_t> seen;
      for (int64_t i = 0; i < heads * ((tokens + 127) / 128); ++i) {
        ExpandedItem<int64_t> item = expandedItemOf(math, i, tokens, context);
        int64_t end = std::min(item.firstToken + 128, tokens);
        for (int64_t t = item.firstToken; t < end; ++t) {
          ++seen[{item.head, t}];
          ASSERT_LE(before + t + 1, item.blocks * 128);
        }
        ASSERT_LT((item.blocks - 1) * 128, before + end);
      }
      ASSERT_EQ(static_cast<int64_t>(seen.size()), heads * tokens);
      for (auto &[where, count] : seen)
        ASSERT_EQ(count, 1);
    }
}

TEST(NVPTXExpandedAttentionTest, AssemblesForModels) {
  SKIP_WITHOUT_PTXAS();
  for (int64_t heads : {16, 128}) {
    ExpandedAttentionSpec spec;
    spec.tokens = 8192;
    spec.sequences = 256;
    spec.context = 1 << 17;
    spec.heads = heads;
    spec.cache.rows = 1 << 20;
    spec.cache.pageSize = heads == 16 ? 64 : 128;
    spec.cache.pagesPerSequence = 163840 / spec.cache.pageSize;
    spec.scale = 0.1147f;
    AssembledKernel kernel([&](ModuleOp m) {
      return emitExpandedAttention(m, "attention", spec);
    });
    kernel.expectClean({{"HGMMA", 40}, {"UTMALDG", 9}});
    EXPECT_LE(kernel.info().sharedBytes, maxSharedBytes);
  }
}

TEST(NVPTXExpandedAttentionTest, RefusesWhatItCannot) {
  ExpandedAttentionSpec spec;
  spec.sequences = 1;
  spec.cache.rope = 32;
  std::string error;
  EXPECT_TRUE(failed(checkExpandedAttention(spec, error)));
  EXPECT_NE(error.find("128 + 32"), std::string::npos) << error;
}

class ExpandedAttention
    : public testing::TestWithParam<std::vector<LatentBatch::Sequence>> {};

TEST_P(ExpandedAttention, MatchesLoops) {
  constexpr int64_t heads = 2, latent = 128, width = latent + 64;
  std::mt19937 random(31);
  LatentBatch batch(GetParam(), 6, width, random);
  std::vector<int32_t> starts = {0};
  for (int32_t length : batch.lengths)
    starts.push_back(starts.back() + length);
  int64_t context = starts.back(), tokens = batch.tokens();
  ExpandedAttentionSpec spec;
  spec.tokens = tokens + 5;
  spec.sequences = static_cast<int64_t>(batch.lengths.size()) + 1;
  spec.context = context + 7;
  spec.heads = heads;
  spec.cache.latent = latent;
  spec.cache.rows = batch.cacheRows();
  spec.cache.pagesPerSequence = batch.pages;
  spec.scale = 0.1147f;
  std::string error;
  ASSERT_TRUE(succeeded(checkExpandedAttention(spec, error))) << error;
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitExpandedAttention(m, "attention", spec); });
  kernel.expectClean({{"HGMMA", 40}, {"UTMALDG", 9}});

  auto rounded = [&](int64_t count) {
    std::vector<float> values = randomFloats(count, random);
    for (float &v : values)
      v = bf16ToFloat(floatToBf16(v));
    return values;
  };
  std::vector<float> nope = rounded(tokens * heads * 128),
                     rope = rounded(tokens * heads * 64),
                     key = rounded(context * heads * 128),
                     value = rounded(context * heads * 128);
  DeviceBuffer nopes = DeviceBuffer::of(bf16Of(nope), 5 * heads * 128),
               ropes = DeviceBuffer::of(bf16Of(rope), 5 * heads * 64),
               keys = DeviceBuffer::of(bf16Of(key), 7 * heads * 128),
               values = DeviceBuffer::of(bf16Of(value), 7 * heads * 128),
               cache = DeviceBuffer::of(bf16Of(batch.cache)),
               offsets = DeviceBuffer::of(batch.offsets),
               lengths = DeviceBuffer::of(batch.lengths),
               begins = DeviceBuffer::of(starts),
               table = DeviceBuffer::of(batch.table),
               out(spec.tokens * heads * 128 * 2);
  // Many items for a block, and blocks without any.
  std::vector<uint16_t> actual;
  for (auto [seed, blocks] : {std::pair(1, 3), std::pair(2, 40)}) {
    runEmulated(kernel,
                {&nopes, &ropes, &keys, &values, &cache, &offsets, &lengths,
                 &begins, &table, &out},
                batch.sizes(), seed, blocks);
    std::vector<uint16_t> result = out.read<uint16_t>(tokens * heads * 128);
    ASSERT_TRUE(actual.empty() || actual == result);
    actual = result;
  }
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t h = 0; h < heads; ++h) {
      int64_t visible = batch.positions[t] + 1, sequence = batch.sequences[t];
      std::vector<double> scores(visible), expected(128);
      double sum = 0;
      for (int64_t j = 0; j < visible; ++j) {
        int64_t row = (starts[sequence] + j) * heads + h;
        for (int64_t i = 0; i < 128; ++i)
          scores[j] += nope[(t * heads + h) * 128 + i] * key[row * 128 + i];
        for (int64_t i = 0; i < 64; ++i)
          scores[j] += rope[(t * heads + h) * 64 + i] *
                       batch.row(sequence, j)[latent + i];
        double power = std::exp(scores[j] * spec.scale);
        sum += power;
        for (int64_t i = 0; i < 128; ++i)
          expected[i] += power * value[row * 128 + i];
      }
      for (int64_t i = 0; i < 128; ++i)
        ASSERT_NEAR(bf16ToFloat(actual[(t * heads + h) * 128 + i]),
                    expected[i] / sum, 0.008)
            << "token " << t << " head " << h << " column " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(
    NVPTX, ExpandedAttention,
    testing::Values(std::vector<LatentBatch::Sequence>{{70, 70}, {3, 200}},
                    std::vector<LatentBatch::Sequence>{
                        {1, 1}, {0, 40}, {140, 300}},
                    std::vector<LatentBatch::Sequence>{
                        {129, 130}, {2, 2}, {64, 384}, {33, 161}}));

} // namespace
