//===- CudaWeights.cpp - The weights of an artifact on a GPU --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaWeights.h"

#include "runtime/artifact/Artifact.h"
#include "runtime/drivers/cpu/ThreadPool.h"
#include "runtime/drivers/cuda/CudaStream.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

namespace dsv2::cuda {
namespace {

/// Kernels may read weights with TMA and in whole lines.
constexpr uint64_t alignment = 1024;
/// Bytes copied at a time: enough for the full speed of the bus.
constexpr uint64_t pieceBytes = uint64_t(4) << 20;
/// Threads that read. Fewer copy less than the bus takes, from memory too; more
/// only need more pinned memory, of which each has two pieces.
constexpr int maxReaders = 16;
constexpr int slotsPerReader = 2;

uint64_t aligned(uint64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

uint64_t constantBytes(const Artifact &artifact) {
  const auto *constants = artifact.metadata().plan()->constants();
  return constants ? constants->size() : 0;
}

/// Copies weights through pinned memory. Each thread takes the next piece,
/// reads it, and submits its copy while it reads another: a file that is in
/// memory comes at the speed of the bus, and a disk has many requests at a
/// time.
class Upload {
public:
  Upload(std::shared_ptr<CudaDevice> device, const Artifact &artifact,
         const CudaWeights &weights);
  Status run(ThreadPool &threads);

private:
  struct Piece {
    uint32_t weight;
    uint64_t offset, bytes;
  };
  struct Slot {
    std::byte *memory = nullptr;
    CudaEvent copied;
  };
  Status prepare(int readers);
  Status read(int reader);
  Status copy(const Piece &piece, const Slot &slot) const;

  std::shared_ptr<CudaDevice> device;
  const Artifact &artifact;
  const CudaWeights &weights;
  std::vector<Piece> pieces;
  PinnedBuffer pinned;
  std::vector<Slot> slots; ///< of the first reader, of the second ...
  std::atomic<size_t> next = 0;
};

Upload::Upload(std::shared_ptr<CudaDevice> device, const Artifact &artifact,
               const CudaWeights &weights)
    : device(std::move(device)), artifact(artifact), weights(weights) {
  const auto &all = *artifact.metadata().weights();
  for (uint32_t i = 0; i < all.size(); ++i)
    for (uint64_t done = 0; done < all[i]->bytes();) {
      // They end at multiples of the size in the file, as what the kernel reads
      // at a time does.
      uint64_t bytes =
          std::min(pieceBytes - (all[i]->offset() + done) % pieceBytes,
                   all[i]->bytes() - done);
      pieces.push_back({i, done, bytes});
      done += bytes;
    }
}

Status Upload::prepare(int readers) {
  slots.resize(static_cast<size_t>(readers * slotsPerReader));
  dsv2::Result<PinnedBuffer> buffer = PinnedBuffer::allocate(
      device, slots.size() * pieceBytes, "copying weights");
  if (!buffer.ok())
    return buffer.status();
  pinned = *std::move(buffer);
  for (size_t i = 0; i < slots.size(); ++i) {
    dsv2::Result<CudaEvent> event =
        CudaEvent::create(device, CudaEvent::Use::waiting);
    if (!event.ok())
      return event.status();
    slots[i].copied = *std::move(event);
    slots[i].memory = pinned.data() + i * pieceBytes;
  }
  return Status();
}

Status Upload::run(ThreadPool &threads) {
  int readers = static_cast<int>(std::min<size_t>(
      pieces.size(),
      static_cast<size_t>(std::min(threads.size(), maxReaders))));
  DSV2_RETURN_IF_ERROR(prepare(readers));
  std::mutex mutex;
  Status failure;
  threads.run([&](int thread) {
    if (thread >= readers)
      return;
    if (Status status = read(thread); !status.ok()) {
      next = pieces.size();
      std::lock_guard lock(mutex);
      if (failure.ok())
        failure = std::move(status);
    }
  });
  // After an error too: copies under way read the pinned memory.
  Status ended = device->synchronize("copying the weights");
  return failure.ok() ? ended : failure;
}

Status Upload::read(int reader) {
  DSV2_RETURN_IF_ERROR(device->activate());
  for (int turn = 0;; turn = (turn + 1) % slotsPerReader) {
    size_t index = next++;
    if (index >= pieces.size())
      return Status();
    DSV2_RETURN_IF_ERROR(
        copy(pieces[index],
             slots[static_cast<size_t>(reader * slotsPerReader + turn)]));
  }
}

Status Upload::copy(const Piece &piece, const Slot &slot) const {
  const CudaApi &cu = device->api();
  const schema::Weight &weight =
      *artifact.metadata().weights()->Get(piece.weight);
  std::string what = "weight '" + weight.name()->str() + "'";
  // One request for all, where faults would read some pages each.
  artifact.populate(weight.offset() + piece.offset, piece.bytes);
  DSV2_RETURN_IF_ERROR(slot.copied.wait(what));
  std::memcpy(slot.memory, artifact.weight(piece.weight).data() + piece.offset,
              piece.bytes);
  DSV2_RETURN_IF_ERROR(
      cu.check(cu.memcpyHtoDAsync(weights.weight(piece.weight) + piece.offset,
                                  slot.memory, piece.bytes, device->stream()),
               "cuMemcpyHtoDAsync", what));
  return slot.copied.record(device->stream());
}

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
                                            const CudaKernels &kernels,
                                            ThreadPool &threads) {
  const schema::Artifact &metadata = artifact.metadata();
  DSV2_RETURN_IF_ERROR(device->activate());
  dsv2::Result<DeviceBuffer> memory =
      DeviceBuffer::allocate(device, bytesNeeded(artifact), "the weights");
  if (!memory.ok())
    return memory.status();
  CudaWeights weights;
  weights.memory = *std::move(memory);
  uint64_t offset = aligned(constantBytes(artifact));
  for (const schema::Weight *weight : *metadata.weights()) {
    weights.offsets.push_back(offset);
    offset += aligned(weight->bytes());
  }

  if (uint64_t bytes = constantBytes(artifact))
    DSV2_RETURN_IF_ERROR(device->api().check(
        device->api().memcpyHtoDAsync(weights.constants(),
                                      metadata.plan()->constants()->data(),
                                      bytes, device->stream()),
        "cuMemcpyHtoDAsync", "the constants"));
  if (artifact.hasWeights()) {
    DSV2_RETURN_IF_ERROR(Upload(device, artifact, weights).run(threads));
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
