//===- Kernels.cpp - The kernels of an artifact ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/Format.h"
#include "tools/dsv2-inspect/ElfSymbols.h"
#include "tools/dsv2-inspect/Sections.h"

#include <optional>

using namespace dsv2;

using Rows = std::vector<std::vector<std::string>>;

static std::vector<std::map<std::string, uint64_t>>
codeSizes(const schema::Artifact &metadata) {
  std::vector<std::map<std::string, uint64_t>> sizes;
  for (const schema::KernelLibrary *library : *metadata.libraries())
    sizes.push_back(elfFunctionSizes(std::as_bytes(
        std::span(library->object()->data(), library->object()->size()))));
  return sizes;
}

/// How many dispatches of all programs run each kernel.
static std::vector<uint64_t> dispatchCounts(const schema::Artifact &metadata) {
  std::vector<uint64_t> counts(metadata.kernels()->size());
  for (const schema::Program *program : *metadata.plan()->programs())
    for (const schema::Dispatch *dispatch : *program->dispatches())
      ++counts[dispatch->kernel()];
  return counts;
}

//===----------------------------------------------------------------------===//
// Kernels of a GPU
//===----------------------------------------------------------------------===//

namespace {
/// The most threads an SM holds.
constexpr uint32_t maxThreadsPerSM = 2048;

/// What a kernel takes, by ptxas; nothing when it was not assembled.
struct Cost {
  uint32_t registers, sharedBytes, spillBytes, percent;
};
} // namespace

static std::optional<Cost> costOf(const schema::GpuKernel &gpu) {
  if (!gpu.registers())
    return std::nullopt;
  return Cost{gpu.registers(),
              gpu.static_shared_bytes() + gpu.dynamic_shared_bytes(),
              gpu.spill_bytes(),
              gpu.resident_blocks() * gpu.threads() * 100 / maxThreadsPerSM};
}

static Json gpuKernelsJson(const schema::Artifact &metadata) {
  std::vector<uint64_t> counts = dispatchCounts(metadata);
  Json kernels = Json::array();
  for (uint32_t i = 0; i < metadata.kernels()->size(); ++i) {
    const schema::Kernel &kernel = *metadata.kernels()->Get(i);
    const schema::GpuKernel &gpu = *kernel.gpu();
    Json entry = {{"name", kernel.symbol()->str()},
                  {"description", text(kernel.description())},
                  {"dispatches", counts[i]},
                  {"threads", gpu.threads()},
                  {"cluster", gpu.cluster()},
                  {"ptx_bytes", gpu.ptx()->size()},
                  {"code_bytes", kernel.code_bytes()}};
    if (std::optional<Cost> cost = costOf(gpu)) {
      entry["registers"] = cost->registers;
      entry["shared_bytes"] = cost->sharedBytes;
      entry["stack_bytes"] = gpu.stack_bytes();
      entry["spill_bytes"] = cost->spillBytes;
      entry["blocks_per_sm"] = gpu.resident_blocks();
      entry["occupancy"] = cost->percent;
    }
    kernels.push_back(std::move(entry));
  }
  return kernels;
}

static std::string gpuKernelsText(const schema::Artifact &metadata) {
  std::vector<uint64_t> counts = dispatchCounts(metadata);
  Rows rows = {{"kernel", "dispatches", "threads", "registers", "shared_bytes",
                "spill_bytes", "occupancy", "code_bytes"}};
  for (uint32_t i = 0; i < metadata.kernels()->size(); ++i) {
    const schema::Kernel &kernel = *metadata.kernels()->Get(i);
    const schema::GpuKernel &gpu = *kernel.gpu();
    std::optional<Cost> cost = costOf(gpu);
    auto known = [&](uint32_t Cost::*field) {
      return cost ? std::to_string((*cost).*field) : "-";
    };
    rows.push_back({kernel.symbol()->str(), std::to_string(counts[i]),
                    std::to_string(gpu.threads()), known(&Cost::registers),
                    known(&Cost::sharedBytes), known(&Cost::spillBytes),
                    known(&Cost::percent) + (cost ? "%" : ""),
                    std::to_string(kernel.code_bytes())});
  }
  return formatColumns(rows, "lrrrrrrr");
}

//===----------------------------------------------------------------------===//
// Kernels of CPUs
//===----------------------------------------------------------------------===//

Json dsv2::kernelsJson(const Artifact &artifact) {
  const schema::Artifact &metadata = artifact.metadata();
  if (metadata.gpu())
    return gpuKernelsJson(metadata);
  auto sizes = codeSizes(metadata);
  std::vector<uint64_t> counts = dispatchCounts(metadata);
  Json kernels = Json::array();
  for (uint32_t i = 0; i < metadata.kernels()->size(); ++i) {
    const schema::Kernel &kernel = *metadata.kernels()->Get(i);
    Json bytes = Json::object();
    for (uint32_t set = 0; set < sizes.size(); ++set)
      if (auto found = sizes[set].find(kernel.symbol()->str());
          found != sizes[set].end())
        bytes[metadata.libraries()->Get(set)->name()->str()] = found->second;
    kernels.push_back({{"symbol", kernel.symbol()->str()},
                       {"description", text(kernel.description())},
                       {"dispatches", counts[i]},
                       {"code_bytes", bytes}});
  }
  return kernels;
}

std::string dsv2::kernelsText(const Artifact &artifact) {
  const schema::Artifact &metadata = artifact.metadata();
  if (metadata.gpu())
    return gpuKernelsText(metadata);
  auto sizes = codeSizes(metadata);
  std::vector<uint64_t> counts = dispatchCounts(metadata);
  Rows rows = {{"kernel", "dispatches"}};
  std::string alignment = "lr";
  for (const schema::KernelLibrary *library : *metadata.libraries()) {
    rows[0].push_back(library->name()->str());
    alignment += 'r';
  }
  rows[0].push_back("description");
  alignment += 'l';
  for (uint32_t i = 0; i < metadata.kernels()->size(); ++i) {
    const schema::Kernel &kernel = *metadata.kernels()->Get(i);
    rows.push_back({kernel.symbol()->str(), std::to_string(counts[i])});
    for (const auto &library : sizes) {
      auto found = library.find(kernel.symbol()->str());
      rows.back().push_back(
          found == library.end() ? "-" : std::to_string(found->second));
    }
    rows.back().push_back(text(kernel.description()));
  }
  return formatColumns(rows, alignment);
}
