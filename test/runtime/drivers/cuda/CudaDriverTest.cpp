//===- CudaDriverTest.cpp - Running on a GPU that is not there ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Session.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <sstream>

using namespace dsv2;
using namespace dsv2::test;

namespace {

class CudaDriverTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    // From now on, this is libcuda.so.1 to the process.
    ASSERT_TRUE(dlopen(DSV2_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL)) << dlerror();
  }
  void SetUp() override {
    configure("");
    pool = *ThreadPool::create({.threads = 1, .pin = false});
    ASSERT_TRUE(writeToy(artifact, makeToyForGpu).ok());
  }
  void TearDown() override { unsetenv("DSV2_FAKE_CUDA"); }

  void configure(const std::string &settings) {
    std::string all = settings + ";log=" + log;
    setenv("DSV2_FAKE_CUDA", all.c_str(), 1);
  }
  /// The error of loading and making a session.
  std::string errorOf(const std::string &settings) {
    configure(settings);
    Result<std::shared_ptr<const Model>> model = Model::load(pool, artifact);
    if (!model.ok())
      return model.status().message();
    Result<std::unique_ptr<Session>> session = Session::create(*model);
    return session.ok() ? "" : session.status().message();
  }
  std::vector<std::string> calls() {
    std::istringstream lines(readFile(log));
    std::vector<std::string> names;
    for (std::string line; std::getline(lines, line);)
      names.push_back(line);
    return names;
  }
  int64_t count(const std::string &name) {
    std::vector<std::string> all = calls();
    return std::count(all.begin(), all.end(), name);
  }

  TemporaryDirectory directory;
  std::string artifact = directory.path("toy.dsv2");
  std::string log = directory.path("calls");
  std::shared_ptr<ThreadPool> pool;
};

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

TEST_F(CudaDriverTest, LoadsInOrder) {
  EXPECT_EQ(errorOf(""), "");
  std::vector<std::string> all = calls();
  auto at = [&](const char *name) {
    return std::find(all.begin(), all.end(), name) - all.begin();
  };
  EXPECT_EQ(at("cuInit"), 0);
  EXPECT_LT(at("cuMemGetInfo"), at("cuModuleLoadDataEx"));
  EXPECT_LT(at("cuModuleLoadDataEx"), at("cuMemAlloc"));
  // The cubin is refused, the PTX is taken.
  EXPECT_EQ(count("cuModuleLoadDataEx"), 2);
  EXPECT_EQ(count("cuMemAlloc"), count("cuMemFree"));
  EXPECT_EQ(count("cuMemAllocHost"), count("cuMemFreeHost"));
  EXPECT_EQ(count("cuMemHostRegister"), 1);
  EXPECT_EQ(count("cuMemHostUnregister"), 1);
  EXPECT_EQ(count("cuModuleUnload"), 1);
  EXPECT_EQ(all.back(), "cuDevicePrimaryCtxRelease");
}

TEST_F(CudaDriverTest, TakesTheCubin) {
  EXPECT_EQ(errorOf("cubin=accept"), "");
  EXPECT_EQ(count("cuModuleLoadDataEx"), 1);
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
  EXPECT_EQ(profile.nanoseconds, 1000u);
  EXPECT_EQ(count("cuGraphLaunch"), 0);
}

TEST_F(CudaDriverTest, SaysWhatIsMissing) {
  auto expect = [&](const std::string &settings, const std::string &part) {
    std::string error = errorOf(settings);
    EXPECT_NE(error.find(part), std::string::npos) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos);
  };
  expect("devices=0", "this machine has none that the driver sees");
  expect("arch=80", "has Fake GPU (sm_80); compile it with --target=native");
  expect("version=11080", "too old: expected 12.1 or newer, found 11.8");
  expect("memory=1000", "bytes on Fake GPU, and 1000 are free");
  expect("memory=70000", "ask for fewer context rows");
  expect("fail=cuInit", "cuInit: unknown error (CUDA error 999)");
  expect("fail=cuModuleGetFunction", "cuModuleGetFunction for kernel 'toy'");
  expect("fail=cuMemcpyHtoDAsync", "cuMemcpyHtoDAsync for");
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
  }
}

TEST(CudaApiTest, NoDriver) {
  auto api = cuda::CudaApi::load("libno-such-driver.so");
  ASSERT_FALSE(api.ok());
  EXPECT_EQ(api.status().message(),
            "the model is compiled for an NVIDIA GPU and there is no CUDA "
            "driver here (libno-such-driver.so cannot be loaded); install the "
            "driver, or compile the model with --target=native");
}

TEST(CudaApiTest, AnotherLibrary) {
  auto api = cuda::CudaApi::load("libm.so.6");
  ASSERT_FALSE(api.ok());
  EXPECT_NE(api.status().message().find("expected one with cuInit"),
            std::string::npos);
}

} // namespace
