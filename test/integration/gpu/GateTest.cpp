//===- GateTest.cpp - GPU kernels of whole models, assembled --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every kernel of DeepSeek-V2-Lite and DeepSeek-V2 must assemble for sm_90a
// without spills and without a note of lost performance, and products must run
// on the tensor cores. All of it on a machine without a GPU.
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Artifact.h"
#include "test/lowering/nvptx/SassOpcodes.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace dsv2;

namespace {

struct Case {
  const char *model, *quantize, *cache = "bf16";
};

/// Names the parameter of a test in its listing.
std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.model << "_" << c.quantize;
}

class GateTest : public testing::TestWithParam<Case> {
protected:
  GateTest()
      : directory(std::filesystem::temp_directory_path() /
                  ("dsv2-gate-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory);
  }
  ~GateTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  std::string path(const char *name) const { return directory / name; }
  std::string read(const char *name) const {
    std::ifstream stream(path(name));
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
  }

  std::filesystem::path directory;
};

TEST_P(GateTest, AssemblesWithoutSpills) {
  std::string command =
      std::string(DSV2_COMPILE) + " " + GetParam().model +
      " --target=sm_90a --weights=none --quantize=" + GetParam().quantize +
      " --cache=" + GetParam().cache + " -o " + path("a.dsv2") + " 2> " +
      path("log");
  ASSERT_EQ(std::system(command.c_str()), 0) << read("log");
  EXPECT_EQ(read("log").find("warning"), std::string::npos) << read("log");
  Result<Artifact> artifact = Artifact::open(path("a.dsv2"));
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  ASSERT_TRUE(artifact->metadata().gpu());

  int tiled = 0, expanded = 0;
  for (const schema::Kernel *kernel : *artifact->metadata().kernels()) {
    const schema::GpuKernel &gpu = *kernel->gpu();
    std::string name = kernel->symbol()->str();
    EXPECT_GT(gpu.ptx()->size(), 0u) << name;
    if (gpu.registers() == 0)
      GTEST_SKIP() << "no ptxas: kernels are PTX only";
    EXPECT_EQ(gpu.spill_bytes(), 0u) << name;
    EXPECT_GE(gpu.resident_blocks(), 1u) << name;
    // Only the router's product is left to the kernel that takes any shape.
    bool isFallback =
        name.starts_with("row_attention_") ||
        (name.starts_with("dot_") && !name.starts_with("dot_f32_f32"));
    EXPECT_FALSE(isFallback) << name;
    bool isLatent = name.starts_with("latent_attention_");
    bool isExpanded = name.starts_with("expanded_attention_");
    expanded += isExpanded;
    if (!isLatent && !isExpanded && !name.starts_with("gemm_"))
      continue;
    ++tiled;
    std::vector<char> cubin(gpu.cubin()->begin(), gpu.cubin()->end());
    auto counts = test::countSassOpcodes(cubin);
    // As many as the tests of these kernels count.
    EXPECT_GE(counts[name.starts_with("gemm_fp8_") ? "QGMMA" : "HGMMA"],
              isLatent     ? 84
              : isExpanded ? 40
                           : 4)
        << name;
    EXPECT_GE(counts["UTMALDG"], isLatent ? 3 : isExpanded ? 8 : 2) << name;
  }
  EXPECT_GE(tiled, 10);
  EXPECT_EQ(expanded, 1);
}

INSTANTIATE_TEST_SUITE_P(Models, GateTest,
                         testing::Values(Case{"deepseek-v2-lite", "none"},
                                         Case{"deepseek-v2-lite", "fp8", "fp8"},
                                         Case{"deepseek-v2-lite", "int8"},
                                         Case{"deepseek-v2-lite", "int4"},
                                         Case{"deepseek-v2", "none"},
                                         Case{"deepseek-v2", "fp8", "fp8"},
                                         Case{"deepseek-v2", "int8"},
                                         Case{"deepseek-v2", "int4"}),
                         [](const auto &info) {
                           std::string name = std::string(info.param.model) +
                                              "_" + info.param.quantize;
                           for (char &c : name)
                             c = c == '-' ? '_' : c;
                           return name;
                         });

} // namespace
