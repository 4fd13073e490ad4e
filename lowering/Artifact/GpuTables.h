//===- GpuTables.h - GPU kernels as flatbuffer tables -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_ARTIFACT_GPUTABLES_H
#define DSV2_LOWERING_ARTIFACT_GPUTABLES_H

#include "lowering/Artifact/PlanTables.h"
#include "lowering/NVPTX/Codegen.h"
#include "lowering/NVPTX/Kernel.h"

#include <vector>

namespace mlir::dsv2 {

/// A compiled GPU kernel and how to launch it.
struct GpuKernel {
  nvptx::CompiledKernel code;
  nvptx::Launch launch;
  int64_t bindings = 0;
  int64_t sharedBytes = 0; ///< dynamic
  SmallVector<nvptx::TensorMap> tensorMaps;
  /// It fills weights that the artifact does not have.
  bool fillsWeights = false;
};

/// Joins what was compiled of `kernels` with how to launch it.
std::vector<GpuKernel>
gpuKernelsOf(ModuleOp kernels, std::vector<nvptx::CompiledKernel> compiled);

/// Adds the kernels and the kind of GPU they are for.
void addGpuKernels(const std::vector<GpuKernel> &kernels,
                   ::dsv2::schema::ArtifactT &artifact, PlanOrdinals &ordinals);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_ARTIFACT_GPUTABLES_H
