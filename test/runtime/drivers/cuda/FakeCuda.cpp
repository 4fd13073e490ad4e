//===- FakeCuda.cpp - A CUDA driver that needs no GPU ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A shared library with the entry points of libcuda.so.1 that dsv2 uses. Device
// memory is host memory, work is done when it is submitted, and kernels run on
// the PTX emulator. A recorded graph is the list of its launches and events. A
// kernel takes a microsecond, and an event half of one. Calls of several
// threads take turns. What the environment variable DSV2_FAKE_CUDA says,
// separated by semicolons:
//
//   arch=90           compute capability (90)
//   devices=1         how many there are (1)
//   version=12040     of the driver (12040)
//   memory=BYTES      of the device (1 GiB)
//   fail=cuNAME       this call returns error 999
//   cubin=accept      cubins load; their kernels do nothing
//   log=FILE          names of calls are appended there, one a line
//
//===----------------------------------------------------------------------===//

#include "test/runtime/drivers/cuda/FakeCuda.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace dsv2;
using namespace dsv2::cuda;
using namespace dsv2::fake;

void Driver::configure() {
  std::lock_guard lock(mutex);
  settings.clear();
  const char *text = std::getenv("DSV2_FAKE_CUDA");
  std::string rest = text ? text : "";
  while (!rest.empty()) {
    size_t end = std::min(rest.find(';'), rest.size());
    std::string item = rest.substr(0, end);
    rest.erase(0, end + 1);
    if (size_t equals = item.find('='); equals != std::string::npos)
      settings[item.substr(0, equals)] = item.substr(equals + 1);
  }
}

Driver &fake::driver() {
  static Driver instance;
  return instance;
}

void fake::note(const std::string &line) {
  std::string log = driver().setting("log", "");
  if (!log.empty())
    if (FILE *file = std::fopen(log.c_str(), "a")) {
      std::fprintf(file, "%s\n", line.c_str());
      std::fclose(file);
    }
}

cuda::Result fake::called(const char *name) {
  note(name);
  return driver().setting("fail", "") == name ? 999 : success;
}

static constexpr uintptr_t pageBytes = 4096;

/// Whether a copy is of registered memory or of other, which the driver wants:
/// it takes the whole pages of registered memory for pinned.
static bool isOfOneKind(const void *host, size_t bytes) {
  uintptr_t begin = reinterpret_cast<uintptr_t>(host), end = begin + bytes;
  for (auto [start, size] : driver().registered) {
    uintptr_t stop = start + size;
    uintptr_t pagesEnd = (stop + pageBytes - 1) / pageBytes * pageBytes;
    if (begin < pagesEnd && end > start / pageBytes * pageBytes &&
        (begin < start || end > stop))
      return false;
  }
  return true;
}

extern "C" {

cuda::Result cuInit(unsigned) {
  driver().configure();
  ENTER("cuInit");
  return driver().setting("devices", "1") == "0" ? noDevice : success;
}
cuda::Result cuDriverGetVersion(int *version) {
  ENTER("cuDriverGetVersion");
  *version = std::atoi(driver().setting("version", "12040").c_str());
  return success;
}
cuda::Result cuGetErrorString(cuda::Result error, const char **text) {
  static thread_local std::string said;
  said = error == outOfMemory ? "out of memory"
         : error == 999       ? "unknown error"
         : error == 700 ? "an illegal memory access: " + driver().lastError
                        : "some error";
  *text = said.c_str();
  return success;
}
cuda::Result cuDeviceGetCount(int *count) {
  ENTER("cuDeviceGetCount");
  *count = std::atoi(driver().setting("devices", "1").c_str());
  return success;
}
cuda::Result cuDeviceGet(Device *device, int index) {
  ENTER("cuDeviceGet");
  *device = index;
  return success;
}
cuda::Result cuDeviceGetName(char *name, int bytes, Device) {
  ENTER("cuDeviceGetName");
  std::snprintf(name, static_cast<size_t>(bytes), "Fake GPU");
  return success;
}
cuda::Result cuDeviceGetAttribute(int *value, int attribute, Device) {
  ENTER("cuDeviceGetAttribute");
  int arch = std::atoi(driver().setting("arch", "90").c_str());
  *value = attribute == computeCapabilityMajor   ? arch / 10
           : attribute == computeCapabilityMinor ? arch % 10
                                                 : 3;
  return success;
}
cuda::Result cuDevicePrimaryCtxRetain(Context *context, Device) {
  ENTER("cuDevicePrimaryCtxRetain");
  *context = &driver().context;
  return success;
}
cuda::Result cuDevicePrimaryCtxRelease_v2(Device) {
  ENTER("cuDevicePrimaryCtxRelease");
  return success;
}
cuda::Result cuCtxSetCurrent(Context) { return success; }

cuda::Result cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER("cuMemGetInfo");
  *total = driver().capacity();
  *free = *total - driver().used;
  return success;
}
cuda::Result cuMemAlloc_v2(DevicePointer *address, size_t bytes) {
  ENTER("cuMemAlloc");
  if (driver().used + bytes > driver().capacity())
    return outOfMemory;
  size_t rounded = (bytes + 255) / 256 * 256;
  void *memory = std::aligned_alloc(256, rounded);
  // NaN in every format: what is read must have been written.
  std::memset(memory, 0xff, rounded);
  *address = reinterpret_cast<DevicePointer>(memory);
  driver().memory[*address] = bytes;
  driver().used += bytes;
  return success;
}
cuda::Result cuMemFree_v2(DevicePointer address) {
  ENTER("cuMemFree");
  auto found = driver().memory.find(address);
  if (found == driver().memory.end())
    return 1;
  driver().used -= found->second;
  driver().memory.erase(found);
  std::free(reinterpret_cast<void *>(address));
  return success;
}
cuda::Result cuMemAllocHost_v2(void **memory, size_t bytes) {
  ENTER("cuMemAllocHost");
  *memory = std::malloc(bytes);
  return success;
}
cuda::Result cuMemFreeHost(void *memory) {
  ENTER("cuMemFreeHost");
  std::free(memory);
  return success;
}
cuda::Result cuMemHostRegister_v2(void *start, size_t bytes, unsigned) {
  ENTER("cuMemHostRegister");
  driver().registered[reinterpret_cast<uintptr_t>(start)] = bytes;
  return success;
}
cuda::Result cuMemHostUnregister(void *start) {
  ENTER("cuMemHostUnregister");
  return driver().registered.erase(reinterpret_cast<uintptr_t>(start)) ? success
                                                                       : 1;
}
cuda::Result cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from,
                                  size_t bytes, Stream stream) {
  ENTER_WITH("cuMemcpyHtoDAsync", stream);
  if (!isOfOneKind(from, bytes))
    return 1;
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return success;
}
cuda::Result cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes,
                                  Stream stream) {
  ENTER_WITH("cuMemcpyDtoHAsync", stream);
  if (!isOfOneKind(to, bytes))
    return 1;
  std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
  return success;
}
cuda::Result cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from,
                                  size_t bytes, Stream stream) {
  ENTER_WITH("cuMemcpyDtoDAsync", stream);
  std::memcpy(reinterpret_cast<void *>(to),
              reinterpret_cast<const void *>(from), bytes);
  return success;
}
cuda::Result cuMemsetD8Async(DevicePointer to, unsigned char value,
                             size_t bytes, Stream stream) {
  ENTER_WITH("cuMemsetD8Async", stream);
  std::memset(reinterpret_cast<void *>(to), value, bytes);
  return success;
}

cuda::Result cuTensorMapEncodeTiled(TensorMap *map, int type, uint32_t rank,
                                    void *base, const uint64_t *sizes,
                                    const uint64_t *strides,
                                    const uint32_t *box, const uint32_t *, int,
                                    int swizzle, int, int) {
  ENTER("cuTensorMapEncodeTiled");
  auto misaligned = [](uint64_t value) { return value % 16 != 0; };
  if (rank < 1 || rank > 5 || misaligned(reinterpret_cast<uint64_t>(base)))
    return 1;
  ptx::TensorMapImage image;
  image.base = base;
  image.rank = static_cast<int32_t>(rank);
  image.elementBytes = type == mapUint8                            ? 1
                       : type == mapFloat16 || type == mapBfloat16 ? 2
                                                                   : 4;
  image.swizzleBytes = swizzle == 0 ? 0 : 16 << swizzle;
  for (uint32_t i = 0; i < rank; ++i) {
    if (box[i] < 1 || box[i] > 256 || sizes[i] < 1)
      return 1;
    image.sizes[i] = static_cast<uint32_t>(sizes[i]);
    image.box[i] = box[i];
    if (i + 1 < rank) {
      if (misaligned(strides[i]))
        return 1;
      image.strides[i] = strides[i];
    }
  }
  std::memcpy(map, &image, sizeof(image));
  return success;
}

} // extern "C"
