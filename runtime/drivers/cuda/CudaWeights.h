//===- CudaWeights.h - The weights of an artifact on a GPU ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDAWEIGHTS_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDAWEIGHTS_H

#include "runtime/drivers/cuda/CudaKernels.h"

namespace dsv2 {
class Artifact;
class ThreadPool;

namespace cuda {

/// Weights and constants in device memory, copied once.
class CudaWeights {
public:
  /// Reads the file on all `threads`. Weights that it does not have are filled
  /// with numbers by a kernel.
  static dsv2::Result<CudaWeights> load(std::shared_ptr<CudaDevice> device,
                                        const Artifact &artifact,
                                        const CudaKernels &kernels,
                                        ThreadPool &threads);

  /// Bytes of device memory this needs.
  static uint64_t bytesNeeded(const Artifact &artifact);

  DevicePointer weight(uint32_t index) const {
    return memory.address() + offsets[index];
  }
  DevicePointer constants() const { return memory.address(); }

private:
  DeviceBuffer memory;
  std::vector<uint64_t> offsets; ///< by weight; constants are at 0
};

} // namespace cuda
} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDAWEIGHTS_H
