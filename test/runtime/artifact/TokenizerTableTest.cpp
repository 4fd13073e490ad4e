//===- TokenizerTableTest.cpp - Tokenizers inside artifacts ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/TokenizerTable.h"
#include "runtime/artifact/Artifact.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

using namespace dsv2;
using namespace dsv2::test;

static TokenizerModel sampleTokenizer() {
  TokenizerModel model;
  model.vocabulary = {"a", "b", "", "ab", std::string("\0\xff", 2), "<eos>"};
  model.merges = {{0, 1, 3}};
  model.addedTokens.push_back({5, "<eos>", true, false, true, false, true});
  PreTokenizerStep step;
  step.kind = PreTokenizerKind::split;
  step.behavior = SplitBehavior::mergedWithNext;
  step.invert = true;
  step.pattern = "\\p{L}+";
  model.preTokenizer.push_back(step);
  model.addPrefixSpace = true;
  model.ignoreMerges = true;
  model.addBos = true;
  model.addEos = true;
  model.bosId = 4;
  model.eosId = 5;
  model.stopIds = {5, 4};
  model.chatFormat = ChatFormatKind::v25;
  return model;
}

TEST(TokenizerTableTest, RoundTrip) {
  TemporaryDirectory directory;
  TokenizerModel model = sampleTokenizer();
  std::string path = directory.path("toy.dsv2");
  Status status = writeToy(path, [&](schema::ArtifactT &artifact) {
    artifact.tokenizer = packTokenizer(model);
    artifact.model->eos = model.stopIds;
  });
  ASSERT_TRUE(status.ok()) << status.message();
  Result<Artifact> artifact = Artifact::open(path);
  ASSERT_TRUE(artifact.ok());
  Result<TokenizerModel> read = unpackTokenizer(artifact->metadata());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->vocabulary, model.vocabulary);
  ASSERT_EQ(read->merges.size(), 1u);
  EXPECT_EQ(read->merges[0].left, 0);
  EXPECT_EQ(read->merges[0].right, 1);
  EXPECT_EQ(read->merges[0].merged, 3);
  ASSERT_EQ(read->addedTokens.size(), 1u);
  EXPECT_EQ(read->addedTokens[0].id, 5);
  EXPECT_EQ(read->addedTokens[0].content, "<eos>");
  EXPECT_TRUE(read->addedTokens[0].special);
  EXPECT_FALSE(read->addedTokens[0].normalized);
  EXPECT_TRUE(read->addedTokens[0].lstrip);
  EXPECT_FALSE(read->addedTokens[0].rstrip);
  EXPECT_TRUE(read->addedTokens[0].singleWord);
  ASSERT_EQ(read->preTokenizer.size(), 1u);
  EXPECT_EQ(read->preTokenizer[0].kind, PreTokenizerKind::split);
  EXPECT_EQ(read->preTokenizer[0].behavior, SplitBehavior::mergedWithNext);
  EXPECT_TRUE(read->preTokenizer[0].invert);
  EXPECT_EQ(read->preTokenizer[0].pattern, "\\p{L}+");
  EXPECT_TRUE(read->addPrefixSpace);
  EXPECT_TRUE(read->ignoreMerges);
  EXPECT_TRUE(read->addBos);
  EXPECT_TRUE(read->addEos);
  EXPECT_EQ(read->bosId, 4);
  EXPECT_EQ(read->eosId, 5);
  EXPECT_EQ(read->stopIds, model.stopIds);
  EXPECT_EQ(read->chatFormat, ChatFormatKind::v25);
}

TEST(TokenizerTableTest, RefusesWhatDoesNotFitTogether) {
  using schema::TokenizerT;
  struct Case {
    const char *expected;
    void (*change)(TokenizerT &);
  };
  const Case cases[] = {
      {"no tokens", [](TokenizerT &t) { t.token_offsets.clear(); }},
      {"outside its bytes", [](TokenizerT &t) { t.token_offsets[1] = 1000; }},
      {"outside its bytes", [](TokenizerT &t) { t.token_offsets[0] = 2; }},
      {"marks of their presence",
       [](TokenizerT &t) { t.token_present.pop_back(); }},
      {"unknown kind", [](TokenizerT &t) { t.pre_tokenizer[0]->kind = 9; }},
      {"unknown kind", [](TokenizerT &t) { t.pre_tokenizer[0]->behavior = 9; }},
      {"chat format", [](TokenizerT &t) { t.chat_format = 200; }},
  };
  for (const Case &test : cases) {
    schema::ArtifactT artifact = toyMetadata();
    artifact.tokenizer = packTokenizer(sampleTokenizer());
    test.change(*artifact.tokenizer);
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(schema::Artifact::Pack(builder, &artifact));
    Result<TokenizerModel> read =
        unpackTokenizer(*schema::GetArtifact(builder.GetBufferPointer()));
    ASSERT_FALSE(read.ok()) << test.expected;
    EXPECT_NE(read.status().message().find(test.expected), std::string::npos)
        << read.status().message();
  }
}

TEST(TokenizerTableTest, Absent) {
  schema::ArtifactT artifact = toyMetadata();
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::Artifact::Pack(builder, &artifact));
  EXPECT_EQ(unpackTokenizer(*schema::GetArtifact(builder.GetBufferPointer()))
                .status()
                .code(),
            StatusCode::notFound);
}
