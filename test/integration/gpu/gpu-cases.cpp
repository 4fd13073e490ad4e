//===- gpu-cases.cpp - Writes kernel runs to measure on a GPU -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//   gpu-cases FOLDER [--tiny]
//
// Compiles the kernels that goals are set for, at the shapes of the goals, and
// writes what gpu-bench needs to run them. --tiny writes a few small ones, for
// the emulator.
//
//===----------------------------------------------------------------------===//

#include "test/integration/gpu/CaseWriter.h"

#include <cstdio>
#include <cstring>
#include <filesystem>

using namespace dsv2::test;
using namespace mlir::dsv2::nvptx;
using Against = SpeedCase::Against;

static constexpr WeightFormat allFormats[] = {
    WeightFormat::bf16, WeightFormat::fp8, WeightFormat::int8,
    WeightFormat::int4};

static void writeTiny(CaseWriter &writer) {
  writer.latentAttention(16, 2, 100, 64, CacheFormat::bf16,
                         {Against::copy, 0.85});
  writer.expandedAttention(1, 130);
  writer.gemm(64, 128, 128, GemmFormat::bf16, false);
  writer.gemm(64, 128, 128, GemmFormat::fp8, false);
  writer.groupedGemm(2, 16, 128, 128, GemmFormat::bf16);
  writer.gemv("experts", 16, 128, WeightFormat::int4, 2, 8);
}

static void writeAll(CaseWriter &writer) {
  for (CacheFormat format : {CacheFormat::bf16, CacheFormat::fp8}) {
    // Splits as a plan has them, and none.
    for (int64_t split : {512, 4096})
      writer.latentAttention(16, 128, 4096, split, format,
                             {Against::copy, 0.85});
    for (int64_t split : {512, 8192})
      writer.latentAttention(128, 64, 8192, split, format,
                             {Against::matmul, 0.7});
  }
  constexpr int64_t shapes[][3] = {
      {4096, 7168, 2048}, {4096, 4096, 7168}, {8192, 8192, 8192}};
  for (auto [m, n, k] : shapes)
    for (bool pairs : {false, true})
      writer.gemm(m, n, k, GemmFormat::bf16, pairs);
  for (auto [m, n, k] : shapes)
    writer.gemm(m, n, k, GemmFormat::fp8, false);
  for (GemmFormat format : {GemmFormat::bf16, GemmFormat::fp8})
    writer.groupedGemm(16, 256, 7168, 2048, format);
  for (int64_t heads : {16, 128})
    writer.expandedAttention(heads, 8192);
  for (WeightFormat format : allFormats)
    for (int64_t tokens : {1, 4, 8, 16}) {
      writer.gemv("queries", 3072, 2048, format, tokens);
      writer.gemv("shared experts", 5632, 2048, format, tokens);
      writer.gemv("experts", 2816, 2048, format, tokens, 64);
      writer.gemv("head", 102400, 2048, format, tokens);
    }
}

int main(int argc, char **argv) {
  bool tiny = argc == 3 && std::strcmp(argv[2], "--tiny") == 0;
  if (argc != 2 && !tiny) {
    std::fprintf(stderr, "usage: gpu-cases FOLDER [--tiny]\n");
    return 1;
  }
  std::error_code ignored;
  std::filesystem::create_directories(argv[1], ignored);
  CaseWriter writer(argv[1]);
  tiny ? writeTiny(writer) : writeAll(writer);
  return writer.finish() ? 0 : 1;
}
