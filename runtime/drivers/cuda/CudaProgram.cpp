//===- CudaProgram.cpp - The launches of a program ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaProgram.h"

#include "runtime/artifact/Artifact.h"

#include <algorithm>

namespace dsv2::cuda {

static constexpr size_t tokensDim = 1, contextDim = 3;

static int mapType(schema::ElementType element) {
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

static Status encode(const schema::TensorMap &map, const CudaApi &cu,
                     CudaLaunch &launch, TensorMap &to) {
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
  return cu.check(cu.tensorMapEncodeTiled(
                      &to, mapType(map.element()), rank,
                      reinterpret_cast<void *>(launch.addresses[map.binding()]),
                      sizes, strides, box, steps, /*interleave=*/0,
                      map.swizzle(), l2Promotion256,
                      /*fill=*/0),
                  "cuTensorMapEncodeTiled",
                  launch.name + " binding " + std::to_string(map.binding()));
}

static Status prepareLaunch(const Artifact &artifact,
                            const schema::Dispatch &source,
                            const CudaModel &model,
                            const CudaProgram::AddressOf &addressOf,
                            DevicePointer sizes, CudaLaunch &launch) {
  const schema::Kernel &kernel =
      *artifact.metadata().kernels()->Get(source.kernel());
  const schema::GpuKernel &gpu = *kernel.gpu();
  const schema::Workgroups &workgroups = *source.workgroups();
  launch.function = model.kernels.functions()[source.kernel()];
  launch.name = "kernel '" + kernel.symbol()->str() + "'";
  launch.count = workgroups.count();
  launch.tile = workgroups.tile();
  launch.dim = static_cast<uint32_t>(workgroups.dim());
  launch.minTokens = source.min_tokens();
  launch.maxTokens = source.max_tokens();
  launch.chunked = source.chunked();
  launch.threads = gpu.threads();
  launch.cluster = gpu.cluster();
  launch.blocksPerSM = gpu.blocks_per_sm();
  launch.sharedBytes = gpu.dynamic_shared_bytes();
  for (const schema::Binding *binding : *source.bindings())
    launch.addresses.push_back(addressOf(*binding));
  launch.addresses.push_back(sizes);
  for (DevicePointer &each : launch.addresses)
    launch.parameters.push_back(&each);

  uint32_t count = gpu.tensor_maps() ? gpu.tensor_maps()->size() : 0;
  launch.maps = std::make_unique<TensorMap[]>(count);
  for (uint32_t i = 0; i < count; ++i) {
    DSV2_RETURN_IF_ERROR(encode(*gpu.tensor_maps()->Get(i), model.device->api(),
                                launch, launch.maps[i]));
    launch.parameters.push_back(&launch.maps[i]);
  }
  return Status();
}

dsv2::Result<CudaProgram> CudaProgram::prepare(const Artifact &artifact,
                                               const schema::Program &source,
                                               const CudaModel &model,
                                               const AddressOf &addressOf,
                                               DevicePointer sizes) {
  CudaProgram program;
  program.name = source.name()->str();
  program.sizes = sizes;
  program.chunkStep = source.chunk_step();
  program.chunkRows = source.chunk_rows();
  program.launches.resize(source.dispatches()->size());
  int64_t maxTokens = artifact.metadata().limits()->max_batch_tokens();
  for (uint32_t i = 0; i < program.launches.size(); ++i) {
    const schema::Dispatch &dispatch = *source.dispatches()->Get(i);
    CudaLaunch &launch = program.launches[i];
    DSV2_RETURN_IF_ERROR(
        prepareLaunch(artifact, dispatch, model, addressOf, sizes, launch));
    program.uses[launch.dim] = true;
    if (launch.chunked)
      program.uses[contextDim] = true;
    if (launch.minTokens > 0)
      program.boundaries.push_back(launch.minTokens);
    if (launch.maxTokens < maxTokens)
      program.boundaries.push_back(launch.maxTokens + 1);
    for (const schema::Binding *binding : *dispatch.bindings())
      if (binding->kind() == schema::BindingKind::batch)
        program.reads[binding->index()] = true;
  }
  std::sort(program.boundaries.begin(), program.boundaries.end());
  return program;
}

int64_t CudaLaunch::blocks(const Dims &dims, int64_t multiprocessors) const {
  int64_t blocks = count * ((dims[dim] + tile - 1) / tile);
  if (blocksPerSM)
    blocks = std::min<int64_t>(blocks, multiprocessors * blocksPerSM);
  return (blocks + cluster - 1) / cluster * cluster;
}

int64_t CudaProgram::chunks(int64_t context) const {
  return chunkStep ? (context + chunkStep - 1) / chunkStep : 0;
}

void CudaProgram::fillSizes(const Dims &dims, const Dims &classes,
                            DeviceSizes *to) const {
  DeviceSizes step = {};
  for (size_t dim = tokensDim; dim < dims.size(); ++dim)
    step[dim - 1] = static_cast<int32_t>(dims[dim]);
  to[0] = step;
  for (int64_t i = 0; i < chunks(classes[contextDim]); ++i) {
    int64_t first = i * chunkStep;
    int64_t rows = std::min(dims[contextDim] - first, chunkRows);
    step[contextDim - 1] = static_cast<int32_t>(std::max<int64_t>(rows, 0));
    step[dims.size() - 1] = static_cast<int32_t>(first);
    to[1 + i] = step;
  }
}

Status CudaProgram::forEachLaunch(
    int64_t tokens, const Dims &classes, int64_t multiprocessors,
    const std::function<Status(size_t, int64_t, DevicePointer)> &run) const {
  auto visit = [&](size_t index, const Dims &of, DevicePointer at) {
    const CudaLaunch &launch = launches[index];
    if (tokens < launch.minTokens || tokens > launch.maxTokens)
      return Status();
    int64_t blocks = launch.blocks(of, multiprocessors);
    return blocks ? run(index, blocks, at) : Status();
  };
  for (size_t i = 0; i < launches.size();) {
    if (!launches[i].chunked) {
      DSV2_RETURN_IF_ERROR(visit(i++, classes, sizes));
      continue;
    }
    size_t end = i;
    while (end < launches.size() && launches[end].chunked)
      ++end;
    for (int64_t c = 0; c < chunks(classes[contextDim]); ++c) {
      Dims chunk = classes;
      chunk[contextDim] =
          std::min(classes[contextDim] - c * chunkStep, chunkRows);
      for (size_t each = i; each < end; ++each)
        DSV2_RETURN_IF_ERROR(
            visit(each, chunk, sizes + (1 + c) * sizeof(DeviceSizes)));
    }
    i = end;
  }
  return Status();
}

} // namespace dsv2::cuda
