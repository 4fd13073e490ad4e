//===- BatchBuilderTest.cpp - Arrays of ragged batches --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/BatchBuilder.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

using namespace dsv2;
using namespace dsv2::test;
using schema::BatchField;

namespace {

class BatchBuilderTest : public testing::Test {
protected:
  void SetUp() override {
    schema::ArtifactT artifact = toyMetadata();
    artifact.limits->max_context = 10; // 3 pages of 4
    flatbuffers::FlatBufferBuilder buffer;
    buffer.Finish(schema::Artifact::Pack(buffer, &artifact));
    const auto *limits =
        schema::GetArtifact(buffer.GetBufferPointer())->limits();
    Result<BatchBuilder> created = BatchBuilder::create(*limits, 4);
    ASSERT_TRUE(created.ok());
    builder = *std::move(created);
  }

  std::vector<int32_t> field(BatchField field, int64_t count) const {
    const int32_t *array = builder.arrays()[static_cast<size_t>(field)];
    return {array, array + count};
  }

  BatchBuilder builder;
};

using Ints = std::vector<int32_t>;

} // namespace

TEST_F(BatchBuilderTest, RaggedBatch) {
  PagedCache cache(8, 4, 10);
  SequenceId a = cache.create(), b = cache.create();
  // a takes page 0, b page 1, then a page 2: its rows are not contiguous.
  cache.grow(*cache.find(a), 3);
  cache.grow(*cache.find(b), 1);
  Ints tokensOfA = {10, 11, 12}, tokensOfB = {20};
  cache.grow(*cache.find(a), 3);
  cache.grow(*cache.find(b), 1);
  SequenceInput inputs[] = {{b, tokensOfB, LogitsMode::last},
                            {a, tokensOfA, LogitsMode::all}};
  StepSizes sizes = builder.build(inputs, cache, true);

  EXPECT_EQ(sizes.tokens, 4);
  EXPECT_EQ(sizes.sequences, 2);
  EXPECT_EQ(sizes.context, 8);
  EXPECT_EQ(sizes.logitRows, 4);
  EXPECT_EQ(field(BatchField::tokens, 4), Ints({20, 10, 11, 12}));
  EXPECT_EQ(field(BatchField::positions, 4), Ints({1, 3, 4, 5}));
  EXPECT_EQ(field(BatchField::token_sequence, 4), Ints({0, 1, 1, 1}));
  EXPECT_EQ(field(BatchField::cache_rows, 4), Ints({5, 3, 8, 9}));
  EXPECT_EQ(field(BatchField::query_offsets, 3), Ints({0, 1, 4}));
  EXPECT_EQ(field(BatchField::context_lengths, 2), Ints({2, 6}));
  EXPECT_EQ(field(BatchField::context_offsets, 3), Ints({0, 2, 8}));
  EXPECT_EQ(field(BatchField::page_table, 1), Ints({1}));
  Ints table = field(BatchField::page_table, 5);
  EXPECT_EQ(Ints(table.begin() + 3, table.end()), Ints({0, 2}));
  EXPECT_EQ(field(BatchField::context_rows, 8), Ints({4, 5, 0, 1, 2, 3, 8, 9}));
  EXPECT_EQ(field(BatchField::context_sequence, 8),
            Ints({0, 0, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(field(BatchField::context_position, 8),
            Ints({0, 1, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(field(BatchField::logit_rows, 4), Ints({0, 1, 2, 3}));
}

TEST_F(BatchBuilderTest, LogitModes) {
  PagedCache cache(8, 4, 10);
  Ints tokens = {1, 2, 3};
  std::vector<SequenceInput> inputs;
  for (LogitsMode mode :
       {LogitsMode::none, LogitsMode::last, LogitsMode::none}) {
    SequenceId id = cache.create();
    cache.grow(*cache.find(id), 3);
    inputs.push_back({id, tokens, mode});
  }
  EXPECT_EQ(builder.build(inputs, cache, false).logitRows, 1);
  EXPECT_EQ(field(BatchField::logit_rows, 1), Ints({5}));
}

TEST_F(BatchBuilderTest, ArraysAreAlignedAndApart) {
  std::vector<int32_t *> arrays(builder.arrays().begin(),
                                builder.arrays().end());
  for (int32_t *array : arrays)
    EXPECT_EQ(reinterpret_cast<uintptr_t>(array) % 64, 0u);
  std::sort(arrays.begin(), arrays.end());
  EXPECT_EQ(std::adjacent_find(arrays.begin(), arrays.end()), arrays.end());
}
