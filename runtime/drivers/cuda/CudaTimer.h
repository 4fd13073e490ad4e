//===- CudaTimer.h - The time that work on a device takes -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDATIMER_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDATIMER_H

#include "runtime/drivers/cuda/CudaStream.h"

namespace dsv2::cuda {

/// A pair of events around work on the device's stream.
class CudaTimer {
public:
  static dsv2::Result<CudaTimer> create(std::shared_ptr<CudaDevice> device);

  /// Seconds from the beginning to the end of what `submit` submits; waits.
  dsv2::Result<double> time(const std::function<Status()> &submit);

private:
  CudaTimer() = default;

  std::shared_ptr<CudaDevice> device;
  CudaEvent begin, end;
};

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDATIMER_H
