//===- CudaDevice.cpp - One GPU and its memory ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaDevice.h"

#include <algorithm>
#include <utility>

#include <unistd.h>

namespace dsv2::cuda {
namespace {

/// The driver of CUDA 12.1 is the first that compiles our PTX.
constexpr int oldestDriver = 12010;

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." +
         std::to_string(version % 1000 / 10);
}

} // namespace

dsv2::Result<std::shared_ptr<CudaDevice>>
CudaDevice::open(std::shared_ptr<const CudaApi> api, int major, int minor,
                 const std::string &target) {
  std::shared_ptr<CudaDevice> opened(new CudaDevice);
  opened->driver = std::move(api);
  const CudaApi &cu = *opened->driver;
  int count = 0;
  Result started = cu.init(0);
  if (started == success)
    started = cu.deviceGetCount(&count);
  if (started == noDevice || (started == success && count == 0))
    return Status(StatusCode::incompatible,
                  "the model is compiled for an NVIDIA GPU (" + target +
                      ") and this machine has none that the driver sees; "
                      "compile it with --target=native");
  DSV2_RETURN_IF_ERROR(cu.check(started, "cuInit"));
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.driverGetVersion(&opened->version), "cuDriverGetVersion"));
  if (opened->version < oldestDriver)
    return Status(StatusCode::incompatible,
                  "the CUDA driver is too old: expected " +
                      versionText(oldestDriver) + " or newer, found " +
                      versionText(opened->version) + "; update it");

  std::string found;
  for (int i = 0; i < count; ++i) {
    Device device;
    char name[256] = {};
    int capability[2] = {};
    DSV2_RETURN_IF_ERROR(cu.check(cu.deviceGet(&device, i), "cuDeviceGet"));
    DSV2_RETURN_IF_ERROR(cu.check(
        cu.deviceGetName(name, sizeof(name) - 1, device), "cuDeviceGetName"));
    for (auto [attribute, value] :
         {std::pair(computeCapabilityMajor, &capability[0]),
          std::pair(computeCapabilityMinor, &capability[1]),
          std::pair(multiprocessorCount, &opened->processors)})
      DSV2_RETURN_IF_ERROR(
          cu.check(cu.deviceGetAttribute(value, attribute, device),
                   "cuDeviceGetAttribute", name));
    if (capability[0] != major || capability[1] != minor) {
      found += (found.empty() ? "" : ", ") + std::string(name) + " (sm_" +
               std::to_string(capability[0]) + std::to_string(capability[1]) +
               ")";
      continue;
    }
    opened->device = device;
    opened->deviceName = name;
    DSV2_RETURN_IF_ERROR(cu.check(cu.primaryCtxRetain(&opened->context, device),
                                  "cuDevicePrimaryCtxRetain", name));
    DSV2_RETURN_IF_ERROR(opened->activate());
    DSV2_RETURN_IF_ERROR(
        cu.check(cu.streamCreate(&opened->queue, streamNonBlocking),
                 "cuStreamCreate", name));
    return opened;
  }
  return Status(StatusCode::incompatible,
                "the model is compiled for " + target +
                    ", and this machine has " + found +
                    "; compile it with --target=native");
}

CudaDevice::~CudaDevice() {
  if (!context)
    return;
  driver->ctxSetCurrent(context);
  if (queue)
    driver->streamDestroy(queue);
  driver->primaryCtxRelease(device);
}

Status CudaDevice::activate() const {
  return driver->check(driver->ctxSetCurrent(context), "cuCtxSetCurrent",
                       deviceName);
}

Status CudaDevice::synchronize(const std::string &what) const {
  return driver->check(driver->streamSynchronize(queue), "cuStreamSynchronize",
                       what);
}

dsv2::Result<uint64_t> CudaDevice::freeBytes() const {
  size_t free = 0, total = 0;
  DSV2_RETURN_IF_ERROR(
      driver->check(driver->memGetInfo(&free, &total), "cuMemGetInfo"));
  return uint64_t(free);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

dsv2::Result<DeviceBuffer>
DeviceBuffer::allocate(std::shared_ptr<CudaDevice> device, uint64_t bytes,
                       const char *what) {
  DeviceBuffer buffer;
  buffer.byteCount = std::max<uint64_t>(bytes, 256);
  DSV2_RETURN_IF_ERROR(device->api().check(
      device->api().memAlloc(&buffer.start, buffer.byteCount), "cuMemAlloc",
      std::string(what) + " (" + std::to_string(bytes) + " bytes)"));
  buffer.owner = std::move(device);
  return buffer;
}

DeviceBuffer::DeviceBuffer(DeviceBuffer &&other) noexcept
    : owner(std::move(other.owner)), start(std::exchange(other.start, 0)),
      byteCount(std::exchange(other.byteCount, 0)) {}

DeviceBuffer &DeviceBuffer::operator=(DeviceBuffer &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(start, other.start);
  std::swap(byteCount, other.byteCount);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (start && owner->activate().ok())
    owner->api().memFree(start);
}

dsv2::Result<PinnedBuffer>
PinnedBuffer::allocate(std::shared_ptr<CudaDevice> device, uint64_t bytes,
                       const char *what) {
  PinnedBuffer buffer;
  buffer.byteCount = std::max<uint64_t>(bytes, 256);
  void *memory = nullptr;
  DSV2_RETURN_IF_ERROR(device->api().check(
      device->api().memAllocHost(&memory, buffer.byteCount), "cuMemAllocHost",
      std::string(what) + " (" + std::to_string(bytes) + " bytes)"));
  buffer.start = static_cast<std::byte *>(memory);
  buffer.owner = std::move(device);
  return buffer;
}

PinnedBuffer::PinnedBuffer(PinnedBuffer &&other) noexcept
    : owner(std::move(other.owner)), start(std::exchange(other.start, nullptr)),
      byteCount(std::exchange(other.byteCount, 0)) {}

PinnedBuffer &PinnedBuffer::operator=(PinnedBuffer &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(start, other.start);
  std::swap(byteCount, other.byteCount);
  return *this;
}

PinnedBuffer::~PinnedBuffer() {
  if (start && owner->activate().ok())
    owner->api().memFreeHost(start);
}

PinnedRange PinnedRange::pin(std::shared_ptr<CudaDevice> device, void *start,
                             uint64_t bytes) {
  PinnedRange range;
  bytes -= bytes % static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  if (bytes && device->api().memHostRegister(start, bytes, 0) == success) {
    range.owner = std::move(device);
    range.start = start;
    range.byteCount = bytes;
  }
  return range;
}

PinnedRange::PinnedRange(PinnedRange &&other) noexcept
    : owner(std::move(other.owner)), start(std::exchange(other.start, nullptr)),
      byteCount(std::exchange(other.byteCount, 0)) {}

PinnedRange &PinnedRange::operator=(PinnedRange &&other) noexcept {
  std::swap(owner, other.owner);
  std::swap(start, other.start);
  std::swap(byteCount, other.byteCount);
  return *this;
}

PinnedRange::~PinnedRange() {
  if (start && owner->activate().ok())
    owner->api().memHostUnregister(start);
}

} // namespace dsv2::cuda
