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

/// logits[r][v] = weight[v] + T + tokens[logit_rows[r]]: a block a row.
constexpr const char *toyPtx = R"(
.version 8.1
.target sm_90a
.address_size 64

.visible .entry toy(
	.param .u64 .ptr .global .align 1 toy_param_0,
	.param .u64 .ptr .global .align 1 toy_param_1,
	.param .u64 .ptr .global .align 1 toy_param_2,
	.param .u64 .ptr .global .align 1 toy_param_3,
	.param .u64 .ptr .global .align 1 toy_param_4
)
.maxntid 32
{
	.reg .pred 	%p<2>;
	.reg .b32 	%r<20>;
	.reg .b64 	%rd<20>;

	ld.param.b64 	%rd1, [toy_param_0];
	ld.param.b64 	%rd2, [toy_param_1];
	ld.param.b64 	%rd3, [toy_param_2];
	ld.param.b64 	%rd4, [toy_param_3];
	ld.param.b64 	%rd5, [toy_param_4];
	mov.u32 	%r1, %tid.x;
	mov.u32 	%r2, %ctaid.x;
	ld.global.b32 	%r3, [%rd5];
	ld.global.b32 	%r4, [%rd5+12];
	setp.ge.s32 	%p1, %r2, %r4;
	@%p1 bra 	$L__BB0_2;
	mul.wide.u32 	%rd6, %r2, 4;
	add.s64 	%rd7, %rd2, %rd6;
	ld.global.b32 	%r5, [%rd7];
	mul.wide.u32 	%rd8, %r5, 4;
	add.s64 	%rd9, %rd1, %rd8;
	ld.global.b32 	%r6, [%rd9];
	add.s32 	%r7, %r6, %r3;
	cvt.rn.f32.s32 	%r8, %r7;
	mul.wide.u32 	%rd10, %r1, 4;
	add.s64 	%rd11, %rd3, %rd10;
	ld.global.b32 	%r9, [%rd11];
	add.rn.f32 	%r10, %r9, %r8;
	shl.b32 	%r11, %r2, 5;
	add.s32 	%r12, %r11, %r1;
	mul.wide.u32 	%rd12, %r12, 4;
	add.s64 	%rd13, %rd4, %rd12;
	st.global.b32 	[%rd13], %r10;
$L__BB0_2:
	ret;
}
)";

void makeGpu(schema::ArtifactT &artifact) {
  artifact.libraries.clear();
  artifact.kernels.clear();
  auto kernel = std::make_unique<schema::KernelT>();
  kernel->symbol = "toy";
  kernel->gpu = std::make_unique<schema::GpuKernelT>();
  std::string ptx = toyPtx;
  kernel->gpu->ptx.assign(ptx.begin(), ptx.end());
  kernel->gpu->cubin = {0x7f, 'E', 'L', 'F'};
  kernel->gpu->bindings = 4;
  kernel->gpu->threads = 32;
  artifact.kernels.push_back(std::move(kernel));
  artifact.gpu = std::make_unique<schema::GpuTargetT>();
  artifact.gpu->name = "sm_90a";
  artifact.gpu->major = 9;
  for (auto &program : artifact.plan->programs) {
    program->dispatches.clear();
    program->dispatches.push_back(makeDispatch(
        ToyKernel::append, {1, 1, -1, schema::Dim::logit_rows},
        {batch(schema::BatchField::tokens),
         batch(schema::BatchField::logit_rows), weightAt(0), logitsBinding()}));
  }
}

class CudaDriverTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    // From now on, this is libcuda.so.1 to the process.
    ASSERT_TRUE(dlopen(DSV2_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL)) << dlerror();
  }
  void SetUp() override {
    configure("");
    pool = *ThreadPool::create({.threads = 1, .pin = false});
    ASSERT_TRUE(writeToy(artifact, makeGpu).ok());
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
