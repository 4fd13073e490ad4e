//===- CorruptionTest.cpp - Damaged and foreign files ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/Hash.h"
#include "runtime/artifact/VerifyArtifact.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace dsv2;
using namespace dsv2::test;

namespace {

/// A valid artifact in memory, at a page boundary like a mapped one.
class CorruptionTest : public testing::Test {
protected:
  void SetUp() override {
    std::string path = directory.path("toy.dsv2");
    ASSERT_TRUE(writeToy(path).ok());
    contents = readFile(path);
    buffer.reset(static_cast<std::byte *>(
        std::aligned_alloc(4096, (contents.size() + 8191) / 4096 * 4096)));
    std::memcpy(buffer.get(), contents.data(), contents.size());
    std::memcpy(&header, contents.data(), sizeof(header));
  }

  std::span<std::byte> file() { return {buffer.get(), contents.size()}; }
  Status verify(size_t size) {
    return verifyArtifact(file().first(size)).status();
  }
  Status verify() { return verify(contents.size()); }
  void restore() {
    std::memcpy(buffer.get(), contents.data(), contents.size());
  }
  void setHeader(const FileHeader &changed) {
    std::memcpy(buffer.get(), &changed, sizeof(changed));
  }

  static void expectOneLine(const Status &status) {
    EXPECT_FALSE(status.message().empty());
    EXPECT_EQ(status.message().find('\n'), std::string::npos)
        << status.message();
  }

  struct Free {
    void operator()(std::byte *memory) const { std::free(memory); }
  };

  TemporaryDirectory directory;
  std::string contents;
  std::unique_ptr<std::byte, Free> buffer;
  FileHeader header;
};

} // namespace

TEST_F(CorruptionTest, EveryTruncationIsReported) {
  ASSERT_TRUE(verify().ok());
  for (size_t size = 0; size < contents.size(); ++size) {
    Status status = verify(size);
    ASSERT_EQ(status.code(), StatusCode::dataLoss) << size;
    expectOneLine(status);
    ASSERT_TRUE(size < 8 ||
                status.message().find("truncated") != std::string::npos)
        << size;
  }
}

TEST_F(CorruptionTest, OpenNamesTheTruncatedFile) {
  std::string path = directory.path("cut.dsv2");
  writeFile(path, contents.substr(0, 5000));
  Status status = Artifact::open(path).status();
  EXPECT_EQ(status.code(), StatusCode::dataLoss);
  EXPECT_NE(status.message().find(path), std::string::npos);
  EXPECT_NE(status.message().find("truncated"), std::string::npos);
  writeFile(path, "");
  EXPECT_FALSE(Artifact::open(path).ok());
  writeFile(path, "{\"model_type\": \"deepseek_v2\"}");
  EXPECT_NE(Artifact::open(path).status().message().find("expected a .dsv2"),
            std::string::npos);
}

TEST_F(CorruptionTest, EverySingleBitFlipInHeaderAndMetadataIsDetected) {
  auto flipAll = [&](size_t begin, size_t end) {
    for (size_t at = begin; at < end; ++at)
      for (int bit = 0; bit < 8; ++bit) {
        file()[at] ^= std::byte(1 << bit);
        Status status = verify();
        file()[at] ^= std::byte(1 << bit);
        ASSERT_FALSE(status.ok()) << "byte " << at << " bit " << bit;
        ASSERT_EQ(status.message().find('\n'), std::string::npos);
      }
  };
  flipAll(0, sizeof(FileHeader));
  flipAll(header.metadataOffset, contents.size());
  EXPECT_TRUE(verify().ok());
}

TEST_F(CorruptionTest, WeightFlipsAreDetected) {
  const schema::Weight &weight =
      *schema::GetArtifact(buffer.get() + header.metadataOffset)
           ->weights()
           ->Get(0);
  std::string path = directory.path("flipped.dsv2");
  for (uint64_t at : {uint64_t(0), weight.bytes() / 2, weight.bytes() - 1}) {
    std::string changed = contents;
    changed[weight.offset() + at] ^= 0x10;
    writeFile(path, changed);
    Status status = Artifact::open(path).status();
    EXPECT_EQ(status.code(), StatusCode::dataLoss);
    EXPECT_NE(status.message().find("weight 'head' is corrupted"),
              std::string::npos)
        << status.message();
  }
}

TEST_F(CorruptionTest, OtherVersionsNameTheRemedy) {
  FileHeader changed = header;
  changed.version = artifactVersion + 1;
  setHeader(changed);
  Status newer = verify();
  EXPECT_EQ(newer.code(), StatusCode::incompatible);
  EXPECT_NE(newer.message().find("newer dsv2"), std::string::npos);
  EXPECT_NE(newer.message().find("dsv2-compile"), std::string::npos);
  changed.version = 0;
  setHeader(changed);
  Status older = verify();
  EXPECT_EQ(older.code(), StatusCode::incompatible);
  EXPECT_NE(older.message().find("dsv2-compile"), std::string::npos);
}

TEST_F(CorruptionTest, TrailingBytesAreReported) {
  contents += "x";
  restore();
  EXPECT_EQ(verify().code(), StatusCode::dataLoss);
}

/// Damage that the checksum cannot see, because it was made with the file:
/// whatever the bytes are, the answer is a status or a usable artifact.
TEST_F(CorruptionTest, RandomFlipsUnderAValidChecksumNeverCrash) {
  unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  // Not in the kernel object, which is most of the file and opaque here.
  const schema::Artifact *root =
      schema::GetArtifact(buffer.get() + header.metadataOffset);
  const auto &object = *root->libraries()->Get(0)->object();
  size_t objectBegin =
      reinterpret_cast<const std::byte *>(object.data()) - buffer.get();
  size_t objectEnd = objectBegin + object.size();
  int accepted = 0, refused = 0;
  for (int trial = 0; trial < 30000; ++trial) {
    int flips = 1 + static_cast<int>(random() % 4);
    for (int flip = 0; flip < flips; ++flip) {
      size_t range = contents.size() - header.metadataOffset - object.size();
      size_t at = header.metadataOffset + random() % range;
      if (at >= objectBegin)
        at += objectEnd - objectBegin;
      file()[std::min(at, contents.size() - 1)] ^= std::byte(1 << random() % 8);
    }
    FileHeader changed = header;
    changed.metadataHash = hashBytes(file().subspan(header.metadataOffset));
    setHeader(changed);
    Status status = verify();
    (status.ok() ? accepted : refused) += 1;
    if (!status.ok())
      expectOneLine(status);
    std::memcpy(buffer.get(), contents.data(), sizeof(header));
    std::memcpy(buffer.get() + header.metadataOffset,
                contents.data() + header.metadataOffset,
                contents.size() - header.metadataOffset);
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(accepted, 100);
}
