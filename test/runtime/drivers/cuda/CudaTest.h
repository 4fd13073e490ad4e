//===- CudaTest.h - Tests on a GPU that is not there ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_RUNTIME_DRIVERS_CUDA_CUDATEST_H
#define DSV2_TEST_RUNTIME_DRIVERS_CUDA_CUDATEST_H

#include "runtime/engine/Session.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include <dlfcn.h>

namespace dsv2::test {

/// A toy artifact, and the driver of FakeCuda.cpp with a log of its calls.
class CudaTest : public testing::Test {
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

} // namespace dsv2::test

#endif // DSV2_TEST_RUNTIME_DRIVERS_CUDA_CUDATEST_H
