//===- gpu-replay.cpp - Repeats recorded kernel runs on a GPU -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//   gpu-replay FILE.case...              each run, and how far it is off
//   gpu-replay --compare A.npy B.npy E   whether two files of logits agree
//
// Links nothing but the runtime's driver.
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaDevice.h"
#include "test/lowering/nvptx/RecordedCase.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

using namespace dsv2;
using namespace dsv2::cuda;

namespace {

/// A relative error that the rounding of bf16 and another order of sums allow.
constexpr double tolerance = 1e-2;

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

/// ||found - expected|| / ||expected|| as f32 (width 4) or bf16 (2); infinite
/// when one is NaN where the other is not: padding must stay untouched.
double errorAs(const std::vector<uint8_t> &found,
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

/// The largest error of any binding.
dsv2::Result<double> replay(std::shared_ptr<CudaDevice> device,
                            const test::RecordedCase &recorded) {
  const CudaApi &cu = device->api();
  Stream stream = device->stream();
  Module module = nullptr;
  Function function = nullptr;
  // The machine code that artifacts have, or else what the driver makes.
  if (recorded.cubin.empty() ||
      cu.moduleLoadDataEx(&module, recorded.cubin.data(), 0, nullptr,
                          nullptr) != success)
    DSV2_RETURN_IF_ERROR(cu.check(
        cu.moduleLoadDataEx(&module, recorded.ptx.c_str(), 0, nullptr, nullptr),
        "cuModuleLoadDataEx"));
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

std::vector<uint8_t> arrayOf(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (text.size() < 10 || text.compare(1, 5, "NUMPY") != 0)
    return {};
  size_t start =
      10 + static_cast<uint8_t>(text[8]) + 256u * static_cast<uint8_t>(text[9]);
  return {text.begin() + static_cast<int64_t>(std::min(start, text.size())),
          text.end()};
}

int compare(const char *a, const char *b, double limit) {
  std::vector<uint8_t> found = arrayOf(a), expected = arrayOf(b);
  if (found.empty() || found.size() != expected.size()) {
    std::fprintf(stderr,
                 "gpu-replay: error: expected two .npy files of one "
                 "size, found %zu and %zu bytes\n",
                 found.size(), expected.size());
    return 1;
  }
  double error = errorAs(found, expected, 4);
  std::printf("%-60s %10.2e %s\n", "logits", error,
              error <= limit ? "ok" : "WRONG");
  return error <= limit ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) {
  if (argc == 5 && std::strcmp(argv[1], "--compare") == 0)
    return compare(argv[2], argv[3], std::atof(argv[4]));
  auto api = CudaApi::load();
  if (!api.ok()) {
    std::fprintf(stderr, "gpu-replay: error: %s\n",
                 api.status().message().c_str());
    return 1;
  }
  auto device = CudaDevice::open(*api, 9, 0, "sm_90a");
  if (!device.ok()) {
    std::fprintf(stderr, "gpu-replay: error: %s\n",
                 device.status().message().c_str());
    return 1;
  }
  std::printf("%-60s %10s\n", (*device)->name().c_str(), "error");
  int wrong = 0;
  for (int i = 1; i < argc; ++i) {
    test::RecordedCase recorded = test::readCase(argv[i]);
    if (recorded.entry.empty()) {
      std::printf("%-60s %10s WRONG: no case\n", argv[i], "-");
      ++wrong;
      continue;
    }
    dsv2::Result<double> error = replay(*device, recorded);
    bool isRight = error.ok() && *error <= tolerance;
    wrong += !isRight;
    if (error.ok())
      std::printf("%-60s %10.2e %s\n", recorded.name.c_str(), *error,
                  isRight ? "ok" : "WRONG");
    else
      std::printf("%-60s %10s WRONG: %s\n", recorded.name.c_str(), "-",
                  error.status().message().c_str());
    std::fflush(stdout);
  }
  std::printf("%d of %d runs are right\n", argc - 1 - wrong, argc - 1);
  return wrong != 0;
}
