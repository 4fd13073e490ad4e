//===- CudaTimer.cpp - The time that work on a device takes ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaTimer.h"

#include <utility>

namespace dsv2::cuda {

dsv2::Result<CudaTimer> CudaTimer::create(std::shared_ptr<CudaDevice> device) {
  CudaTimer timer;
  timer.device = std::move(device);
  const CudaApi &cu = timer.device->api();
  for (Event *event : {&timer.begin, &timer.end})
    DSV2_RETURN_IF_ERROR(cu.check(cu.eventCreate(event, 0), "cuEventCreate"));
  return timer;
}

CudaTimer::CudaTimer(CudaTimer &&other) noexcept
    : device(std::move(other.device)),
      begin(std::exchange(other.begin, nullptr)),
      end(std::exchange(other.end, nullptr)) {}

CudaTimer::~CudaTimer() {
  for (Event event : {begin, end})
    if (event)
      device->api().eventDestroy(event);
}

dsv2::Result<double> CudaTimer::time(const std::function<Status()> &submit) {
  const CudaApi &cu = device->api();
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.eventRecord(begin, device->stream()), "cuEventRecord"));
  DSV2_RETURN_IF_ERROR(submit());
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.eventRecord(end, device->stream()), "cuEventRecord"));
  DSV2_RETURN_IF_ERROR(device->synchronize("what is measured"));
  float milliseconds = 0;
  DSV2_RETURN_IF_ERROR(cu.check(cu.eventElapsedTime(&milliseconds, begin, end),
                                "cuEventElapsedTime"));
  return static_cast<double>(milliseconds) * 1e-3;
}

} // namespace dsv2::cuda
