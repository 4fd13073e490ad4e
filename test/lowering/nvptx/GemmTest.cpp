//===- GemmTest.cpp - Matrix products of many rows ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What can be checked without a GPU: that the kernels assemble, keep their sums
// in registers, and that nothing serializes wgmma.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Gemm.h"
#include "test/lowering/nvptx/AssembledKernel.h"

#include <gtest/gtest.h>

using namespace ::dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

struct Case {
  const char *name;
  GemmSpec spec;
  int products; ///< wgmma instructions
  int loads;    ///< TMA
  int stores;
};

std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.name;
}

class NVPTXGemmTest : public testing::TestWithParam<Case> {};

TEST_P(NVPTXGemmTest, Assembles) {
  const Case &c = GetParam();
  std::string error;
  ASSERT_TRUE(succeeded(checkGemm(c.spec, error))) << error;
  AssembledKernel kernel(
      [&](ModuleOp module) { return emitGemm(module, c.name, c.spec); });
  EXPECT_LE(kernel.info().sharedBytes, maxSharedBytes);
  kernel.expectPtx({"setmaxnreg.dec.sync.aligned.u32 40"});
  kernel.expectPtx({"setmaxnreg.inc.sync.aligned.u32 232"});
  bool fp8 = c.spec.format == GemmFormat::fp8;
  kernel.expectClean({{fp8 ? "QGMMA" : "HGMMA", c.products},
                      {"UTMALDG", c.loads},
                      {"UTMASTG", c.stores},
                      {"USETMAXREG", 2}});
  if (kernel.assembly())
    RecordProperty("registers", kernel.assembly()->resources.registers);
}

INSTANTIATE_TEST_SUITE_P(
    , NVPTXGemmTest,
    testing::Values(
        Case{"wide", {.rows = 3072, .depth = 2048, .maxRows = 4096}, 4, 2, 4},
        Case{"pairs",
             {.rows = 3072, .depth = 2048, .maxRows = 4096, .pairs = true},
             4,
             2,
             4},
        Case{"residual",
             {.rows = 2048,
              .depth = 2048,
              .maxRows = 4096,
              .output = GemmOutput::f32,
              .residual = true,
              .pairs = true},
             4,
             2,
             0},
        Case{"ragged",
             {.rows = 576,
              .depth = 2048,
              .maxRows = 100,
              .output = GemmOutput::f32},
             4,
             2,
             0},
        Case{"narrow",
             {.rows = 64, .depth = 136, .maxRows = 100, .tileColumns = 64},
             4,
             2,
             1},
        Case{"heads",
             {.rows = 512, .depth = 128, .maxRows = 64, .heads = 16},
             4,
             2,
             4},
        Case{"swiglu",
             {.rows = 21888, .depth = 2048, .maxRows = 4096, .swiglu = true},
             4,
             2,
             2},
        Case{"experts_swiglu",
             {.rows = 2816,
              .depth = 2048,
              .maxRows = 24576,
              .swiglu = true,
              .experts = 64},
             4,
             2,
             2},
        Case{"experts_f32",
             {.rows = 2048,
              .depth = 1408,
              .maxRows = 24576,
              .output = GemmOutput::f32,
              .experts = 64},
             4,
             2,
             0},
        Case{"fp8",
             {.rows = 7168,
              .depth = 2048,
              .maxRows = 4096,
              .format = GemmFormat::fp8},
             4,
             2,
             2},
        Case{"fp8_residual",
             {.rows = 7168,
              .depth = 2048,
              .maxRows = 4096,
              .format = GemmFormat::fp8,
              .output = GemmOutput::f32,
              .residual = true},
             4,
             2,
             0},
        Case{"fp8_experts_swiglu",
             {.rows = 4096,
              .depth = 7168,
              .maxRows = 32768,
              .format = GemmFormat::fp8,
              .swiglu = true,
              .experts = 256},
             4,
             2,
             1}),
    [](const auto &info) { return std::string(info.param.name); });

TEST(NVPTXGemmCheckTest, RefusesWhatItCannot) {
  std::string error;
  GemmSpec odd{.rows = 100, .depth = 2048, .maxRows = 8};
  EXPECT_TRUE(failed(checkGemm(odd, error)));
  GemmSpec sum{.rows = 128, .depth = 128, .maxRows = 8, .residual = true};
  EXPECT_TRUE(failed(checkGemm(sum, error)));
  EXPECT_NE(error.find("f32"), std::string::npos);
}

} // namespace
