//===- CudaKernels.h - The GPU kernels of an artifact -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDAKERNELS_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDAKERNELS_H

#include "runtime/drivers/cuda/CudaDevice.h"

#include <vector>

namespace dsv2 {
namespace schema {
struct Artifact;
} // namespace schema

namespace cuda {

/// Every kernel loaded: from its cubin, or from PTX when the driver refuses
/// that (it is older than the assembler) or there is none.
class CudaKernels {
public:
  static dsv2::Result<CudaKernels> load(std::shared_ptr<CudaDevice> device,
                                        const schema::Artifact &artifact);

  CudaKernels(CudaKernels &&other) noexcept = default;
  ~CudaKernels();

  /// By kernel index of the artifact.
  const std::vector<Function> &functions() const { return entries; }

private:
  CudaKernels() = default;

  std::shared_ptr<CudaDevice> device;
  std::vector<Module> modules;
  std::vector<Function> entries;
};

} // namespace cuda
} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDAKERNELS_H
