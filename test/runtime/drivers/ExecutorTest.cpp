//===- ExecutorTest.cpp - Running programs --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/Executor.h"
#include "runtime/artifact/Artifact.h"
#include "runtime/drivers/cpu/LargeBuffer.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>

using namespace dsv2;
using namespace dsv2::test;
using schema::Dim;

namespace {

constexpr uint64_t arenaBytes = 1 << 16;

/// One program of toy kernels, on memory that the test looks at.
class ExecutorTest : public testing::Test {
protected:
  using Dispatches = std::vector<std::unique_ptr<schema::DispatchT>>;

  void load(Dispatches dispatches, int threads,
            std::vector<uint8_t> constants = {}) {
    std::string path = directory.path("toy.dsv2");
    Status written = writeToy(path, [&](schema::ArtifactT &metadata) {
      metadata.plan->arena_bytes = arenaBytes;
      metadata.plan->programs.resize(1);
      metadata.plan->programs[0]->dispatches = std::move(dispatches);
      metadata.plan->constants = std::move(constants);
    });
    ASSERT_TRUE(written.ok()) << written.message();
    Result<Artifact> opened = Artifact::open(path);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    artifact.emplace(*std::move(opened));
    Result<KernelLibrary> loaded = KernelLibrary::load(artifact->metadata(), 0);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    library.emplace(*std::move(loaded));
    ThreadPoolOptions options;
    options.threads = threads;
    Result<std::unique_ptr<ThreadPool>> created = ThreadPool::create(options);
    ASSERT_TRUE(created.ok());
    pool = *std::move(created);
    arena.assign(arenaBytes / 4, 0);
    tokens.assign(64, 0);
    ExecutorBuffers buffers;
    buffers.arena = reinterpret_cast<std::byte *>(arena.data());
    buffers.batch.fill(tokens.data());
    executor.emplace(*artifact, *library, *pool, buffers);
  }

  void run(int64_t tokenCount = 1, int64_t sequences = 1, int64_t context = 1,
           int64_t logitRows = 1) {
    executor->run(0, {tokenCount, sequences, context, logitRows});
  }

  /// Element `index` of the arena as int32.
  int32_t &at(size_t index) { return arena[index]; }

  TemporaryDirectory directory;
  std::optional<Artifact> artifact;
  std::optional<KernelLibrary> library;
  std::unique_ptr<ThreadPool> pool;
  std::vector<int32_t> arena, tokens;
  std::optional<Executor> executor;
};

std::unique_ptr<schema::DispatchT>
count(uint64_t offset, schema::Workgroups workgroups, bool barrier = true) {
  return makeDispatch(ToyKernel::count, workgroups, {arenaAt(offset)}, barrier);
}

} // namespace

TEST_F(ExecutorTest, EveryWorkgroupRunsExactlyOnce) {
  for (int threads = 1; threads <= 4; ++threads)
    for (int64_t workgroups : {0, 1, 2, 3, 7, 64, 1000}) {
      Dispatches dispatches;
      for (int i = 0; i < 3; ++i)
        dispatches.push_back(
            count(i * 4096, {workgroups, 1, -1, Dim::one}, i == 2));
      load(std::move(dispatches), threads);
      for (int repeat = 0; repeat < 20; ++repeat)
        run();
      for (int i = 0; i < 3; ++i)
        for (int64_t workgroup = 0; workgroup < 1024; ++workgroup)
          ASSERT_EQ(at(i * 1024 + workgroup), workgroup < workgroups ? 20 : 0)
              << threads << " threads, " << workgroups << " workgroups";
    }
}

TEST_F(ExecutorTest, CountsFollowTheSizesOfTheStep) {
  Dispatches dispatches;
  const Dim dims[] = {Dim::one, Dim::tokens, Dim::sequences, Dim::context,
                      Dim::logit_rows};
  for (int i = 0; i < 5; ++i)
    dispatches.push_back(count(i * 4096, {3, 4, -1, dims[i]}));
  load(std::move(dispatches), 2);
  run(/*tokens=*/24, /*sequences=*/5, /*context=*/9, /*logitRows=*/0);
  const int64_t expected[] = {3, 18, 6, 9, 0};
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(std::count(&at(i * 1024), &at(i * 1024) + 1024, 1), expected[i]);
}

TEST_F(ExecutorTest, IndirectCounts) {
  Dispatches dispatches;
  dispatches.push_back(
      makeDispatch(ToyKernel::firstToken, {1, 1, -1, Dim::one},
                   {batch(schema::BatchField::tokens), arenaAt(32768)}));
  dispatches.push_back(count(0, {5, 1, 32768, Dim::one}));
  load(std::move(dispatches), 3);
  for (int32_t factor : {0, 1, 7, -3}) {
    std::fill(arena.begin(), arena.end(), 0);
    tokens[0] = factor;
    run();
    EXPECT_EQ(std::count(arena.begin(), arena.begin() + 1024, 1),
              5 * std::max(factor, 0));
  }
}

/// Several hundred dependent dispatches, in which any barrier that fails to
/// hold changes the result.
TEST_F(ExecutorTest, BarriersUnderStress) {
  constexpr int32_t elements = 67, dispatchCount = 400;
  std::vector<uint8_t> constants(64);
  std::memcpy(constants.data(), &elements, sizeof(elements));

  std::vector<uint32_t> expected(elements);
  for (int32_t i = 0; i < elements; ++i)
    expected[i] = i * 2654435761u;
  std::vector<uint32_t> first = expected;
  for (int i = 0; i < dispatchCount; ++i) {
    std::vector<uint32_t> next(elements);
    for (int32_t at = 0; at < elements; ++at) {
      uint32_t value = 0;
      for (int32_t step = 1; step < elements; step *= 2)
        value = value * 31 + expected[(at + step) % elements];
      next[at] = value + 1;
    }
    expected = next;
  }

  for (int threads = 1; threads <= 4; ++threads) {
    Dispatches dispatches;
    for (int i = 0; i < dispatchCount; ++i) {
      dispatches.push_back(makeDispatch(
          ToyKernel::mix, {elements, 1, -1, Dim::one},
          {arenaAt(i % 2 * 4096), arenaAt((i + 1) % 2 * 4096), constantAt(0)}));
      // Independent work in between, which needs no barrier.
      for (int extra = 0; extra < i % 4; ++extra)
        dispatches.push_back(
            count(8192 + extra * 4096, {30, 1, -1, Dim::one}, false));
    }
    load(std::move(dispatches), threads, constants);
    for (int repeat = 0; repeat < 10; ++repeat) {
      std::memcpy(&at(0), first.data(), elements * 4);
      run();
      ASSERT_EQ(std::memcmp(&at(0), expected.data(), elements * 4), 0)
          << threads << " threads, repeat " << repeat;
    }
    EXPECT_EQ(at(2048), 10 * dispatchCount / 4 * 3);
  }
}

TEST_F(ExecutorTest, ManyDispatchesWithoutBarrier) {
  Dispatches dispatches;
  for (int i = 0; i < 40; ++i)
    dispatches.push_back(count(i * 256, {50, 1, -1, Dim::one}, i == 0));
  for (int threads : {1, 2, 4}) {
    Dispatches copies;
    for (const auto &dispatch : dispatches)
      copies.push_back(std::make_unique<schema::DispatchT>(*dispatch));
    load(std::move(copies), threads);
    for (int repeat = 0; repeat < 50; ++repeat)
      run();
    for (int i = 0; i < 40; ++i)
      for (int workgroup = 0; workgroup < 50; ++workgroup)
        ASSERT_EQ(at(i * 64 + workgroup), 50);
  }
}

TEST_F(ExecutorTest, TokenRangesSelectDispatches) {
  Dispatches dispatches;
  const int64_t ranges[][2] = {{1, 1}, {2, 16}, {17, INT64_MAX}};
  for (int i = 0; i < 3; ++i) {
    dispatches.push_back(count(i * 256, {4, 1, -1, Dim::one}));
    dispatches.back()->min_tokens = ranges[i][0];
    dispatches.back()->max_tokens = ranges[i][1];
  }
  load(std::move(dispatches), 2);
  for (int64_t tokenCount : {1, 2, 16, 17, 24, 1})
    run(tokenCount);
  EXPECT_EQ(at(0), 2);
  EXPECT_EQ(at(64), 2);
  EXPECT_EQ(at(128), 2);
}

/// What follows a dispatch that does not run may rely on its barrier.
TEST_F(ExecutorTest, SkippedDispatchesKeepTheirBarrier) {
  constexpr int32_t elements = 67;
  std::vector<uint8_t> constants(64);
  std::memcpy(constants.data(), &elements, sizeof(elements));
  const schema::Workgroups all(elements, 1, -1, Dim::one);
  auto mix = [&](uint64_t from, uint64_t to, bool barrier) {
    return makeDispatch(ToyKernel::mix, all,
                        {arenaAt(from), arenaAt(to), constantAt(0)}, barrier);
  };
  auto build = [&](bool direct) {
    Dispatches dispatches;
    for (int i = 0; i < 100; ++i) {
      uint64_t from = i % 2 * 4096, to = (i + 1) % 2 * 4096;
      if (!direct) {
        dispatches.push_back(count(16384, all));
        dispatches.back()->min_tokens = 2;
      }
      dispatches.push_back(mix(from, to, direct));
    }
    return dispatches;
  };
  load(build(true), 1, constants);
  run();
  std::vector<int32_t> expected(&at(0), &at(0) + elements);
  load(build(false), 4, constants);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::fill(arena.begin(), arena.end(), 0);
    run();
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), &at(0)));
  }
}

TEST_F(ExecutorTest, Profile) {
  Dispatches dispatches;
  dispatches.push_back(count(0, {10, 1, -1, Dim::one}));
  dispatches.push_back(count(4096, {3, 1, -1, Dim::tokens}, false));
  dispatches.push_back(count(8192, {1, 1, -1, Dim::one}));
  dispatches.back()->min_tokens = 100;
  load(std::move(dispatches), 2);
  run();
  EXPECT_TRUE(executor->profile(0).empty());
  executor->startProfile();
  for (int repeat = 0; repeat < 5; ++repeat)
    run(4);
  executor->stopProfile();
  run();
  const std::vector<DispatchProfile> &profile = executor->profile(0);
  ASSERT_EQ(profile.size(), 3u);
  EXPECT_EQ(profile[0].runs, 5u);
  EXPECT_EQ(profile[0].workgroups, 50u);
  EXPECT_GT(profile[0].nanoseconds, 0u);
  EXPECT_EQ(profile[1].runs, 5u);
  EXPECT_EQ(profile[1].workgroups, 60u);
  EXPECT_EQ(profile[2].runs, 0u);
  EXPECT_EQ(at(0), 7);
}

TEST(LargeBufferTest, IsZeroedAlignedAndLazy) {
  // More than the machine has; only what is touched counts.
  Result<LargeBuffer> buffer =
      LargeBuffer::allocate(uint64_t(1) << 40, "the test");
  ASSERT_TRUE(buffer.ok()) << buffer.status().message();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % (2 << 20), 0u);
  EXPECT_EQ(buffer->data()[uint64_t(1) << 39], std::byte(0));
  buffer->data()[(uint64_t(1) << 40) - 1] = std::byte(1);
  Result<LargeBuffer> small = LargeBuffer::allocate(0, "nothing");
  ASSERT_TRUE(small.ok());
  EXPECT_NE(small->data(), nullptr);
  Status status = LargeBuffer::allocate(~uint64_t(0), "too much").status();
  EXPECT_EQ(status.code(), StatusCode::exhausted);
  EXPECT_FALSE(LargeBuffer::allocate(uint64_t(1) << 62, "too much").ok());
}
