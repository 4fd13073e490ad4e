//===- RooflineTest.cpp - Limits of the machine ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/CpuRoofline.h"

#include "runtime/drivers/cpu/CpuFeatures.h"

#include <gtest/gtest.h>

using namespace dsv2;

/// Values depend on the machine; they only have to be possible.
static void expectPossible(uint64_t features) {
  ThreadPoolOptions options;
  options.threads = 1;
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(options);
  ASSERT_TRUE(pool.ok()) << pool.status().message();
  Result<std::unique_ptr<CpuRoofline>> roofline =
      CpuRoofline::create(*std::move(pool), features, 1 << 22);
  ASSERT_TRUE(roofline.ok()) << roofline.status().message();
  for (uint64_t workingSet : {0u, 1u << 16, 1u << 30}) {
    Result<Limits> measured = (*roofline)->measure(workingSet);
    ASSERT_TRUE(measured.ok()) << measured.status().message();
    const Limits &limits = *measured;
    EXPECT_GT(limits.readBytes, 1e8);
    EXPECT_LT(limits.readBytes, 1e13);
    for (double operations : limits.operations) {
      EXPECT_GT(operations, 1e7);
      EXPECT_LT(operations, 1e14);
    }
  }
}

TEST(RooflineTest, Portable) { expectPossible(0); }

TEST(RooflineTest, ThisCpu) { expectPossible(detectCpuFeatures()); }
