//===- GemvTest.cpp - Matrix products of few rows -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Gemv.h"
#include "test/lowering/nvptx/AssembledKernel.h"
#include "test/lowering/nvptx/SassOpcodes.h"

#include <gtest/gtest.h>

using namespace ::dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

struct Case {
  const char *name;
  GemvSpec spec;
};

std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.name;
}

class NVPTXGemvTest : public testing::TestWithParam<Case> {};

TEST_P(NVPTXGemvTest, Assembles) {
  const Case &c = GetParam();
  std::string error;
  ASSERT_TRUE(succeeded(checkGemv(c.spec, error))) << error;
  AssembledKernel kernel(
      [&](ModuleOp module) { return emitGemv(module, c.name, c.spec); });
  // Two blocks share an SM.
  EXPECT_LE(kernel.info().sharedBytes, maxSharedBytes / 2);
  kernel.expectPtx({"ld.global.L1::no_allocate.v4.b32", "mma.sync"});
  kernel.expectClean();
  if (!kernel.assembly())
    return;
  EXPECT_GE(blocksPerSM(kernel.assembly()->resources,
                        kernel.info().launch.threads,
                        kernel.info().sharedBytes),
            2);
  EXPECT_EQ(kernel.assembly()->resources.stackBytes, 0);
  // Weights are on their way while the launch waits for the one before, where
  // it is known which: ptxas must not have moved the loads.
  if (!c.spec.experts) {
    std::vector<char> cubin(kernel.assembly()->cubin.begin(),
                            kernel.assembly()->cubin.end());
    EXPECT_GE(countSassOpcodes(cubin, "ACQBULK")["LDG"], 2);
  }
}

INSTANTIATE_TEST_SUITE_P(
    , NVPTXGemvTest,
    testing::Values(
        Case{"bf16", {.rows = 3072, .depth = 2048}},
        Case{"bf16_one", {.rows = 576, .depth = 2048, .maxRows = 1}},
        Case{"bf16_norm",
             {.rows = 3072,
              .depth = 2048,
              .maxRows = 4,
              .input = GemvType::f32,
              .output = GemvType::bf16,
              .norm = true}},
        Case{"bf16_norm_many",
             {.rows = 3072,
              .depth = 2048,
              .input = GemvType::f32,
              .norm = true}},
        Case{"bf16_norm_deep",
             {.rows = 1536,
              .depth = 5120,
              .maxRows = 1,
              .input = GemvType::f32,
              .norm = true}},
        Case{"int8_norm_deep",
             {.rows = 3072,
              .depth = 5120,
              .format = WeightFormat::int8,
              .maxRows = 1,
              .input = GemvType::f32,
              .output = GemvType::bf16,
              .norm = true,
              .swiglu = true,
              .experts = 162,
              .gather = true}},
        Case{"bf16_swiglu",
             {.rows = 21888,
              .depth = 2048,
              .maxRows = 8,
              .output = GemvType::bf16,
              .swiglu = true}},
        Case{"bf16_residual", {.rows = 2048, .depth = 10944, .residual = true}},
        Case{"bf16_heads",
             {.rows = 512, .depth = 128, .maxRows = 8, .heads = 16}},
        Case{"bf16_merge_one",
             {.rows = 128,
              .depth = 512,
              .maxRows = 1,
              .output = GemvType::bf16,
              .heads = 16,
              .splitRows = SplitRows{16, 512, 64, {512, 128, 32768}}}},
        Case{"bf16_merge",
             {.rows = 128,
              .depth = 512,
              .maxRows = 8,
              .output = GemvType::bf16,
              .heads = 128,
              .splitRows = SplitRows{128, 512, 128, {512, 128, 163840}}}},
        Case{"int8_merge",
             {.rows = 128,
              .depth = 512,
              .format = WeightFormat::int8,
              .maxRows = 8,
              .output = GemvType::bf16,
              .heads = 16,
              .splitRows = SplitRows{16, 512, 64, {512, 128, 32768}}}},
        Case{"int4_merge_one",
             {.rows = 128,
              .depth = 512,
              .format = WeightFormat::int4,
              .maxRows = 1,
              .output = GemvType::bf16,
              .heads = 128,
              .splitRows = SplitRows{128, 512, 128, {512, 128, 163840}}}},
        Case{"bf16_experts",
             {.rows = 2816,
              .depth = 2048,
              .output = GemvType::bf16,
              .swiglu = true,
              .experts = 64,
              .gather = true,
              .usualMatrices = 6}},
        Case{"bf16_experts_down",
             {.rows = 2048, .depth = 1408, .experts = 64, .usualMatrices = 6}},
        Case{"int8",
             {.rows = 3072,
              .depth = 2048,
              .format = WeightFormat::int8,
              .input = GemvType::f32,
              .norm = true}},
        Case{"int4",
             {.rows = 3072,
              .depth = 2048,
              .format = WeightFormat::int4,
              .input = GemvType::f32,
              .norm = true}},
        Case{"int4_experts",
             {.rows = 2816,
              .depth = 2048,
              .format = WeightFormat::int4,
              .output = GemvType::bf16,
              .swiglu = true,
              .experts = 64,
              .gather = true,
              .usualMatrices = 6}},
        Case{"int4_experts_down",
             {.rows = 2048,
              .depth = 1408,
              .format = WeightFormat::int4,
              .experts = 64,
              .usualMatrices = 6}},
        Case{"int4_head",
             {.rows = 102400,
              .depth = 2048,
              .format = WeightFormat::int4,
              .maxRows = 1,
              .dim = Dim::logitRows}},
        Case{"fp8",
             {.rows = 7168,
              .depth = 2048,
              .format = WeightFormat::fp8,
              .maxRows = 8}},
        Case{"fp8_deep",
             {.rows = 5120, .depth = 16384, .format = WeightFormat::fp8}},
        Case{"fp8_experts",
             {.rows = 4096,
              .depth = 7168,
              .format = WeightFormat::fp8,
              .maxRows = 8,
              .output = GemvType::bf16,
              .swiglu = true,
              .experts = 256,
              .gather = true}}),
    [](const auto &info) { return std::string(info.param.name); });

TEST(NVPTXGemvCheckTest, RefusesWhatItCannot) {
  std::string error;
  GemvSpec odd{.rows = 100, .depth = 2048};
  EXPECT_TRUE(failed(checkGemv(odd, error)));
  GemvSpec norm{.rows = 128, .depth = 128, .norm = true};
  EXPECT_TRUE(failed(checkGemv(norm, error)));
  EXPECT_NE(error.find("f32"), std::string::npos);
  GemvSpec many{.rows = 128,
                .depth = 128,
                .heads = 3,
                .splitRows = SplitRows{3, 128, 8, {512, 8, 4096}}};
  EXPECT_TRUE(failed(checkGemv(many, error)));
  EXPECT_NE(error.find("merge"), std::string::npos);
}

} // namespace
