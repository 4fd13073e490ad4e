//===- ArtifactTest.cpp - Writing and opening artifacts -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Artifact.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

using namespace dsv2;
using namespace dsv2::test;

TEST(ArtifactTest, OpensWhatTheWriterWrote) {
  TemporaryDirectory directory;
  std::string path = directory.path("toy.dsv2");
  ASSERT_TRUE(writeToy(path).ok());
  Result<Artifact> artifact = Artifact::open(path);
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  EXPECT_EQ(artifact->metadata().model()->name()->str(), "toy");
  EXPECT_EQ(artifact->metadata().plan()->programs()->size(), 2u);
  EXPECT_TRUE(artifact->hasWeights());
  EXPECT_EQ(artifact->weightBytes(), toyVocab * sizeof(float));
  EXPECT_EQ(artifact->fileBytes(), std::filesystem::file_size(path));

  std::span<const std::byte> bytes = artifact->weight(0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % segmentAlignment, 0u);
  std::vector<float> expected = toyWeight();
  ASSERT_EQ(bytes.size(), expected.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(bytes.data(), expected.data(), bytes.size()), 0);
  const auto *constants = artifact->metadata().plan()->constants();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(constants->data()) % 64, 0u);
}

TEST(ArtifactTest, WritesWeightsInPieces) {
  TemporaryDirectory directory;
  std::string path = directory.path("toy.dsv2");
  std::string payload(100'000, '\0');
  for (size_t i = 0; i < payload.size(); ++i)
    payload[i] = static_cast<char>(i * 31 >> 3);
  auto bytes = std::as_bytes(std::span(payload));

  Result<ArtifactWriter> writer = ArtifactWriter::create(path);
  ASSERT_TRUE(writer.ok());
  schema::ArtifactT metadata = toyMetadata();
  metadata.weights.clear();
  for (size_t piece : {1ul, 63ul, 4096ul, payload.size()}) {
    ASSERT_TRUE(writer->beginWeight().ok());
    for (size_t at = 0; at < bytes.size(); at += piece)
      ASSERT_TRUE(
          writer->append(bytes.subspan(at, std::min(piece, bytes.size() - at)))
              .ok());
    Result<WeightSegment> segment = writer->endWeight();
    ASSERT_TRUE(segment.ok());
    EXPECT_EQ(segment->offset % segmentAlignment, 0u);
    EXPECT_EQ(segment->bytes, payload.size());
    EXPECT_EQ(segment->hash, hashBytes(bytes));
    auto weight = std::make_unique<schema::WeightT>();
    weight->name = "w" + std::to_string(piece);
    weight->offset = segment->offset;
    weight->bytes = segment->bytes;
    weight->hash = segment->hash;
    metadata.weights.push_back(std::move(weight));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  Status finished = writer->finish(metadata);
  ASSERT_TRUE(finished.ok()) << finished.message();

  Result<Artifact> artifact = Artifact::open(path);
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  for (uint32_t index = 0; index < 4; ++index)
    EXPECT_EQ(std::memcmp(artifact->weight(index).data(), payload.data(),
                          payload.size()),
              0);
}

TEST(ArtifactTest, WriterRefusesWhatTheLoaderWould) {
  TemporaryDirectory directory;
  std::string path = directory.path("toy.dsv2");
  Status status = writeToy(path, [](schema::ArtifactT &artifact) {
    artifact.plan->programs[0]->dispatches[0]->kernel = 99;
  });
  EXPECT_EQ(status.code(), StatusCode::dataLoss);
  EXPECT_NE(status.message().find("kernel 99"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ArtifactTest, WriterReportsMisuse) {
  TemporaryDirectory directory;
  Result<ArtifactWriter> writer =
      ArtifactWriter::create(directory.path("toy.dsv2"));
  ASSERT_TRUE(writer.ok());
  EXPECT_FALSE(writer->endWeight().ok());
  EXPECT_FALSE(writer->append({}).ok());
  ASSERT_TRUE(writer->beginWeight().ok());
  EXPECT_FALSE(writer->beginWeight().ok());
  EXPECT_FALSE(writer->endWeight().ok());
  schema::ArtifactT metadata = toyMetadata();
  EXPECT_FALSE(writer->finish(metadata).ok());
  EXPECT_FALSE(
      ArtifactWriter::create(directory.path("no/such/folder.dsv2")).ok());
}

TEST(ArtifactTest, WithoutWeights) {
  TemporaryDirectory directory;
  std::string path = directory.path("toy.dsv2");
  ASSERT_TRUE(writeToy(path, [](schema::ArtifactT &artifact) {
                artifact.weights[0]->offset = 0;
              }).ok());
  Result<Artifact> artifact = Artifact::open(path);
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  EXPECT_FALSE(artifact->hasWeights());
  Status status = artifact->requireWeights();
  EXPECT_EQ(status.code(), StatusCode::incompatible);
  EXPECT_NE(status.message().find("--weights=none"), std::string::npos);
  EXPECT_FALSE(artifact->verifyWeights().ok());
}

TEST(ArtifactTest, MissingFile) {
  TemporaryDirectory directory;
  EXPECT_EQ(Artifact::open(directory.path("absent.dsv2")).status().code(),
            StatusCode::notFound);
}
