//===- RowAttentionTest.cpp - Latent attention of any shape ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionRows.h"
#include "test/lowering/nvptx/LatentBatch.h"

#include <gtest/gtest.h>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

struct Case {
  int64_t heads, latent, rope;
  bool bf16Output;
};

/// Names the parameter of a test in its listing.
std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.heads << "x" << c.latent << "_" << c.rope
            << (c.bf16Output ? "_bf16" : "_f32");
}

class RowAttentionTest : public testing::TestWithParam<Case> {};

TEST_P(RowAttentionTest, MatchesLoops) {
  auto [heads, latent, rope, bf16Output] = GetParam();
  std::mt19937 random(23);
  int64_t width = latent + rope;
  LatentBatch batch({{1, 1}, {3, 70}, {2, 129}}, 3, width, random);
  RowAttentionSpec spec = {.heads = heads,
                           .latent = latent,
                           .rope = rope,
                           .pageSize = 64,
                           .pagesPerSequence = batch.pages,
                           .scale = 0.21f,
                           .bf16Output = bf16Output};
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitRowAttention(m, "attention", spec); });
  kernel.expectClean();

  int64_t rows = batch.tokens() * heads;
  std::vector<uint16_t> latents = bf16Of(randomFloats(rows * latent, random));
  std::vector<uint16_t> rotated = bf16Of(randomFloats(rows * rope, random));
  DeviceBuffer queries = DeviceBuffer::of(latents),
               keys = DeviceBuffer::of(rotated),
               cache = DeviceBuffer::of(bf16Of(batch.cache)),
               positions = DeviceBuffer::of(batch.positions),
               sequences = DeviceBuffer::of(batch.sequences),
               table = DeviceBuffer::of(batch.table),
               out(rows * latent * (bf16Output ? 2 : 4));
  runEmulated(kernel,
              {&queries, &keys, &cache, &positions, &sequences, &table, &out},
              batch.sizes());

  for (int64_t r = 0; r < rows; ++r) {
    int64_t token = r / heads;
    std::vector<double> expected(latent);
    double sum = 0;
    for (int64_t j = 0; j <= batch.positions[token]; ++j) {
      std::span<float> row = batch.row(batch.sequences[token], j);
      double score = 0;
      for (int64_t i = 0; i < width; ++i)
        score += double(row[i]) *
                 bf16ToFloat(i < latent ? latents[r * latent + i]
                                        : rotated[r * rope + i - latent]);
      double weight = std::exp(score * spec.scale);
      sum += weight;
      for (int64_t i = 0; i < latent; ++i)
        expected[i] += weight * row[i];
    }
    for (int64_t i = 0; i < latent; ++i) {
      int64_t at = r * latent + i;
      float found =
          bf16Output ? bf16ToFloat(reinterpret_cast<uint16_t *>(out.data())[at])
                     : reinterpret_cast<float *>(out.data())[at];
      ASSERT_NEAR(found, expected[i] / sum, bf16Output ? 4e-3 : 1e-5)
          << "row " << r << " column " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(NVPTX, RowAttentionTest,
                         testing::Values(Case{5, 48, 8, true},
                                         Case{4, 64, 16, false}));

} // namespace
