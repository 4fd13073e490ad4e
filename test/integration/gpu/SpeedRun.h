//===- SpeedRun.h - A case of kernels on a device ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_INTEGRATION_GPU_SPEEDRUN_H
#define DSV2_TEST_INTEGRATION_GPU_SPEEDRUN_H

#include "runtime/drivers/cuda/CudaTimer.h"
#include "test/integration/gpu/SpeedCase.h"

#include <memory>
#include <string>
#include <vector>

namespace dsv2::test {

/// The type that cuTensorMapEncodeTiled has for a schema::ElementType.
int mapTypeOf(uint32_t element);

/// A case with its memory, filled, and its kernels, loaded.
class SpeedRun {
public:
  /// `quick` runs everything once, for a device that is emulated.
  static Result<std::unique_ptr<SpeedRun>>
  create(std::shared_ptr<cuda::CudaDevice> device, const std::string &folder,
         const SpeedCase &speed, bool quick);
  ~SpeedRun();

  /// Seconds of one run of the case, from many in a row.
  Result<double> measure(cuda::CudaTimer &timer);
  /// Whether the output is no longer what it was before the first run.
  Result<bool> hasWritten();
  /// Kernels that the driver had to compile, because their machine code was
  /// missing or refused.
  int compiledByDriver() const { return compiled; }

private:
  struct Launch {
    cuda::Function function = nullptr;
    std::vector<void *> parameters;
    std::unique_ptr<cuda::TensorMap[]> maps;
    unsigned blocks = 1;
  };
  /// One set of the buffers; those that do not rotate are shared.
  struct Copy {
    std::vector<cuda::DevicePointer> addresses; ///< then that of the sizes
    std::vector<Launch> launches;
  };

  SpeedRun(std::shared_ptr<cuda::CudaDevice> device, const SpeedCase &speed)
      : device(std::move(device)), speed(speed) {}
  const cuda::CudaApi &cu() const { return device->api(); }
  Status allocate(bool quick);
  Result<cuda::DevicePointer> makeBuffer(const SpeedBuffer &buffer);
  Status loadKernels(const std::string &folder);
  Status prepareLaunches(Copy &copy);
  Status submit(int64_t runs);
  Status record(int64_t runs);
  Result<int64_t> runsToMeasure(cuda::CudaTimer &timer);
  Result<double> timeGraph(cuda::CudaTimer &timer);

  std::shared_ptr<cuda::CudaDevice> device;
  const SpeedCase &speed;
  std::vector<cuda::DeviceBuffer> memory;
  std::vector<cuda::Module> modules;
  std::vector<cuda::Function> functions; ///< by launch
  std::vector<Copy> copies;
  cuda::GraphExec graph = nullptr;
  int64_t runsPerGraph = 1;
  int compiled = 0;
  bool quick = false;
};

} // namespace dsv2::test

#endif // DSV2_TEST_INTEGRATION_GPU_SPEEDRUN_H
