//===- CudaModel.cpp - An artifact on a GPU -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaModel.h"

#include "runtime/artifact/Artifact.h"

namespace dsv2::cuda {

dsv2::Result<std::shared_ptr<const CudaModel>>
CudaModel::load(const Artifact &artifact, ThreadPool &threads,
                const std::string &library) {
  const schema::GpuTarget &target = *artifact.metadata().gpu();
  dsv2::Result<std::shared_ptr<const CudaApi>> api = CudaApi::load(library);
  if (!api.ok())
    return api.status();
  dsv2::Result<std::shared_ptr<CudaDevice>> device =
      CudaDevice::open(*std::move(api), static_cast<int>(target.major()),
                       static_cast<int>(target.minor()), target.name()->str());
  if (!device.ok())
    return device.status();
  dsv2::Result<uint64_t> free = (*device)->freeBytes();
  if (!free.ok())
    return free.status();
  uint64_t needed = CudaWeights::bytesNeeded(artifact) +
                    artifact.metadata().plan()->arena_bytes();
  if (needed > *free)
    return Status(StatusCode::exhausted,
                  "weights and working memory need " + std::to_string(needed) +
                      " bytes on " + (*device)->name() + ", and " +
                      std::to_string(*free) +
                      " are free; quantize the weights or use a larger GPU");
  dsv2::Result<CudaKernels> kernels =
      CudaKernels::load(*device, artifact.metadata());
  if (!kernels.ok())
    return kernels.status();
  dsv2::Result<CudaWeights> weights =
      CudaWeights::load(*device, artifact, *kernels, threads);
  if (!weights.ok())
    return weights.status();
  return std::make_shared<const CudaModel>(
      CudaModel{*device, *std::move(kernels), *std::move(weights)});
}

} // namespace dsv2::cuda
