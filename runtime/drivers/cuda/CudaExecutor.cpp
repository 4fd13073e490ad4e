//===- CudaExecutor.cpp - Runs the programs of a plan on a GPU ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaExecutor.h"

#include "runtime/artifact/Artifact.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace dsv2::cuda {
namespace {

/// Graphs that are kept; beyond, all are recorded anew.
constexpr size_t maxGraphs = 128;

/// The driver of CUDA 12.3 is the first whose graphs know launches that begin
/// before the previous one has ended.
constexpr int dependentLaunchDriver = 12030;

/// The sizes lie in front of the batch's arrays.
constexpr uint64_t sizesBytes = 64;

/// The largest size of the class that `size` belongs to: a power of two.
int64_t classOf(int64_t size, int64_t largest) {
  if (size <= 0)
    return 0;
  return std::min<int64_t>(std::bit_ceil(static_cast<uint64_t>(size)), largest);
}

int mapType(schema::ElementType element) {
  switch (element) {
  case schema::ElementType::f32:
    return mapFloat32;
  case schema::ElementType::f16:
    return mapFloat16;
  case schema::ElementType::bf16:
    return mapBfloat16;
  case schema::ElementType::i32:
    return mapInt32;
  default:
    return mapUint8;
  }
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
  DSV2_RETURN_IF_ERROR(executor->allocate(cacheRows));
  const auto &sources = *artifact.metadata().plan()->programs();
  executor->programs.resize(sources.size());
  for (uint32_t i = 0; i < sources.size(); ++i)
    DSV2_RETURN_IF_ERROR(
        executor->prepareProgram(*sources[i], executor->programs[i]));
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
  uint64_t batchBytes = sizesBytes;
  for (size_t field = 0; field < batchFieldCount; ++field) {
    batchOffsets[field] = batchBytes;
    batchBytes += (host.capacity[field] * sizeof(int32_t) + 127) / 64 * 64;
  }
  uint64_t cacheBytes = cachePlaneBytes * metadata.cache()->layers();
  uint64_t logitBytes = static_cast<uint64_t>(limits.max_logit_rows()) *
                        metadata.model()->vocab() * sizeof(float);
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
  // Rows that no token has written yet hold zeros, not what was there before.
  DSV2_RETURN_IF_ERROR(
      cu().check(cu().memsetD8Async(cache.address(), 0, cache.size(), stream()),
                 "cuMemsetD8Async", "the cache"));
  DSV2_RETURN_IF_ERROR(
      cu().check(cu().memsetD8Async(arena.address(), 0, arena.size(), stream()),
                 "cuMemsetD8Async", "the working memory"));
  return model->device->synchronize("clearing memory");
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

Status CudaExecutor::prepareProgram(const schema::Program &source,
                                    Program &program) {
  program.name = source.name()->str();
  program.launches.resize(source.dispatches()->size());
  for (uint32_t i = 0; i < program.launches.size(); ++i) {
    const schema::Dispatch &dispatch = *source.dispatches()->Get(i);
    Launch &launch = program.launches[i];
    DSV2_RETURN_IF_ERROR(prepareLaunch(dispatch, launch));
    program.uses[launch.dim] = true;
    if (launch.minTokens > 0)
      program.boundaries.push_back(launch.minTokens);
    if (launch.maxTokens < largest[1])
      program.boundaries.push_back(launch.maxTokens + 1);
    for (const schema::Binding *binding : *dispatch.bindings())
      if (binding->kind() == schema::BindingKind::batch)
        program.reads[binding->index()] = true;
  }
  std::sort(program.boundaries.begin(), program.boundaries.end());
  return Status();
}

Status CudaExecutor::prepareLaunch(const schema::Dispatch &source,
                                   Launch &launch) {
  const schema::Kernel &kernel =
      *artifact.metadata().kernels()->Get(source.kernel());
  const schema::GpuKernel &gpu = *kernel.gpu();
  const schema::Workgroups &workgroups = *source.workgroups();
  launch.function = model->kernels.functions()[source.kernel()];
  launch.name = "kernel '" + kernel.symbol()->str() + "'";
  launch.count = workgroups.count();
  launch.tile = workgroups.tile();
  launch.dim = static_cast<uint32_t>(workgroups.dim());
  launch.minTokens = source.min_tokens();
  launch.maxTokens = source.max_tokens();
  launch.threads = gpu.threads();
  launch.cluster = gpu.cluster();
  launch.blocksPerSM = gpu.blocks_per_sm();
  launch.sharedBytes = gpu.dynamic_shared_bytes();
  for (const schema::Binding *binding : *source.bindings())
    launch.addresses.push_back(address(*binding));
  launch.addresses.push_back(batch.address());
  for (DevicePointer &each : launch.addresses)
    launch.parameters.push_back(&each);

  uint32_t count = gpu.tensor_maps() ? gpu.tensor_maps()->size() : 0;
  launch.maps = std::make_unique<TensorMap[]>(count);
  for (uint32_t i = 0; i < count; ++i) {
    const schema::TensorMap &map = *gpu.tensor_maps()->Get(i);
    uint64_t sizes[5], strides[5] = {};
    uint32_t box[5], steps[5];
    uint32_t rank = map.sizes()->size();
    for (uint32_t d = 0; d < rank; ++d) {
      sizes[d] = static_cast<uint64_t>(map.sizes()->Get(d));
      box[d] = map.box()->Get(d);
      steps[d] = 1;
      if (d + 1 < rank)
        strides[d] = static_cast<uint64_t>(map.strides()->Get(d));
    }
    DSV2_RETURN_IF_ERROR(cu().check(
        cu().tensorMapEncodeTiled(
            &launch.maps[i], mapType(map.element()), rank,
            reinterpret_cast<void *>(launch.addresses[map.binding()]), sizes,
            strides, box, steps, /*interleave=*/0, map.swizzle(),
            l2Promotion256, /*fill=*/0),
        "cuTensorMapEncodeTiled",
        launch.name + " binding " + std::to_string(map.binding())));
    launch.parameters.push_back(&launch.maps[i]);
  }
  return Status();
}

CudaExecutor::~CudaExecutor() {
  if (!model->device->activate().ok())
    return;
  for (const auto &[key, graph] : graphs)
    cu().graphExecDestroy(graph);
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

/// Copies the sizes and what the batch's arrays hold in as few pieces as lie
/// together.
Status CudaExecutor::copyBatch(const Program &program, const Dims &dims) {
  using schema::BatchField;
  int32_t sizes[4] = {
      static_cast<int32_t>(dims[1]), static_cast<int32_t>(dims[2]),
      static_cast<int32_t>(dims[3]), static_cast<int32_t>(dims[4])};
  std::memcpy(staging.data(), sizes, sizeof(sizes));
  // Small neighbors travel together, gaps included.
  constexpr uint64_t smallGap = 16 * 1024;
  uint64_t begin = 0, end = sizeof(sizes);
  auto flush = [&] {
    return cu().check(cu().memcpyHtoDAsync(batch.address() + begin,
                                           staging.data() + begin, end - begin,
                                           stream()),
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

int64_t CudaExecutor::gridOf(const Launch &launch, const Dims &dims) const {
  int64_t blocks =
      launch.count * ((dims[launch.dim] + launch.tile - 1) / launch.tile);
  if (launch.blocksPerSM)
    blocks = std::min<int64_t>(blocks, model->device->multiprocessors() *
                                           launch.blocksPerSM);
  return (blocks + launch.cluster - 1) / launch.cluster * launch.cluster;
}

/// With `dependent`, the launch may begin before the previous one has ended.
Status CudaExecutor::launch(const Launch &launch, int64_t blocks,
                            bool dependent) {
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
  config.stream = stream();
  config.attributes = attributes;
  config.attributeCount = count;
  return cu().check(cu().launchKernelEx(
                        &config, launch.function,
                        const_cast<void **>(launch.parameters.data()), nullptr),
                    "cuLaunchKernelEx", launch.name);
}

Status CudaExecutor::launchAll(const Program &program, const Dims &dims,
                               const Dims &classes) {
  bool dependent = false;
  for (const Launch &each : program.launches) {
    if (dims[1] < each.minTokens || dims[1] > each.maxTokens)
      continue;
    int64_t blocks = gridOf(each, classes);
    if (blocks == 0)
      continue;
    DSV2_RETURN_IF_ERROR(launch(each, blocks, dependent));
    dependent = model->device->driverVersion() >= dependentLaunchDriver;
  }
  return Status();
}

dsv2::Result<GraphExec> CudaExecutor::record(const Program &program,
                                             const Dims &dims,
                                             const Dims &classes) {
  DSV2_RETURN_IF_ERROR(
      cu().check(cu().streamBeginCapture(stream(), captureThreadLocal),
                 "cuStreamBeginCapture", program.name));
  Status launched = launchAll(program, dims, classes);
  // Ends the capture whatever happened.
  Graph graph = nullptr;
  Status ended = cu().check(cu().streamEndCapture(stream(), &graph),
                            "cuStreamEndCapture", program.name);
  GraphExec made = nullptr;
  if (launched.ok() && ended.ok())
    ended = cu().check(cu().graphInstantiate(&made, graph, 0),
                       "cuGraphInstantiate", program.name);
  if (graph)
    cu().graphDestroy(graph);
  if (!launched.ok())
    return launched;
  if (!ended.ok())
    return ended;
  return made;
}

Status CudaExecutor::runGraph(size_t index, const Dims &dims) {
  const Program &program = programs[index];
  Dims classes = dims;
  GraphKey key = {static_cast<int64_t>(index)};
  for (size_t dim = 1; dim < dims.size(); ++dim)
    if (program.uses[dim])
      key[dim] = classes[dim] = classOf(dims[dim], largest[dim]);
  key[6] = std::upper_bound(program.boundaries.begin(),
                            program.boundaries.end(), dims[1]) -
           program.boundaries.begin();
  auto known = graphs.find(key);
  if (known == graphs.end()) {
    dsv2::Result<GraphExec> made = record(program, dims, classes);
    if (!made.ok())
      return made.status();
    if (graphs.size() >= maxGraphs) {
      for (const auto &[old, graph] : graphs)
        cu().graphExecDestroy(graph);
      graphs.clear();
    }
    known = graphs.emplace(key, *made).first;
  }
  return cu().check(cu().graphLaunch(known->second, stream()), "cuGraphLaunch",
                    program.name);
}

Status CudaExecutor::runProfiled(Program &program, const Dims &dims) {
  Event begin = nullptr, end = nullptr;
  DSV2_RETURN_IF_ERROR(
      cu().check(cu().eventCreate(&begin, 0), "cuEventCreate"));
  if (Status made = cu().check(cu().eventCreate(&end, 0), "cuEventCreate");
      !made.ok()) {
    cu().eventDestroy(begin);
    return made;
  }
  Status status;
  for (size_t i = 0; i < program.launches.size() && status.ok(); ++i) {
    const Launch &each = program.launches[i];
    if (dims[1] < each.minTokens || dims[1] > each.maxTokens)
      continue;
    int64_t blocks = gridOf(each, dims);
    if (blocks == 0)
      continue;
    cu().eventRecord(begin, stream());
    status = launch(each, blocks, /*dependent=*/false);
    cu().eventRecord(end, stream());
    if (status.ok())
      status = model->device->synchronize(each.name);
    float milliseconds = 0;
    if (status.ok())
      status = cu().check(cu().eventElapsedTime(&milliseconds, begin, end),
                          "cuEventElapsedTime", each.name);
    DispatchProfile &entry = program.profile[i];
    ++entry.runs;
    entry.workgroups += static_cast<uint64_t>(blocks);
    entry.nanoseconds += static_cast<uint64_t>(milliseconds * 1e6);
  }
  cu().eventDestroy(begin);
  cu().eventDestroy(end);
  return status;
}

Status CudaExecutor::step(size_t index, const StepSizes &sizes) {
  DSV2_RETURN_IF_ERROR(model->device->activate());
  Program &program = programs[index];
  Dims dims = {1, sizes.tokens, sizes.sequences, sizes.context,
               sizes.logitRows};
  DSV2_RETURN_IF_ERROR(copyBatch(program, dims));
  DSV2_RETURN_IF_ERROR(profiling ? runProfiled(program, dims)
                                 : runGraph(index, dims));
  if (sizes.logitRows) {
    uint64_t bytes = static_cast<uint64_t>(sizes.logitRows) *
                     artifact.metadata().model()->vocab() * sizeof(float);
    DSV2_RETURN_IF_ERROR(cu().check(
        cu().memcpyDtoHAsync(host.logits, logits.address(), bytes, stream()),
        "cuMemcpyDtoHAsync", "the logits"));
  }
  return model->device->synchronize("program '" + program.name + "'");
}

Status CudaExecutor::copyPage(int64_t to, int64_t from) {
  DSV2_RETURN_IF_ERROR(model->device->activate());
  const schema::CacheLayout &layout = *artifact.metadata().cache();
  const uint64_t bytes = uint64_t(layout.page_size()) * layout.row_bytes();
  for (uint32_t layer = 0; layer < layout.layers(); ++layer) {
    DevicePointer plane = cache.address() + layer * cachePlaneBytes;
    DSV2_RETURN_IF_ERROR(
        cu().check(cu().memcpyDtoDAsync(plane + to * bytes,
                                        plane + from * bytes, bytes, stream()),
                   "cuMemcpyDtoDAsync", "a page of the cache"));
  }
  return model->device->synchronize("copying a page of the cache");
}

void CudaExecutor::startProfile() {
  for (Program &program : programs)
    program.profile.assign(program.launches.size(), DispatchProfile());
  profiling = true;
}

} // namespace dsv2::cuda
