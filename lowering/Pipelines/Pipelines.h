//===- Pipelines.h - The phases of the compiler -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Each phase is a pipeline that is registered and can be run alone:
//
//   dsv2-fuse               target-independent rewrites of model IR
//   dsv2-prepare-x86        formats and fusions of the x86-64 kernels
//   dsv2-prepare-nvptx      formats and fusions of the GPU kernels
//   dsv2-prepare-reference  what the reference target needs
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PIPELINES_PIPELINES_H
#define DSV2_LOWERING_PIPELINES_PIPELINES_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir::dsv2 {

/// Options of the `dsv2-fuse` pipeline.
struct FusePipelineOptions : PassPipelineOptions<FusePipelineOptions> {
  Option<int64_t> decodeTokens{
      *this, "decode-tokens",
      llvm::cl::desc("Query tokens of a sequence that decode takes at most"),
      llvm::cl::init(8)};
  Option<std::string> quantize{
      *this, "quantize",
      llvm::cl::desc("Options of dsv2-quantize-weights; empty: no "
                     "quantization")};
  Option<std::string> absorb{
      *this, "absorb", llvm::cl::desc("Options of dsv2-absorb-up-projections")};
  /// Where a plugin adds its fusions, without an edit to this file.
  Option<std::string> extraPasses{
      *this, "extra-passes",
      llvm::cl::desc("Pass pipeline to run after the built-in fusions")};
};

/// Whether keys and values are expanded in int8, given the options of
/// dsv2-quantize-weights: where the up-projections are integers, or else where
/// some weights are int4. Beside the error of int8 weights alone, that of the
/// expansion would count.
bool expandsInInt8(StringRef quantize);

/// Adds the target-independent rewrites to `pm`. Fails when an option does not
/// parse, and says why on `errors`.
LogicalResult buildFusePipeline(OpPassManager &pm,
                                const FusePipelineOptions &options,
                                raw_ostream &errors = llvm::errs());

/// Sizes of a step, and the instruction set of x86 kernels.
struct LowerPipelineOptions : PassPipelineOptions<LowerPipelineOptions> {
  Option<std::string> instructionSet{
      *this, "instruction-set",
      llvm::cl::desc("amx, avx512-bf16-vnni, avx512 or avx2, for x86-64"),
      llvm::cl::init("avx512-bf16-vnni")};
  Option<int64_t> maxBatchTokens{*this, "max-batch-tokens",
                                 llvm::cl::desc("Tokens of a step at most"),
                                 llvm::cl::init(512)};
  Option<int64_t> maxSequences{*this, "max-sequences",
                               llvm::cl::desc("Sequences of a step at most"),
                               llvm::cl::init(16)};
  Option<int64_t> maxContext{*this, "max-context",
                             llvm::cl::desc("Tokens of a sequence at most"),
                             llvm::cl::init(4096)};
};

/// From fused model IR to a plan and its kernels, in a module `@kernels`.
void buildLowerX86Pipeline(OpPassManager &pm,
                           const LowerPipelineOptions &options);
void buildLowerNVPTXPipeline(OpPassManager &pm,
                             const LowerPipelineOptions &options);

void buildPrepareX86Pipeline(OpPassManager &pm);
void buildPrepareNVPTXPipeline(OpPassManager &pm);
void buildPrepareReferencePipeline(OpPassManager &pm);

void registerDSV2Pipelines();

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_PIPELINES_PIPELINES_H
