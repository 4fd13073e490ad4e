//===- CudaWeights.cpp - The weights of an artifact on a GPU --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaWeights.h"

#include "runtime/artifact/Artifact.h"

#include <algorithm>
#include <cstring>

namespace dsv2::cuda {
namespace {

/// Kernels may read weights with TMA and in whole lines.
constexpr uint64_t alignment = 1024;
/// Bytes copied at a time; two such buffers take turns.
constexpr uint64_t chunkBytes = uint64_t(32) << 20;

uint64_t aligned(uint64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

uint64_t constantBytes(const Artifact &artifact) {
  const auto *constants = artifact.metadata().plan()->constants();
  return constants ? constants->size() : 0;
}

/// Copies through pinned memory: the next chunk is read from the file while the
/// last is under way.
class Uploader {
public:
  explicit Uploader(std::shared_ptr<CudaDevice> device)
      : device(std::move(device)) {}
  ~Uploader() {
    for (Slot &slot : slots)
      if (slot.copied)
        device->api().eventDestroy(slot.copied);
  }

  Status prepare(uint64_t largest) {
    for (Slot &slot : slots) {
      dsv2::Result<PinnedBuffer> buffer = PinnedBuffer::allocate(
          device, std::min(largest, chunkBytes), "copying weights");
      if (!buffer.ok())
        return buffer.status();
      slot.buffer = *std::move(buffer);
      DSV2_RETURN_IF_ERROR(device->api().check(
          device->api().eventCreate(&slot.copied, 0), "cuEventCreate"));
    }
    return Status();
  }

  Status copy(DevicePointer to, const std::byte *from, uint64_t bytes,
              const std::string &what) {
    const CudaApi &cu = device->api();
    for (uint64_t done = 0; done < bytes;) {
      Slot &slot = slots[next];
      next = 1 - next;
      if (slot.inUse)
        DSV2_RETURN_IF_ERROR(cu.check(cu.eventSynchronize(slot.copied),
                                      "cuEventSynchronize", what));
      uint64_t count = std::min<uint64_t>(slot.buffer.size(), bytes - done);
      std::memcpy(slot.buffer.data(), from + done, count);
      DSV2_RETURN_IF_ERROR(
          cu.check(cu.memcpyHtoDAsync(to + done, slot.buffer.data(), count,
                                      device->stream()),
                   "cuMemcpyHtoDAsync", what));
      DSV2_RETURN_IF_ERROR(
          cu.check(cu.eventRecord(slot.copied, device->stream()),
                   "cuEventRecord", what));
      slot.inUse = true;
      done += count;
    }
    return Status();
  }

private:
  struct Slot {
    PinnedBuffer buffer;
    Event copied = nullptr;
    bool inUse = false;
  };
  std::shared_ptr<CudaDevice> device;
  Slot slots[2];
  int next = 0;
};

/// Runs the fill kernel on a weight; its count lies in `dims`.
Status fill(CudaDevice &device, const schema::Artifact &metadata,
            const CudaKernels &kernels, DevicePointer weight, uint64_t bytes,
            DevicePointer dims) {
  const CudaApi &cu = device.api();
  int32_t index = metadata.gpu()->fill_kernel();
  const schema::GpuKernel &kernel =
      *metadata.kernels()->Get(static_cast<uint32_t>(index))->gpu();
  // In pieces whose number of 16-byte units is an int32.
  constexpr uint64_t piece = uint64_t(1) << 34;
  for (uint64_t done = 0; done < bytes; done += piece) {
    int32_t sizes[4] = {
        static_cast<int32_t>((std::min(piece, bytes - done) + 15) / 16)};
    DSV2_RETURN_IF_ERROR(cu.check(
        cu.memcpyHtoDAsync(dims, sizes, sizeof(sizes), device.stream()),
        "cuMemcpyHtoDAsync", "the fill kernel"));
    DevicePointer address = weight + done;
    void *parameters[] = {&address, &dims};
    LaunchConfig config;
    config.gridX = static_cast<unsigned>(device.multiprocessors() *
                                         std::max(1u, kernel.blocks_per_sm()));
    config.blockX = kernel.threads();
    config.stream = device.stream();
    DSV2_RETURN_IF_ERROR(
        cu.check(cu.launchKernelEx(&config, kernels.functions()[index],
                                   parameters, nullptr),
                 "cuLaunchKernelEx", "the fill kernel"));
    // `sizes` may be read until then.
    DSV2_RETURN_IF_ERROR(device.synchronize("the fill kernel"));
  }
  return Status();
}

} // namespace

uint64_t CudaWeights::bytesNeeded(const Artifact &artifact) {
  uint64_t total = aligned(constantBytes(artifact));
  for (const schema::Weight *weight : *artifact.metadata().weights())
    total += aligned(weight->bytes());
  return total;
}

dsv2::Result<CudaWeights> CudaWeights::load(std::shared_ptr<CudaDevice> device,
                                            const Artifact &artifact,
                                            const CudaKernels &kernels) {
  const schema::Artifact &metadata = artifact.metadata();
  DSV2_RETURN_IF_ERROR(device->activate());
  dsv2::Result<DeviceBuffer> memory =
      DeviceBuffer::allocate(device, bytesNeeded(artifact), "the weights");
  if (!memory.ok())
    return memory.status();
  CudaWeights weights;
  weights.memory = *std::move(memory);
  uint64_t offset = aligned(constantBytes(artifact)), largest = offset;
  for (const schema::Weight *weight : *metadata.weights()) {
    weights.offsets.push_back(offset);
    offset += aligned(weight->bytes());
    largest = std::max<uint64_t>(largest, weight->bytes());
  }

  Uploader uploader(device);
  DSV2_RETURN_IF_ERROR(uploader.prepare(largest));
  if (uint64_t bytes = constantBytes(artifact))
    DSV2_RETURN_IF_ERROR(
        uploader.copy(weights.constants(),
                      reinterpret_cast<const std::byte *>(
                          metadata.plan()->constants()->data()),
                      bytes, "the constants"));
  if (artifact.hasWeights()) {
    for (uint32_t i = 0; i < metadata.weights()->size(); ++i) {
      std::span<const std::byte> bytes = artifact.weight(i);
      DSV2_RETURN_IF_ERROR(uploader.copy(
          weights.weight(i), bytes.data(), bytes.size(),
          "weight '" + metadata.weights()->Get(i)->name()->str() + "'"));
    }
  } else if (metadata.weights()->size() != 0) {
    if (metadata.gpu()->fill_kernel() < 0)
      return artifact.requireWeights();
    dsv2::Result<DeviceBuffer> dims =
        DeviceBuffer::allocate(device, 16, "the fill kernel");
    if (!dims.ok())
      return dims.status();
    for (uint32_t i = 0; i < metadata.weights()->size(); ++i)
      DSV2_RETURN_IF_ERROR(fill(*device, metadata, kernels, weights.weight(i),
                                metadata.weights()->Get(i)->bytes(),
                                dims->address()));
  }
  DSV2_RETURN_IF_ERROR(device->synchronize("copying the weights"));
  return weights;
}

} // namespace dsv2::cuda
