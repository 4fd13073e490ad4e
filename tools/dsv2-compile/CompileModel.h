//===- CompileModel.h - From a source to an artifact ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_DSV2_COMPILE_COMPILEMODEL_H
#define DSV2_TOOLS_DSV2_COMPILE_COMPILEMODEL_H

#include "lowering/Plan/TensorView.h"

#include "mlir/IR/DialectRegistry.h"

#include <optional>
#include <string>

namespace mlir::dsv2 {

/// The phases after which --compile-to can stop.
enum class Phase { model, fuse, prepare, plan, kernels, artifact };

struct CompileOptions {
  std::string source; ///< checkpoint, config, model name or .mlir file
  std::string output;
  std::string target = "native";
  /// "checkpoint", "random:SEED" or "none"; empty: checkpoint where the source
  /// has one, otherwise an error.
  std::string weights;
  std::string quantize = "none";
  /// "auto", "latent" or "expanded": the form of attention in every phase.
  std::string attention = "auto";
  /// "f32", "bf16" or "int8"; empty: bf16, f32 for the reference target.
  std::string cache;
  /// The program that assembles GPU kernels; empty: the one found when dsv2
  /// was configured; "none": do not assemble.
  std::string ptxas;
  std::string extraPasses;
  std::string dumpDirectory;
  Phase stopAfter = Phase::artifact;
  /// Sizes the user gave; others have defaults that depend on the model.
  std::optional<int64_t> maxContext, maxBatchTokens, maxSequences, contextChunk;
  unsigned threads = 2;
  bool quiet = false;
};

/// Compiles and reports on stderr. Returns the exit status.
int compileModel(const CompileOptions &options,
                 const DialectRegistry &registry);

} // namespace mlir::dsv2

#endif // DSV2_TOOLS_DSV2_COMPILE_COMPILEMODEL_H
