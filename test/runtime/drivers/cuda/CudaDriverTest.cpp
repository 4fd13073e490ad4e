//===- CudaDriverTest.cpp - Running on a GPU that is not there ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Session.h"
#include "test/runtime/drivers/cuda/CudaTest.h"

#include <algorithm>
#include <thread>

using namespace dsv2;
using namespace dsv2::test;

namespace {

using CudaDriverTest = CudaTest;

TEST_F(CudaDriverTest, StepsRun) {
  auto model = Model::load(pool, artifact);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_STREQ((*model)->kernelTarget(), "sm_90a");
  auto session = Session::create(*model);
  ASSERT_TRUE(session.ok()) << session.status().message();
  SequenceId sequence = (*session)->cache().create();
  for (int32_t token : {3, 5, 7}) {
    auto logits = (*session)->evaluate(sequence, std::vector{token});
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    ASSERT_EQ(logits->rows, 1);
    for (int64_t v = 0; v < toyVocab; ++v)
      EXPECT_EQ(logits->data[v], toyWeight()[v] + 1 + token);
  }
  // Rows of another size class, and sizes that are not those of the class.
  int32_t tokens[] = {1, 2, 3, 4, 5};
  SequenceInput input{sequence, tokens, LogitsMode::all};
  auto logits = (*session)->step({&input, 1});
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  ASSERT_EQ(logits->rows, 5);
  for (int64_t r = 0; r < 5; ++r)
    EXPECT_EQ(logits->row(r)[2], toyWeight()[2] + 5 + tokens[r]);
  EXPECT_EQ(count("cuStreamBeginCapture"), 2);
  EXPECT_EQ(count("cuGraphLaunch"), 4);
}

/// A chunk that fails takes those before it back, and the rest still runs.
TEST_F(CudaDriverTest, AFailureLosesNothing) {
  auto model = Model::load(pool, artifact);
  ASSERT_TRUE(model.ok());
  auto session = Session::create(*model);
  ASSERT_TRUE(session.ok());
  PagedCache &cache = (*session)->cache();
  SequenceId sequence = cache.create();
  ASSERT_TRUE((*session)->evaluate(sequence, std::vector{1, 2}).ok());
  // The last chunk is the first to copy logits.
  configure("fail=cuMemcpyDtoHAsync");
  ASSERT_TRUE(Model::load(pool, artifact).ok());
  EXPECT_FALSE((*session)->evaluate(sequence, std::vector{3, 4, 5}, 1).ok());
  EXPECT_EQ(*std::as_const(cache).length(sequence), 2);
  configure("");
  ASSERT_TRUE(Model::load(pool, artifact).ok());
  auto logits = (*session)->evaluate(sequence, std::vector{3, 4, 5}, 1);
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  EXPECT_EQ(*std::as_const(cache).length(sequence), 5);
  EXPECT_EQ(logits->data[0], toyWeight()[0] + 1 + 5);
}

TEST_F(CudaDriverTest, CopiesPages) {
  auto model = Model::load(pool, artifact);
  ASSERT_TRUE(model.ok());
  auto session = Session::create(*model);
  ASSERT_TRUE(session.ok());
  PagedCache &cache = (*session)->cache();
  SequenceId sequence = cache.create();
  std::vector<int32_t> page(cache.pageSize(), 1);
  ASSERT_TRUE((*session)->evaluate(sequence, page).ok());
  ASSERT_TRUE((*session)->repeatPages(sequence, 1).ok());
  EXPECT_EQ(*std::as_const(cache).length(sequence), 2 * cache.pageSize());
  EXPECT_EQ(count("cuMemcpyDtoDAsync"), (*model)->metadata().cache()->layers());
}

TEST_F(CudaDriverTest, ProfilesEachDispatch) {
  auto model = Model::load(pool, artifact);
  ASSERT_TRUE(model.ok());
  auto session = Session::create(*model);
  ASSERT_TRUE(session.ok());
  (*session)->runner().startProfile();
  auto logits = (*session)->evaluate((*session)->cache().create(),
                                     std::vector<int32_t>{3});
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  const DispatchProfile &profile = (*session)->runner().profile(0)[0];
  EXPECT_EQ(profile.runs, 1u);
  EXPECT_EQ(profile.nanoseconds, 1500u);
  // Nothing waits between the launches, and the next step uses the same events.
  EXPECT_EQ(count("cuGraphLaunch"), 1);
  int64_t events = count("cuEventCreate");
  ASSERT_TRUE(
      (*session)->evaluate((*session)->cache().create(), std::vector{3}).ok());
  EXPECT_EQ(profile.runs, 2u);
  EXPECT_EQ(profile.nanoseconds, 3000u);
  EXPECT_EQ(count("cuEventCreate"), events);
}

/// Each records its graphs while others step.
TEST_F(CudaDriverTest, SessionsRunInThreads) {
  auto model = Model::load(pool, artifact);
  ASSERT_TRUE(model.ok()) << model.status().message();
  auto work = [&](int32_t first) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      auto session = Session::create(*model);
      ASSERT_TRUE(session.ok()) << session.status().message();
      for (int32_t tokens = 1; tokens <= toyMaxLogitRows; ++tokens) {
        std::vector<int32_t> step(tokens, first);
        SequenceId sequence = (*session)->cache().create();
        SequenceInput input{sequence, step, LogitsMode::all};
        auto logits = (*session)->step({&input, 1});
        ASSERT_TRUE(logits.ok()) << logits.status().message();
        ASSERT_EQ(logits->rows, tokens);
        EXPECT_EQ(logits->row(tokens - 1)[5], toyWeight()[5] + tokens + first);
        ASSERT_TRUE((*session)->cache().release(sequence).ok());
      }
    }
  };
  std::vector<std::thread> threads;
  for (int32_t first : {3, 4, 5})
    threads.emplace_back(work, first);
  for (std::thread &thread : threads)
    thread.join();
  // One for loading, and one for each session.
  EXPECT_EQ(count("cuStreamCreate"), 1 + 3 * 3);
  EXPECT_EQ(count("cuStreamDestroy"), 3 * 3);
}

/// Rows of a step that end behind the pinned ones, which end within a page.
TEST_F(CudaDriverTest, CopiesLogitsThatAreNotPinned) {
  ASSERT_TRUE(writeToy(artifact, [](schema::ArtifactT &metadata) {
                makeToyForGpu(metadata);
                metadata.limits->max_sequences = 40;
                metadata.limits->max_batch_tokens = 96;
                metadata.limits->max_logit_rows = 96;
              }).ok());
  auto model = Model::load(pool, artifact);
  ASSERT_TRUE(model.ok()) << model.status().message();
  auto session = Session::create(*model);
  ASSERT_TRUE(session.ok()) << session.status().message();
  EXPECT_EQ(count("cuMemHostRegister"), 1);
  std::vector<std::vector<int32_t>> tokens;
  for (int32_t i = 0; i < 4; ++i)
    tokens.emplace_back(toyMaxBatch, i);
  std::vector<SequenceInput> inputs;
  for (const std::vector<int32_t> &each : tokens)
    inputs.push_back({(*session)->cache().create(), each, LogitsMode::all});
  auto logits = (*session)->step(inputs);
  ASSERT_TRUE(logits.ok()) << logits.status().message();
  ASSERT_EQ(logits->rows, 96);
  for (int64_t r = 0; r < 96; ++r)
    EXPECT_EQ(logits->row(r)[9],
              toyWeight()[9] + 96 + static_cast<float>(r / toyMaxBatch));
  EXPECT_EQ(count("cuMemcpyDtoHAsync"), 2);
  session->reset();
  EXPECT_EQ(count("cuMemHostUnregister"), 1);
}

TEST_F(CudaDriverTest, StepsThatFailSayWhere) {
  for (const char *name : {"cuLaunchKernelEx", "cuGraphInstantiate",
                           "cuGraphLaunch", "cuMemcpyDtoHAsync"}) {
    configure("");
    auto model = Model::load(pool, artifact);
    ASSERT_TRUE(model.ok()) << model.status().message();
    auto session = Session::create(*model);
    ASSERT_TRUE(session.ok());
    // The settings are read by cuInit, which another model calls.
    configure("fail=" + std::string(name));
    ASSERT_TRUE(Model::load(pool, artifact).ok());
    PagedCache &cache = (*session)->cache();
    SequenceId sequence = cache.create();
    int64_t free = cache.freePages();
    auto logits = (*session)->evaluate(sequence, std::vector<int32_t>{3});
    ASSERT_FALSE(logits.ok()) << name;
    EXPECT_EQ(logits.status().message().find(name), 0u)
        << logits.status().message();
    EXPECT_EQ(*std::as_const(cache).length(sequence), 0);
    EXPECT_EQ(cache.freePages(), free);
    // Nothing that was submitted before goes on.
    EXPECT_EQ(calls().back(), "cuStreamSynchronize") << name;
  }
}

} // namespace
