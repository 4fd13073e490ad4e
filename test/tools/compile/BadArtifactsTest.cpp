//===- BadArtifactsTest.cpp - Real artifacts, damaged or misused ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/FileHeader.h"
#include "runtime/artifact/Hash.h"
#include "runtime/schema/artifact_generated.h"
#include "test/tools/compile/CompileTest.h"

using namespace dsv2;
using namespace dsv2::test;

namespace {

class BadArtifactsTest : public CompileTest {
protected:
  void SetUp() override {
    CompileTest::SetUp();
    compile("--max-context=32");
  }

  void compile(const std::string &flags) {
    ToolResult result = runTool(DSV2_COMPILE " -q " + checkpoint.path() +
                                " -o " + output + " " + flags);
    ASSERT_EQ(result.status, 0) << result;
    std::ifstream file(output, std::ios::binary);
    contents.assign(std::istreambuf_iterator<char>(file), {});
    std::memcpy(&header, contents.data(), sizeof(header));
  }
  void write(const std::string &bytes) { directory.write("model.dsv2", bytes); }

  /// The artifact with other metadata, and checksums that fit it.
  void writeChanged(const std::function<void(schema::ArtifactT &)> &change) {
    std::unique_ptr<schema::ArtifactT> artifact =
        schema::UnPackArtifact(contents.data() + header.metadataOffset);
    change(*artifact);
    flatbuffers::FlatBufferBuilder builder;
    schema::FinishArtifactBuffer(
        builder, schema::Artifact::Pack(builder, artifact.get()));
    std::string metadata(
        reinterpret_cast<const char *>(builder.GetBufferPointer()),
        builder.GetSize());
    FileHeader changed = header;
    changed.metadataBytes = metadata.size();
    changed.metadataHash = hashBytes(std::as_bytes(std::span(metadata)));
    changed.fileBytes = changed.metadataOffset + metadata.size();
    std::string bytes = contents.substr(0, header.metadataOffset) + metadata;
    std::memcpy(bytes.data(), &changed, sizeof(changed));
    write(bytes);
  }

  void expectRunError(const std::string &flags, const std::string &part) {
    expectError(DSV2_RUN " -q " + output + " " + flags, part);
  }
  void expectUnusable(const std::string &part) {
    expectRunError("--tokens=1 -n 1", part);
  }
  /// Neither runs nor can be looked at.
  void expectDamaged(const std::string &part) {
    expectUnusable(part);
    expectError(DSV2_INSPECT " " + output, part);
  }

  std::string contents;
  FileHeader header;
};

} // namespace

TEST_F(BadArtifactsTest, TheGoodOneRuns) {
  ToolResult result = runTool(DSV2_RUN " -q --tokens=1,2,3 -n 2 " + output);
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.err, "");
  EXPECT_NE(result.out, "");
}

TEST_F(BadArtifactsTest, Truncated) {
  for (size_t size : {size_t(0), size_t(7), size_t(63), size_t(4096),
                      size_t(header.metadataOffset), contents.size() - 1}) {
    write(contents.substr(0, size));
    expectDamaged(size < 8 ? "expected" : "truncated");
  }
  write(contents + "x");
  expectDamaged("corrupted");
}

TEST_F(BadArtifactsTest, BitsFlipped) {
  for (auto [at, part] :
       {std::pair(size_t(0), "expected a .dsv2 artifact"),
        std::pair(size_t(20), "artifact is"),
        std::pair(size_t(header.metadataOffset + 99), "its checksum differs"),
        std::pair(contents.size() - 1, "its checksum differs")}) {
    std::string damaged = contents;
    damaged[at] ^= 4;
    write(damaged);
    expectDamaged(part);
  }
  // Weights, which dsv2-inspect reads only when asked to.
  std::string damaged = contents;
  damaged[4096] ^= 4;
  write(damaged);
  expectUnusable("checksum");
  expectError(DSV2_INSPECT " --verify " + output, "corrupted");
}

TEST_F(BadArtifactsTest, OfAnotherVersion) {
  for (uint32_t version : {artifactVersion - 1, artifactVersion + 1}) {
    FileHeader other = header;
    other.version = version;
    std::string bytes = contents;
    std::memcpy(bytes.data(), &other, sizeof(other));
    write(bytes);
    expectDamaged("format version " + std::to_string(version));
    writeChanged([&](auto &artifact) { artifact.version = version; });
    expectDamaged("format version " + std::to_string(version));
  }
}

TEST_F(BadArtifactsTest, ForAnotherCPU) {
  writeChanged([](schema::ArtifactT &artifact) {
    for (auto &library : artifact.libraries)
      library->features |= uint64_t(1) << 63;
  });
  expectUnusable("this CPU");
  writeChanged([](schema::ArtifactT &artifact) { artifact.libraries.clear(); });
  expectUnusable("librar");
  writeChanged([](schema::ArtifactT &artifact) {
    artifact.libraries[0]->object.resize(100);
  });
  expectUnusable("kernel");
}

TEST_F(BadArtifactsTest, WithoutWeights) {
  compile("--weights=none");
  expectUnusable("--weights=none");
}

TEST_F(BadArtifactsTest, Context) {
  std::string tokens = "1";
  for (int i = 1; i < 33; ++i)
    tokens += "," + std::to_string(i);
  expectRunError("--tokens=" + tokens, "the prompt has 33 tokens");
  expectRunError("--tokens=1,2,3 -n 1 --ctx=2", "the prompt has 3 tokens");
  expectRunError("--tokens=1 --ctx=33", "at most 32");
  expectRunError("--tokens=1 --ctx=0x", "0x");
  // A generation that fills the context stops there, and says so.
  ToolResult result =
      runTool(DSV2_RUN " --tokens=1,2 -n 100 --ctx=8 --temp=0 " + output);
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_NE(result.err.find("the context of 8 tokens is full"),
            std::string::npos)
      << result;
}

TEST_F(BadArtifactsTest, Prompts) {
  expectRunError("--tokens=100 -n 1", "100");
  expectRunError("--tokens=-1 -n 1", "-1");
  expectRunError("--tokens=99999999999 -n 1", "99999999999");
  expectRunError("-p hello", "give token ids with --tokens");
  expectRunError("--chat", "tokenizer");
}
