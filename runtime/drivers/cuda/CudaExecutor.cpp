//===- CudaExecutor.cpp - Runs the programs of a plan on a GPU ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaExecutor.h"

#include "runtime/artifact/Artifact.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace dsv2::cuda {
namespace {

/// Graphs that are kept; beyond, all are recorded anew.
constexpr size_t maxGraphs = 128;

/// The driver of CUDA 12.3 is the first whose graphs know launches that begin
/// before the previous one has ended.
constexpr int dependentLaunchDriver = 12030;

/// The largest size of the class that `size` belongs to: a power of two.
int64_t classOf(int64_t size, int64_t largest) {
  if (size <= 0)
    return 0;
  return std::min<int64_t>(std::bit_ceil(static_cast<uint64_t>(size)), largest);
}

} // namespace

//===----------------------------------------------------------------------===//
// Preparation
//===----------------------------------------------------------------------===//

dsv2::Result<std::unique_ptr<CudaExecutor>>
CudaExecutor::create(const Artifact &artifact,
                     std::shared_ptr<const CudaModel> model, int64_t cacheRows,
                     const HostBuffers &host) {
  DSV2_RETURN_IF_ERROR(model->device->activate());
  std::unique_ptr<CudaExecutor> executor(
      new CudaExecutor(artifact, std::move(model), host));
  dsv2::Result<CudaStream> stream = CudaStream::create(executor->model->device);
  if (!stream.ok())
    return stream.status();
  executor->stream = *std::move(stream);
  DSV2_RETURN_IF_ERROR(executor->allocate(cacheRows));
  const auto &sources = *artifact.metadata().plan()->programs();
  for (const schema::Program *source : sources) {
    dsv2::Result<CudaProgram> program = CudaProgram::prepare(
        artifact, *source, *executor->model,
        [&](const schema::Binding &binding) {
          return executor->address(binding);
        },
        executor->batch.address());
    if (!program.ok())
      return program.status();
    executor->programs.push_back(*std::move(program));
  }
  return executor;
}

Status CudaExecutor::allocate(int64_t cacheRows) {
  const schema::Artifact &metadata = artifact.metadata();
  const schema::Limits &limits = *metadata.limits();
  largest = {1, limits.max_batch_tokens(), limits.max_sequences(),
             limits.max_sequences() * limits.max_context(),
             limits.max_logit_rows()};
  cachePlaneBytes =
      static_cast<uint64_t>(cacheRows) * metadata.cache()->row_bytes();
  // An entry of sizes for the step, and one for each chunk of its context.
  int64_t entries = 1;
  for (const schema::Program *program : *metadata.plan()->programs())
    if (int64_t step = program->chunk_step())
      entries = std::max(entries, 1 + (largest[3] + step - 1) / step);
  uint64_t batchBytes = (entries * sizeof(DeviceSizes) + 63) / 64 * 64;
  for (size_t field = 0; field < batchFieldCount; ++field) {
    batchOffsets[field] = batchBytes;
    batchBytes += (host.capacity[field] * sizeof(int32_t) + 127) / 64 * 64;
  }
  uint64_t cacheBytes = cachePlaneBytes * metadata.cache()->layers();
  uint64_t logitBytes = LogitCandidates::totalBytes(
      limits.max_logit_rows(), metadata.model()->vocab(),
      metadata.gpu()->best_logits());
  uint64_t listBytes =
      logitBytes - LogitCandidates::offset(limits.max_logit_rows(),
                                           metadata.model()->vocab());
  uint64_t arenaBytes = metadata.plan()->arena_bytes();

  dsv2::Result<uint64_t> free = model->device->freeBytes();
  if (!free.ok())
    return free.status();
  uint64_t needed = cacheBytes + logitBytes + arenaBytes + batchBytes;
  if (needed > *free)
    return Status(StatusCode::exhausted,
                  "a cache of " + std::to_string(cacheRows) +
                      " tokens and working memory need " +
                      std::to_string(needed) + " bytes on " +
                      model->device->name() + ", and " + std::to_string(*free) +
                      " are free; ask for fewer context rows (--ctx)");
  auto take = [&](DeviceBuffer &buffer, uint64_t bytes, const char *what) {
    dsv2::Result<DeviceBuffer> made =
        DeviceBuffer::allocate(model->device, bytes, what);
    if (!made.ok())
      return made.status();
    buffer = *std::move(made);
    return Status();
  };
  DSV2_RETURN_IF_ERROR(take(arena, arenaBytes, "the working memory"));
  DSV2_RETURN_IF_ERROR(take(cache, cacheBytes, "the cache"));
  DSV2_RETURN_IF_ERROR(take(logits, logitBytes, "the logits"));
  DSV2_RETURN_IF_ERROR(take(batch, batchBytes, "the batch arrays"));
  dsv2::Result<PinnedBuffer> pinned =
      PinnedBuffer::allocate(model->device, batchBytes, "the batch arrays");
  if (!pinned.ok())
    return pinned.status();
  staging = *std::move(pinned);
  pinned = PinnedBuffer::allocate(model->device, listBytes, "the best logits");
  if (!pinned.ok())
    return pinned.status();
  bestLists = *std::move(pinned);
  uint64_t usual = std::min(limits.max_sequences(), limits.max_logit_rows());
  pinnedLogits =
      PinnedRange::pin(model->device, host.logits,
                       usual * metadata.model()->vocab() * sizeof(float));
  // Rows that no token has written yet hold zeros, not what was there before.
  for (const DeviceBuffer *each : {&cache, &arena})
    DSV2_RETURN_IF_ERROR(cu().check(
        cu().memsetD8Async(each->address(), 0, each->size(), stream.get()),
        "cuMemsetD8Async",
        each == &cache ? "the cache" : "the working memory"));
  return stream.synchronize("clearing memory");
}

DevicePointer CudaExecutor::address(const schema::Binding &binding) const {
  switch (binding.kind()) {
  case schema::BindingKind::arena:
    return arena.address() + binding.value();
  case schema::BindingKind::weight:
    return model->weights.weight(binding.index()) + binding.value();
  case schema::BindingKind::cache:
    return cache.address() + binding.index() * cachePlaneBytes;
  case schema::BindingKind::batch:
    return batch.address() + batchOffsets[binding.index()];
  case schema::BindingKind::constant:
    return model->weights.constants() + binding.value();
  case schema::BindingKind::logits:
    return logits.address() + binding.value();
  }
  return 0;
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

Dims CudaExecutor::classesOf(const CudaProgram &program,
                             const Dims &dims) const {
  Dims classes = dims;
  for (size_t dim = 1; dim < dims.size(); ++dim)
    if (program.uses[dim])
      classes[dim] = classOf(dims[dim], largest[dim]);
  return classes;
}

/// Copies the sizes and what the batch's arrays hold in as few pieces as lie
/// together.
Status CudaExecutor::copyBatch(const CudaProgram &program, const Dims &dims) {
  using schema::BatchField;
  Dims classes = classesOf(program, dims);
  program.fillSizes(dims, classes,
                    reinterpret_cast<DeviceSizes *>(staging.data()));
  // Small neighbors travel together, gaps included.
  constexpr uint64_t smallGap = 16 * 1024;
  uint64_t begin = 0;
  uint64_t end = (1 + program.chunks(classes[3])) * sizeof(DeviceSizes);
  auto flush = [&] {
    return cu().check(cu().memcpyHtoDAsync(batch.address() + begin,
                                           staging.data() + begin, end - begin,
                                           stream.get()),
                      "cuMemcpyHtoDAsync", "the batch arrays");
  };
  for (size_t field = 0; field < batchFieldCount; ++field) {
    if (!program.reads[field])
      continue;
    int64_t count = host.capacity[field];
    switch (static_cast<BatchField>(field)) {
    case BatchField::tokens:
    case BatchField::positions:
    case BatchField::token_sequence:
    case BatchField::cache_rows:
      count = dims[1];
      break;
    case BatchField::context_lengths:
      count = dims[2];
      break;
    case BatchField::query_offsets:
    case BatchField::context_offsets:
      count = dims[2] + 1;
      break;
    case BatchField::page_table:
      count = host.capacity[field] / largest[2] * dims[2];
      break;
    case BatchField::context_rows:
    case BatchField::context_sequence:
    case BatchField::context_position:
      count = dims[3];
      break;
    case BatchField::logit_rows:
      count = dims[4];
      break;
    }
    uint64_t bytes = static_cast<uint64_t>(count) * sizeof(int32_t);
    std::memcpy(staging.data() + batchOffsets[field], host.batch[field], bytes);
    if (batchOffsets[field] > end + smallGap) {
      DSV2_RETURN_IF_ERROR(flush());
      begin = batchOffsets[field];
    }
    end = batchOffsets[field] + bytes;
  }
  return flush();
}

/// With `dependent`, the launch may begin before the previous one has ended.
Status CudaExecutor::launch(const CudaLaunch &launch, int64_t blocks,
                            DevicePointer sizes, bool dependent) {
  std::vector<void *> parameters = launch.parameters;
  parameters[launch.addresses.size() - 1] = &sizes;
  LaunchAttribute attributes[2];
  unsigned count = 0;
  if (launch.cluster > 1) {
    attributes[count].id = clusterDimension;
    attributes[count++].value.cluster = {launch.cluster, 1, 1};
  }
  if (dependent) {
    attributes[count].id = programmaticStreamSerialization;
    attributes[count++].value.flag = 1;
  }
  LaunchConfig config;
  config.gridX = static_cast<unsigned>(blocks);
  config.blockX = launch.threads;
  config.sharedBytes = launch.sharedBytes;
  config.stream = stream.get();
  config.attributes = attributes;
  config.attributeCount = count;
  return cu().check(
      cu().launchKernelEx(&config, launch.function, parameters.data(), nullptr),
      "cuLaunchKernelEx", launch.name);
}

Status CudaExecutor::launchAll(const CudaProgram &program, int64_t tokens,
                               const Dims &classes) {
  bool dependent = false;
  return program.forEachLaunch(
      tokens, classes, model->device->multiprocessors(),
      [&](size_t index, int64_t blocks, DevicePointer sizes) {
        Status status =
            launch(program.launches[index], blocks, sizes, dependent);
        dependent = model->device->driverVersion() >= dependentLaunchDriver;
        return status;
      });
}

Status CudaExecutor::runGraph(size_t index, const Dims &dims) {
  const CudaProgram &program = programs[index];
  Dims classes = classesOf(program, dims);
  GraphKey key = {static_cast<int64_t>(index)};
  for (size_t dim = 1; dim < dims.size(); ++dim)
    if (program.uses[dim])
      key[dim] = classes[dim];
  key[6] = std::upper_bound(program.boundaries.begin(),
                            program.boundaries.end(), dims[1]) -
           program.boundaries.begin();
  auto known = graphs.find(key);
  if (known == graphs.end()) {
    dsv2::Result<CudaGraph> made = stream.record(
        program.name, [&] { return launchAll(program, dims[1], classes); });
    if (!made.ok())
      return made.status();
    if (graphs.size() >= maxGraphs)
      graphs.clear();
    known = graphs.emplace(key, *std::move(made)).first;
  }
  return stream.launch(known->second, program.name);
}

/// The launches and the marks between them are one graph, so that no time in
/// which the CPU submits is measured. A mark waits for the launch before it and
/// holds up the one after: each launch has the device for itself.
Status CudaExecutor::runProfiled(CudaProgram &program, const Dims &dims) {
  struct Run {
    size_t index;
    int64_t blocks;
    DevicePointer sizes;
  };
  std::vector<Run> runs;
  DSV2_RETURN_IF_ERROR(program.forEachLaunch(
      dims[1], dims, model->device->multiprocessors(),
      [&](size_t index, int64_t blocks, DevicePointer sizes) {
        runs.push_back({index, blocks, sizes});
        return Status();
      }));
  while (marks.size() < runs.size() + 1) {
    dsv2::Result<CudaEvent> made =
        CudaEvent::create(model->device, CudaEvent::Use::timing);
    if (!made.ok())
      return made.status();
    marks.push_back(*std::move(made));
  }
  dsv2::Result<CudaGraph> graph = stream.record(program.name, [&] {
    DSV2_RETURN_IF_ERROR(marks[0].recordInGraph(stream.get()));
    for (size_t i = 0; i < runs.size(); ++i) {
      const Run &run = runs[i];
      DSV2_RETURN_IF_ERROR(launch(program.launches[run.index], run.blocks,
                                  run.sizes, /*dependent=*/false));
      DSV2_RETURN_IF_ERROR(marks[i + 1].recordInGraph(stream.get()));
    }
    return Status();
  });
  if (!graph.ok())
    return graph.status();
  DSV2_RETURN_IF_ERROR(stream.launch(*graph, program.name));
  DSV2_RETURN_IF_ERROR(stream.synchronize("program '" + program.name + "'"));
  for (size_t i = 0; i < runs.size(); ++i) {
    dsv2::Result<double> seconds = marks[i + 1].secondsSince(marks[i]);
    if (!seconds.ok())
      return seconds.status();
    DispatchProfile &entry = program.profile[runs[i].index];
    ++entry.runs;
    entry.workgroups += static_cast<uint64_t>(runs[i].blocks);
    entry.nanoseconds += static_cast<uint64_t>(std::llround(*seconds * 1e9));
  }
  return Status();
}

uint64_t CudaExecutor::logitRowBytes() const {
  return artifact.metadata().model()->vocab() * sizeof(float);
}

Status CudaExecutor::copyLogits(uint64_t begin, uint64_t end) {
  // A copy is of pinned memory or of other.
  while (begin < end) {
    uint64_t next =
        begin < pinnedLogits.size() ? std::min(end, pinnedLogits.size()) : end;
    auto *to = reinterpret_cast<std::byte *>(host.logits) + begin;
    DSV2_RETURN_IF_ERROR(
        cu().check(cu().memcpyDtoHAsync(to, logits.address() + begin,
                                        next - begin, stream.get()),
                   "cuMemcpyDtoHAsync", "the logits"));
    begin = next;
  }
  return Status();
}

Status CudaExecutor::copyBestLogits(int64_t rows) {
  const schema::Artifact &metadata = artifact.metadata();
  uint64_t most = metadata.gpu()->best_logits();
  if (most == 0 || rows == 0)
    return Status();
  uint64_t from = LogitCandidates::offset(metadata.limits()->max_logit_rows(),
                                          metadata.model()->vocab());
  return cu().check(cu().memcpyDtoHAsync(
                        bestLists.data(), logits.address() + from,
                        rows * LogitCandidates::rowBytes(most), stream.get()),
                    "cuMemcpyDtoHAsync", "the best logits");
}

std::span<const LogitCandidate> CudaExecutor::bestLogits(int64_t row) const {
  uint64_t most = artifact.metadata().gpu()->best_logits();
  if (most == 0)
    return {};
  const std::byte *list =
      bestLists.data() + row * LogitCandidates::rowBytes(most);
  int32_t count;
  std::memcpy(&count, list, sizeof(count));
  // Whatever the device wrote, nothing behind the list is read.
  count = std::clamp(count, 0, static_cast<int32_t>(most));
  return {reinterpret_cast<const LogitCandidate *>(
              list + LogitCandidates::headerBytes),
          static_cast<size_t>(count)};
}

Status CudaExecutor::submit(size_t index, const Dims &dims, bool leavesLogits) {
  CudaProgram &program = programs[index];
  DSV2_RETURN_IF_ERROR(copyBatch(program, dims));
  DSV2_RETURN_IF_ERROR(profiling ? runProfiled(program, dims)
                                 : runGraph(index, dims));
  return leavesLogits ? copyBestLogits(dims[4])
                      : copyLogits(0, dims[4] * logitRowBytes());
}

Status CudaExecutor::step(size_t index, const StepSizes &sizes) {
  DSV2_RETURN_IF_ERROR(model->device->activate());
  Status submitted = submit(
      index, {1, sizes.tokens, sizes.sequences, sizes.context, sizes.logitRows},
      sizes.leavesLogits);
  // After an error too: what was submitted before uses the host's memory.
  Status ended = stream.synchronize("program '" + programs[index].name + "'");
  return submitted.ok() ? ended : submitted;
}

Status CudaExecutor::fetchLogits(int64_t row) {
  DSV2_RETURN_IF_ERROR(model->device->activate());
  Status copied =
      copyLogits(row * logitRowBytes(), (row + 1) * logitRowBytes());
  Status ended = stream.synchronize("copying logits");
  return copied.ok() ? ended : copied;
}

Status CudaExecutor::copyPage(int64_t to, int64_t from) {
  DSV2_RETURN_IF_ERROR(model->device->activate());
  const schema::CacheLayout &layout = *artifact.metadata().cache();
  const uint64_t bytes = uint64_t(layout.page_size()) * layout.row_bytes();
  for (uint32_t layer = 0; layer < layout.layers(); ++layer) {
    DevicePointer plane = cache.address() + layer * cachePlaneBytes;
    DSV2_RETURN_IF_ERROR(cu().check(
        cu().memcpyDtoDAsync(plane + to * bytes, plane + from * bytes, bytes,
                             stream.get()),
        "cuMemcpyDtoDAsync", "a page of the cache"));
  }
  return stream.synchronize("copying a page of the cache");
}

void CudaExecutor::startProfile() {
  for (CudaProgram &program : programs)
    program.profile.assign(program.launches.size(), DispatchProfile());
  profiling = true;
}

} // namespace dsv2::cuda
