//===- CudaRates.h - What a GPU reaches at copies and products --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_CUDARATES_H
#define DSV2_TOOLS_BENCH_CUDARATES_H

#include "runtime/drivers/cuda/CublasLt.h"
#include "runtime/drivers/cuda/CudaTimer.h"

#include <optional>

namespace dsv2::cuda {

/// Fills device memory with a repeated piece of random bf16 in [-1, 1): zeros
/// take less power, and so make products faster than they are. Bytes are e4m3
/// between 2^-6 and 1 when `eight`.
Status fillRandomly(CudaDevice &device, DevicePointer address, uint64_t bytes,
                    bool eight = false);

/// Seconds of one of so many submissions in a row, after one that is not
/// measured: it occupies the device while the CPU submits the others, so that
/// the time of a launch is not taken for that of the work.
dsv2::Result<double> timeInRow(CudaTimer &timer, int64_t count,
                               const std::function<Status()> &submit);

/// The fastest of a product's algorithms on these operands.
dsv2::Result<size_t> fastestAlgorithm(CudaTimer &timer,
                                      const CublasLtProduct &product,
                                      DevicePointer x, DevicePointer w,
                                      DevicePointer y);

/// Measures with two buffers, each larger than the caches of any GPU.
class CudaRates {
public:
  static dsv2::Result<std::unique_ptr<CudaRates>>
  create(std::shared_ptr<CudaDevice> device);

  /// Bytes read and written per second while one buffer is copied to the other.
  dsv2::Result<double> copyRate();
  /// Operations per second of a square product in bf16 with sums in f32, of
  /// random numbers, by NVIDIA's own library; 0 where that is missing.
  dsv2::Result<double> matmulRate();
  /// Why there is no rate of products; ok when there is one.
  const Status &matmulStatus() const { return missing; }

  /// The library, when it is there.
  const std::shared_ptr<const CublasLt> &library() const { return cublas; }

private:
  explicit CudaRates(std::shared_ptr<CudaDevice> device)
      : device(std::move(device)) {}
  Status allocate();
  Status prepareProduct();

  std::shared_ptr<CudaDevice> device;
  DeviceBuffer from, to;
  std::optional<CudaTimer> timer;
  std::shared_ptr<const CublasLt> cublas;
  std::optional<CublasLtProduct> product;
  int64_t side = 0; ///< of the matrices
  size_t algorithm = 0;
  Status missing;
};

} // namespace dsv2::cuda

#endif // DSV2_TOOLS_BENCH_CUDARATES_H
