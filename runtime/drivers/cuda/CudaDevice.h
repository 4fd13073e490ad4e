//===- CudaDevice.h - One GPU and its memory --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDADEVICE_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDADEVICE_H

#include "runtime/drivers/cuda/CudaApi.h"

namespace dsv2::cuda {

/// The primary context of the first GPU that fits, and a stream in it for
/// loading and measuring. Sessions have streams of their own.
class CudaDevice {
public:
  /// Takes the first device of compute capability `major`.`minor`; `target`
  /// names what the model was compiled for.
  static dsv2::Result<std::shared_ptr<CudaDevice>>
  open(std::shared_ptr<const CudaApi> api, int major, int minor,
       const std::string &target);

  ~CudaDevice();
  CudaDevice(const CudaDevice &) = delete;

  const CudaApi &api() const { return *driver; }
  Stream stream() const { return queue; }
  const std::string &name() const { return deviceName; }
  int multiprocessors() const { return processors; }
  int driverVersion() const { return version; }

  /// Makes the context current for the calling thread; before all else.
  Status activate() const;
  /// Waits for stream().
  Status synchronize(const std::string &what) const;
  dsv2::Result<uint64_t> freeBytes() const;

private:
  CudaDevice() = default;

  std::shared_ptr<const CudaApi> driver;
  Device device = 0;
  Context context = nullptr;
  Stream queue = nullptr;
  std::string deviceName;
  int processors = 0, version = 0;
};

/// Memory of a device, freed with this object.
class DeviceBuffer {
public:
  /// `what` names the buffer in the error. At least 256 bytes are allocated,
  /// aligned to as many.
  static dsv2::Result<DeviceBuffer> allocate(std::shared_ptr<CudaDevice> device,
                                             uint64_t bytes, const char *what);

  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer &&other) noexcept;
  DeviceBuffer &operator=(DeviceBuffer &&other) noexcept;
  ~DeviceBuffer();

  DevicePointer address() const { return start; }
  uint64_t size() const { return byteCount; }

private:
  std::shared_ptr<CudaDevice> owner;
  DevicePointer start = 0;
  uint64_t byteCount = 0;
};

/// Host memory that copies go to and from at full speed.
class PinnedBuffer {
public:
  static dsv2::Result<PinnedBuffer> allocate(std::shared_ptr<CudaDevice> device,
                                             uint64_t bytes, const char *what);

  PinnedBuffer() = default;
  PinnedBuffer(PinnedBuffer &&other) noexcept;
  PinnedBuffer &operator=(PinnedBuffer &&other) noexcept;
  ~PinnedBuffer();

  std::byte *data() const { return start; }
  uint64_t size() const { return byteCount; }

private:
  std::shared_ptr<CudaDevice> owner;
  std::byte *start = nullptr;
  uint64_t byteCount = 0;
};

/// Host memory of somebody else that is pinned as long as this lives.
class PinnedRange {
public:
  /// Pins the whole pages of memory that begins with a page, if the driver can:
  /// without, copies are slower. A copy must not cross the end of what is
  /// pinned; since that ends a page, one that begins there is of other memory.
  static PinnedRange pin(std::shared_ptr<CudaDevice> device, void *start,
                         uint64_t bytes);

  PinnedRange() = default;
  PinnedRange(PinnedRange &&other) noexcept;
  PinnedRange &operator=(PinnedRange &&other) noexcept;
  ~PinnedRange();

  /// 0 when nothing is pinned.
  uint64_t size() const { return byteCount; }

private:
  std::shared_ptr<CudaDevice> owner;
  void *start = nullptr;
  uint64_t byteCount = 0;
};

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDADEVICE_H
