//===- GpuTables.cpp - GPU kernels as flatbuffer tables -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/GpuTables.h"

#include "lowering/NVPTX/BestLogits.h"
#include "lowering/NVPTX/CubinSize.h"
#include "lowering/NVPTX/Fill.h"

using namespace mlir;
using namespace mlir::dsv2;
namespace schema = ::dsv2::schema;

static_assert(uint8_t(nvptx::MapElement::u8) ==
              uint8_t(schema::ElementType::u8));
static_assert(uint8_t(nvptx::Dim::logitRows) ==
              uint8_t(schema::Dim::logit_rows));

std::vector<GpuKernel>
mlir::dsv2::gpuKernelsOf(ModuleOp kernels,
                         std::vector<nvptx::CompiledKernel> compiled) {
  std::vector<GpuKernel> result;
  for (nvptx::CompiledKernel &code : compiled) {
    auto func = kernels.lookupSymbol<LLVM::LLVMFuncOp>(code.name);
    std::optional<nvptx::KernelInfo> info = nvptx::launchOf(func);
    GpuKernel kernel;
    kernel.launch = info->launch;
    kernel.sharedBytes = info->sharedBytes;
    kernel.tensorMaps = info->tensorMaps;
    // The sizes of the step and the tensor maps follow the bindings.
    kernel.bindings = static_cast<int64_t>(func.getNumArguments()) - 1 -
                      static_cast<int64_t>(info->tensorMaps.size());
    kernel.fillsWeights = code.name == nvptx::fillKernelName;
    kernel.code = std::move(code);
    result.push_back(std::move(kernel));
  }
  return result;
}

static std::unique_ptr<schema::TensorMapT>
tensorMapTable(const nvptx::TensorMap &map) {
  auto table = std::make_unique<schema::TensorMapT>();
  table->binding = map.binding;
  table->element = static_cast<schema::ElementType>(map.element);
  table->swizzle = static_cast<uint8_t>(map.swizzle);
  table->sizes.assign(map.sizes.begin(), map.sizes.end());
  table->strides.assign(map.strides.begin(), map.strides.end());
  table->box.assign(map.box.begin(), map.box.end());
  return table;
}

static std::unique_ptr<schema::GpuKernelT>
gpuKernelTable(const GpuKernel &kernel) {
  auto table = std::make_unique<schema::GpuKernelT>();
  table->ptx.assign(kernel.code.ptx.begin(), kernel.code.ptx.end());
  table->bindings = kernel.bindings;
  table->threads = kernel.launch.threads;
  table->cluster = kernel.launch.cluster;
  table->blocks_per_sm = kernel.launch.workgroups.blocksPerSM;
  table->dynamic_shared_bytes = kernel.sharedBytes;
  for (const nvptx::TensorMap &map : kernel.tensorMaps)
    table->tensor_maps.push_back(tensorMapTable(map));
  if (!kernel.code.assembly)
    return table;
  const nvptx::Assembly &assembly = *kernel.code.assembly;
  const nvptx::Resources &resources = assembly.resources;
  table->cubin.assign(assembly.cubin.begin(), assembly.cubin.end());
  table->registers = resources.registers;
  table->static_shared_bytes = resources.sharedBytes;
  table->stack_bytes = resources.stackBytes;
  table->spill_bytes = resources.spillStores + resources.spillLoads;
  table->resident_blocks =
      nvptx::blocksPerSM(resources, kernel.launch.threads, kernel.sharedBytes);
  return table;
}

void mlir::dsv2::addGpuKernels(const std::vector<GpuKernel> &kernels,
                               schema::ArtifactT &artifact,
                               PlanOrdinals &ordinals) {
  artifact.gpu = std::make_unique<schema::GpuTargetT>();
  artifact.gpu->name = nvptx::targetChip.str();
  artifact.gpu->major = 9;
  artifact.gpu->minor = 0;
  for (const GpuKernel &kernel : kernels) {
    if (kernel.fillsWeights)
      artifact.gpu->fill_kernel = static_cast<int32_t>(artifact.kernels.size());
    if (kernel.code.name == nvptx::bestLogitsKernelName)
      artifact.gpu->best_logits = nvptx::BestLogitsSpec().most;
    ordinals.kernels[kernel.code.name] = artifact.kernels.size();
    auto table = std::make_unique<schema::KernelT>();
    table->symbol = kernel.code.name;
    table->description = kernel.code.name;
    llvm::replace(table->description, '_', ' ');
    if (kernel.code.assembly)
      table->code_bytes = nvptx::codeBytes(kernel.code.assembly->cubin);
    table->gpu = gpuKernelTable(kernel);
    artifact.kernels.push_back(std::move(table));
  }
}
