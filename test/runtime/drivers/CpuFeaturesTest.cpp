//===- CpuFeaturesTest.cpp - Detection of CPU features --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/CpuFeatures.h"
#include "runtime/schema/artifact_generated.h"

#include <gtest/gtest.h>

using namespace dsv2;
using schema::CpuFeature;

static bool has(CpuFeature feature) {
  return detectCpuFeatures() & static_cast<uint64_t>(feature);
}

TEST(CpuFeaturesTest, AgreesWithTheCompilerRuntime) {
  EXPECT_EQ(has(CpuFeature::avx2), __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(has(CpuFeature::fma), __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ(has(CpuFeature::bmi2), __builtin_cpu_supports("bmi2") != 0);
  EXPECT_EQ(has(CpuFeature::avx512f), __builtin_cpu_supports("avx512f") != 0);
  EXPECT_EQ(has(CpuFeature::avx512bw), __builtin_cpu_supports("avx512bw") != 0);
  EXPECT_EQ(has(CpuFeature::avx512dq), __builtin_cpu_supports("avx512dq") != 0);
  EXPECT_EQ(has(CpuFeature::avx512vl), __builtin_cpu_supports("avx512vl") != 0);
  EXPECT_EQ(has(CpuFeature::avx512vnni),
            __builtin_cpu_supports("avx512vnni") != 0);
  EXPECT_EQ(has(CpuFeature::avx512bf16),
            __builtin_cpu_supports("avx512bf16") != 0);
}

TEST(CpuFeaturesTest, Names) {
  EXPECT_EQ(cpuFeatureNames(0), "");
  EXPECT_EQ(cpuFeatureNames(static_cast<uint64_t>(CpuFeature::avx2) |
                            static_cast<uint64_t>(CpuFeature::amx_bf16)),
            "avx2, amx_bf16");
  EXPECT_EQ(cpuFeatureNames(uint64_t(1) << 63), "bit 63");
}
