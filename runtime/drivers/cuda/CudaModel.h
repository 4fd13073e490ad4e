//===- CudaModel.h - An artifact on a GPU -----------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDAMODEL_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDAMODEL_H

#include "runtime/drivers/cuda/CudaWeights.h"

namespace dsv2::cuda {

/// An artifact that is ready to run on a device; sessions share it.
struct CudaModel {
  std::shared_ptr<CudaDevice> device;
  CudaKernels kernels;
  CudaWeights weights;

  /// Opens the driver and a device, and loads kernels and weights, the latter
  /// on all `threads`. Says before it allocates when the device has too little
  /// memory.
  static dsv2::Result<std::shared_ptr<const CudaModel>>
  load(const Artifact &artifact, ThreadPool &threads,
       const std::string &library = "libcuda.so.1");
};

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDAMODEL_H
