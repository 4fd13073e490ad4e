//===- CudaLoadTest.cpp - Loading models onto a GPU -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/runtime/drivers/cuda/CudaTest.h"

#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

using namespace dsv2;
using namespace dsv2::test;

namespace {

/// With weights of several pieces, some of which end anywhere.
class CudaLoadTest : public CudaTest {
protected:
  void writeLarge() {
    auto writer = ArtifactWriter::create(artifact);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    schema::ArtifactT metadata = toyMetadata();
    makeToyForGpu(metadata);
    metadata.weights.clear();
    std::mt19937 random(7);
    for (size_t words : {32u, 2'500'003u, 5u, 1'048'576u}) {
      std::vector<uint32_t> &values = contents.emplace_back(words);
      std::generate(values.begin(), values.end(), std::ref(random));
      auto segment = writer->addWeight(std::as_bytes(std::span(values)));
      ASSERT_TRUE(segment.ok()) << segment.status().message();
      auto weight = std::make_unique<schema::WeightT>();
      weight->name = std::to_string(words);
      weight->type = "tensor<" + std::to_string(words) + "xi32>";
      weight->offset = segment->offset;
      weight->bytes = segment->bytes;
      weight->hash = segment->hash;
      metadata.weights.push_back(std::move(weight));
    }
    ASSERT_TRUE(writer->finish(metadata).ok());
    pool = *ThreadPool::create({.threads = 3, .pin = false});
  }
  std::vector<std::vector<uint32_t>> contents;
};

TEST_F(CudaLoadTest, ReadsOnAllThreads) {
  writeLarge();
  auto model = Model::load(pool, artifact);
  ASSERT_TRUE(model.ok()) << model.status().message();
  for (uint32_t i = 0; i < contents.size(); ++i)
    // Memory of this device is that of the host.
    EXPECT_EQ(std::memcmp(contents[i].data(),
                          reinterpret_cast<const void *>(
                              (*model)->gpu()->weights.weight(i)),
                          contents[i].size() * sizeof(uint32_t)),
              0)
        << i;
  // The constants, and pieces of 4 MiB or less.
  EXPECT_GE(count("cuMemcpyHtoDAsync"), 7);
  EXPECT_EQ(count("cuMemAllocHost"), 1);
  EXPECT_EQ(count("cuMemFreeHost"), 1);
}

TEST_F(CudaLoadTest, AReadThatFailsStopsAll) {
  writeLarge();
  for (const char *name : {"cuEventRecord", "cuEventSynchronize"}) {
    std::filesystem::remove(log);
    std::string error = errorOf("fail=" + std::string(name));
    EXPECT_EQ(error.find("'" + artifact + "': " + name), 0u) << error;
    // Each thread stops, and copies under way end before their memory goes.
    EXPECT_LE(count(name), pool->size());
    std::vector<std::string> all = calls();
    EXPECT_LT(std::find(all.begin(), all.end(), "cuStreamSynchronize"),
              std::find(all.begin(), all.end(), "cuMemFreeHost"));
    EXPECT_EQ(count("cuMemAlloc"), count("cuMemFree"));
  }
}

TEST_F(CudaLoadTest, PrefersSharedMemory) {
  EXPECT_EQ(errorOf(""), "");
  EXPECT_EQ(count("attribute 9 = 100"), 1);
  // It is a hint.
  EXPECT_EQ(errorOf("fail=cuFuncSetAttribute"), "");
}

TEST_F(CudaLoadTest, LoadsInOrder) {
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
  EXPECT_EQ(count("cuEventCreate"), count("cuEventDestroy"));
  EXPECT_EQ(count("cuStreamCreate"), count("cuStreamDestroy"));
  EXPECT_EQ(count("cuModuleUnload"), 1);
  EXPECT_EQ(all.back(), "cuDevicePrimaryCtxRelease");
}

TEST_F(CudaLoadTest, TakesTheCubin) {
  EXPECT_EQ(errorOf("cubin=accept"), "");
  EXPECT_EQ(count("cuModuleLoadDataEx"), 1);
}

TEST_F(CudaLoadTest, SaysWhatIsMissing) {
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
