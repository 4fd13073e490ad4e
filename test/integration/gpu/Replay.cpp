//===- Replay.cpp - A recorded kernel run, on a GPU -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/integration/gpu/Replay.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

using namespace dsv2;
using namespace dsv2::cuda;

namespace {

float valueAt(const std::vector<uint8_t> &bytes, size_t index, size_t width) {
  uint32_t bits = 0;
  if (width == 4) {
    std::memcpy(&bits, bytes.data() + index * 4, 4);
  } else {
    uint16_t half;
    std::memcpy(&half, bytes.data() + index * 2, 2);
    bits = uint32_t(half) << 16;
  }
  return std::bit_cast<float>(bits);
}

} // namespace

double dsv2::errorAs(const std::vector<uint8_t> &found,
                     const std::vector<uint8_t> &expected, size_t width) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size() / width; ++i) {
    float a = valueAt(found, i, width), b = valueAt(expected, i, width);
    if (std::isfinite(a) != std::isfinite(b))
      return std::numeric_limits<double>::infinity();
    if (!std::isfinite(b))
      continue;
    difference += (double(a) - b) * (double(a) - b);
    norm += double(b) * b;
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

namespace {

double errorOf(const std::vector<uint8_t> &found,
               const std::vector<uint8_t> &expected) {
  if (found == expected)
    return 0;
  return std::min(errorAs(found, expected, 4), errorAs(found, expected, 2));
}

int mapTypeOf(uint32_t element) {
  constexpr int types[] = {mapFloat32, mapFloat16, mapBfloat16,
                           mapInt32,   mapUint8,   mapUint8};
  return types[std::min<uint32_t>(element, 5)];
}

/// Loads the machine code that artifacts hold too, else the PTX.
Status loadKernel(const CudaApi &cu, const test::RecordedCase &recorded,
                  Module &module) {
  if (!recorded.cubin.empty() &&
      cu.moduleLoadDataEx(&module, recorded.cubin.data(), 0, nullptr,
                          nullptr) == 0)
    return Status();
  return cu.check(
      cu.moduleLoadDataEx(&module, recorded.ptx.c_str(), 0, nullptr, nullptr),
      "cuModuleLoadDataEx");
}

} // namespace

dsv2::Result<double> dsv2::replay(std::shared_ptr<CudaDevice> device,
                                  const test::RecordedCase &recorded) {
  const CudaApi &cu = device->api();
  Stream stream = device->stream();
  Module module = nullptr;
  Function function = nullptr;
  DSV2_RETURN_IF_ERROR(loadKernel(cu, recorded, module));
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.moduleGetFunction(&function, module, recorded.entry.c_str()),
               "cuModuleGetFunction"));
  if (recorded.sharedBytes)
    DSV2_RETURN_IF_ERROR(
        cu.check(cu.funcSetAttribute(function, maxDynamicSharedBytes,
                                     static_cast<int>(recorded.sharedBytes)),
                 "cuFuncSetAttribute"));
  std::vector<DeviceBuffer> buffers;
  std::vector<DevicePointer> addresses;
  auto upload = [&](const void *bytes, size_t size) -> Status {
    auto buffer = DeviceBuffer::allocate(device, size, "a binding");
    if (!buffer.ok())
      return buffer.status();
    buffers.push_back(*std::move(buffer));
    addresses.push_back(buffers.back().address());
    DSV2_RETURN_IF_ERROR(
        cu.check(cu.memcpyHtoDAsync(addresses.back(), bytes, size, stream),
                 "cuMemcpyHtoDAsync"));
    return device->synchronize("copying");
  };
  for (const std::vector<uint8_t> &binding : recorded.before)
    DSV2_RETURN_IF_ERROR(upload(binding.data(), binding.size()));
  DSV2_RETURN_IF_ERROR(upload(recorded.sizes.data(), sizeof(recorded.sizes)));

  std::vector<TensorMap> maps(recorded.maps.size());
  std::vector<void *> parameters;
  for (DevicePointer &address : addresses)
    parameters.push_back(&address);
  for (size_t i = 0; i < maps.size(); ++i) {
    const test::RecordedMap &map = recorded.maps[i];
    uint32_t steps[5] = {1, 1, 1, 1, 1};
    DSV2_RETURN_IF_ERROR(cu.check(
        cu.tensorMapEncodeTiled(
            &maps[i], mapTypeOf(map.element),
            static_cast<uint32_t>(map.sizes.size()),
            reinterpret_cast<void *>(addresses[map.binding]), map.sizes.data(),
            map.strides.data(), map.box.data(), steps, 0,
            static_cast<int>(map.swizzle), l2Promotion256, 0),
        "cuTensorMapEncodeTiled"));
    parameters.push_back(&maps[i]);
  }
  LaunchAttribute cluster;
  cluster.id = clusterDimension;
  cluster.value.cluster = {recorded.cluster, 1, 1};
  LaunchConfig config;
  config.gridX = recorded.blocks;
  config.blockX = recorded.threads;
  config.sharedBytes = recorded.sharedBytes;
  config.stream = stream;
  config.attributes = &cluster;
  config.attributeCount = recorded.cluster > 1;
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.launchKernelEx(&config, function, parameters.data(), nullptr),
               "cuLaunchKernelEx"));
  DSV2_RETURN_IF_ERROR(device->synchronize("the kernel"));
  double worst = 0;
  for (size_t i = 0; i < recorded.after.size(); ++i) {
    std::vector<uint8_t> found(recorded.after[i].size());
    DSV2_RETURN_IF_ERROR(cu.check(
        cu.memcpyDtoHAsync(found.data(), addresses[i], found.size(), stream),
        "cuMemcpyDtoHAsync"));
    DSV2_RETURN_IF_ERROR(device->synchronize("copying"));
    worst = std::max(worst, errorOf(found, recorded.after[i]));
  }
  cu.moduleUnload(module);
  return worst;
}
