//===- WriteArtifact.h - A plan, its kernels and weights to a file -*- C++ -*-//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_ARTIFACT_WRITEARTIFACT_H
#define DSV2_LOWERING_ARTIFACT_WRITEARTIFACT_H

#include "lowering/Artifact/GpuTables.h"
#include "lowering/Artifact/WeightEvaluator.h"
#include "lowering/Plan/TensorView.h"
#include "lowering/X86/Codegen.h"
#include "models/Config.h"
#include "runtime/text/TokenizerModel.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <optional>

namespace mlir::dsv2 {

/// Kernels compiled for one instruction set.
struct CompiledKernels {
  std::string name;      ///< of the instruction set, or "reference"
  uint64_t features = 0; ///< schema::CpuFeature bits
  x86::KernelLibrary library;
};

/// Everything an artifact holds besides its plan and weights.
struct ArtifactContents {
  std::string modelName;
  std::string configJson;
  ::dsv2::Config config;
  plan::StepLimits limits;
  LatentCacheType cache;
  /// Best first; all export the kernels of the plan. Empty for a GPU.
  std::vector<CompiledKernels> kernels;
  /// The kernels of the plan when it is for a GPU.
  std::vector<GpuKernel> gpuKernels;
  std::optional<::dsv2::TokenizerModel> tokenizer;
  std::string target, weights, quantize;
};

/// What was written, for the compiler's summary.
struct ArtifactSummary {
  uint64_t fileBytes = 0, weightBytes = 0, arenaBytes = 0;
  size_t weightCount = 0;
};

/// Called after each weight with the bytes written so far and in all.
using WeightProgress = std::function<void(uint64_t done, uint64_t total)>;

/// Writes the artifact of the programs in `module` to `path`, atomically.
/// Weights are evaluated from `source` and left out when it is null. Emits a
/// diagnostic on failure, and leaves no file then.
FailureOr<ArtifactSummary> writeArtifact(ModuleOp module,
                                         const ArtifactContents &contents,
                                         const ::dsv2::TensorSource *source,
                                         StringRef path, unsigned threads,
                                         const WeightProgress &progress);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_ARTIFACT_WRITEARTIFACT_H
