//===- FilesTest.cpp - Mapped and atomic files ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/base/AtomicFile.h"
#include "runtime/base/MappedFile.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <sys/resource.h>
#include <unistd.h>

using namespace dsv2;

namespace {
class FilesTest : public testing::Test {
protected:
  FilesTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "dsv2-test-XXXXXX").string();
    if (char *made = ::mkdtemp(pattern.data()))
      directory = made;
    EXPECT_FALSE(directory.empty());
  }
  ~FilesTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  std::string path(const char *name) const { return directory + "/" + name; }

  static std::string read(const std::string &path) {
    Result<MappedFile> file = MappedFile::open(path);
    EXPECT_TRUE(file.ok()) << file.status().message();
    return file.ok() ? std::string(reinterpret_cast<const char *>(file->data()),
                                   file->size())
                     : "";
  }

  size_t fileCount() const {
    auto files = std::filesystem::directory_iterator(directory);
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

  std::string directory;
};
} // namespace

static std::span<const std::byte> bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

static void expectFailure(const Status &status, StatusCode code,
                          const std::string &part) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
}

TEST_F(FilesTest, MapsAFile) {
  std::ofstream(path("a")) << "hello";
  Result<MappedFile> file = MappedFile::open(path("a"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size(), 5u);
  EXPECT_EQ(file->path(), path("a"));
  const std::byte *address = file->data();
  MappedFile moved = *std::move(file);
  EXPECT_EQ(moved.data(), address);
  EXPECT_EQ(static_cast<char>(moved.bytes()[4]), 'o');
  // Advice is a hint: any range is accepted.
  moved.advise(MappedFile::Access::sequential);
  moved.advise(MappedFile::Access::soon, 3, SIZE_MAX);
  moved.advise(MappedFile::Access::random, 100, 1);
  moved.advise(MappedFile::Access::notAgain, 0, 0);
  moved.advise(MappedFile::Access::inHugePages);
  moved.populate(1, SIZE_MAX);
  EXPECT_EQ(static_cast<char>(moved.bytes()[0]), 'h');
}

TEST_F(FilesTest, MapsAnEmptyFile) {
  std::ofstream(path("empty")).flush();
  Result<MappedFile> file = MappedFile::open(path("empty"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size(), 0u);
  file->advise(MappedFile::Access::soon);
}

TEST_F(FilesTest, ReportsWhatCannotBeMapped) {
  expectFailure(MappedFile::open(path("absent")).status(), StatusCode::notFound,
                path("absent"));
  expectFailure(MappedFile::open(directory).status(),
                StatusCode::invalidArgument, "directory");
  expectFailure(MappedFile::open("/dev/null").status(),
                StatusCode::invalidArgument, "regular file");
}

TEST_F(FilesTest, AppearsOnCommitOnly) {
  Result<AtomicFile> file = AtomicFile::create(path("out"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE(file->append("header--").ok());
  EXPECT_TRUE(file->padTo(16).ok());
  EXPECT_EQ(file->position(), 16u);
  EXPECT_TRUE(file->append("data").ok());
  EXPECT_TRUE(file->writeAt(0, bytesOf("HEADER")).ok());
  EXPECT_FALSE(std::filesystem::exists(path("out")));
  EXPECT_TRUE(file->commit().ok());
  EXPECT_EQ(read(path("out")), std::string("HEADER--\0\0\0\0\0\0\0\0data", 20));
  EXPECT_EQ(fileCount(), 1u);
  expectFailure(file->append("more"), StatusCode::internal, "after");
  expectFailure(file->commit(), StatusCode::internal, "after");
}

/// Whatever the pieces, the file is the same, and blocks arrive as such.
TEST_F(FilesTest, AppendsInBlocks) {
  for (size_t piece : {1, 3, 8, 11, 16, 40}) {
    Result<AtomicFile> file = AtomicFile::create(path("out"));
    ASSERT_TRUE(file.ok()) << file.status().message();
    file->appendBlocks(8);
    std::string expected;
    for (char letter = 'a'; letter <= 'e'; ++letter) {
      std::string text(piece, letter);
      EXPECT_TRUE(file->append(text).ok());
      expected += text;
      EXPECT_EQ(file->position(), expected.size());
    }
    EXPECT_TRUE(file->flush().ok());
    EXPECT_TRUE(file->writeAt(0, bytesOf("X")).ok());
    EXPECT_TRUE(file->append("end").ok());
    EXPECT_TRUE(file->commit().ok());
    expected[0] = 'X';
    EXPECT_EQ(read(path("out")), expected + "end") << piece;
  }
}

TEST_F(FilesTest, KeepsTheOldFileWhenDiscarded) {
  std::ofstream(path("out")) << "old";
  {
    Result<AtomicFile> file = AtomicFile::create(path("out"));
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE(file->append("new").ok());
    AtomicFile moved = *std::move(file);
    EXPECT_TRUE(moved.append("er").ok());
    EXPECT_EQ(fileCount(), 2u);
  }
  EXPECT_EQ(read(path("out")), "old");
  EXPECT_EQ(fileCount(), 1u);
}

TEST_F(FilesTest, ReplacesTheOldFile) {
  std::ofstream(path("out")) << "old and longer";
  Result<AtomicFile> file = AtomicFile::create(path("out"));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->append("new").ok());
  EXPECT_TRUE(file->commit().ok());
  EXPECT_EQ(read(path("out")), "new");
  EXPECT_EQ(fileCount(), 1u);
}

TEST_F(FilesTest, WritesFromSeveralThreadsAndBeyond4GiB) {
  constexpr uint64_t far = (uint64_t(1) << 32) + 10;
  Result<AtomicFile> file = AtomicFile::create(path("sparse"));
  ASSERT_TRUE(file.ok());
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      EXPECT_TRUE(file->writeAt(far + 4 * t, bytesOf("abcd")).ok());
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_TRUE(file->commit().ok());
  Result<MappedFile> mapped = MappedFile::open(path("sparse"));
  ASSERT_TRUE(mapped.ok());
  EXPECT_EQ(mapped->size(), far + 16);
  EXPECT_EQ(static_cast<char>(mapped->data()[far + 15]), 'd');
}

TEST_F(FilesTest, ReportsWhatCannotBeCreated) {
  expectFailure(AtomicFile::create(path("no/such/place")).status(),
                StatusCode::ioError, "cannot create");
  expectFailure(AtomicFile::create(directory).status(),
                StatusCode::invalidArgument, "not a regular file");
  EXPECT_EQ(fileCount(), 0u);
}

TEST_F(FilesTest, ReportsAFullDisk) {
  // A limit of the process stands in for a full disk.
  rlimit old;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto oldHandler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = {1 << 16, old.rlim_max};
  {
    Result<AtomicFile> file = AtomicFile::create(path("big"));
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    Status status = file->append(std::string(1 << 17, 'x'));
    ::setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, oldHandler);
    expectFailure(status, StatusCode::exhausted, path("big"));
  }
  EXPECT_EQ(fileCount(), 0u);
}
