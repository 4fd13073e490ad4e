//===- CudaTimer.cpp - The time that work on a device takes ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaTimer.h"

namespace dsv2::cuda {

dsv2::Result<CudaTimer> CudaTimer::create(std::shared_ptr<CudaDevice> device) {
  CudaTimer timer;
  for (CudaEvent *event : {&timer.begin, &timer.end}) {
    dsv2::Result<CudaEvent> made =
        CudaEvent::create(device, CudaEvent::Use::timing);
    if (!made.ok())
      return made.status();
    *event = *std::move(made);
  }
  timer.device = std::move(device);
  return timer;
}

dsv2::Result<double> CudaTimer::time(const std::function<Status()> &submit) {
  DSV2_RETURN_IF_ERROR(begin.record(device->stream()));
  DSV2_RETURN_IF_ERROR(submit());
  DSV2_RETURN_IF_ERROR(end.record(device->stream()));
  DSV2_RETURN_IF_ERROR(device->synchronize("what is measured"));
  return end.secondsSince(begin);
}

} // namespace dsv2::cuda
