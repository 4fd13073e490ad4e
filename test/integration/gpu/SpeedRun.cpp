//===- SpeedRun.cpp - A case of kernels on a device -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/integration/gpu/SpeedRun.h"

#include "tools/dsv2-bench/CudaRates.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <numeric>
#include <random>

using namespace dsv2::cuda;

namespace dsv2::test {

/// More than any cache holds, for what rotates.
static constexpr double rotatingBytes = 512 << 20;
static constexpr int64_t maxCopies = 64;
static constexpr uint64_t mostMemory = uint64_t(32) << 30;
/// A graph takes about so long, and holds at most so many launches.
static constexpr double graphSeconds = 4e-3;
static constexpr int64_t maxGraphLaunches = 1024;
/// How long a run takes is estimated from at least so many.
static constexpr int64_t estimateRuns = 16;
/// Graphs of older drivers do not know launches that begin early.
static constexpr int dependentLaunchDriver = 12030;

int mapTypeOf(uint32_t element) {
  constexpr int types[] = {mapFloat32, mapFloat16, mapBfloat16,
                           mapInt32,   mapUint8,   mapUint8};
  return types[std::min<uint32_t>(element, 5)];
}

static std::string readBytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

Result<std::unique_ptr<SpeedRun>>
SpeedRun::create(std::shared_ptr<CudaDevice> device, const std::string &folder,
                 const SpeedCase &speed, bool quick) {
  DSV2_RETURN_IF_ERROR(device->activate());
  std::unique_ptr<SpeedRun> run(new SpeedRun(std::move(device), speed));
  run->quick = quick;
  DSV2_RETURN_IF_ERROR(run->loadKernels(folder));
  DSV2_RETURN_IF_ERROR(run->allocate(quick));
  for (Copy &copy : run->copies)
    DSV2_RETURN_IF_ERROR(run->prepareLaunches(copy));
  return run;
}

SpeedRun::~SpeedRun() {
  if (graph)
    cu().graphExecDestroy(graph);
  for (Module module : modules)
    cu().moduleUnload(module);
}

//===----------------------------------------------------------------------===//
// Preparation
//===----------------------------------------------------------------------===//

Status SpeedRun::loadKernels(const std::string &folder) {
  for (const SpeedLaunch &launch : speed.launches) {
    std::string path = folder + "/" + launch.kernel;
    std::string cubin = readBytes(path + ".cubin");
    Module module = nullptr;
    if (cubin.empty() || cu().moduleLoadDataEx(&module, cubin.data(), 0,
                                               nullptr, nullptr) != success) {
      std::string ptx = readBytes(path + ".ptx");
      if (ptx.empty())
        return Status(StatusCode::notFound, "no kernel in '" + path + ".ptx'");
      ++compiled;
      DSV2_RETURN_IF_ERROR(cu().check(
          cu().moduleLoadDataEx(&module, ptx.c_str(), 0, nullptr, nullptr),
          "cuModuleLoadDataEx", launch.kernel));
    }
    modules.push_back(module);
    Function function = nullptr;
    DSV2_RETURN_IF_ERROR(cu().check(
        cu().moduleGetFunction(&function, module, launch.kernel.c_str()),
        "cuModuleGetFunction", launch.kernel));
    if (launch.sharedBytes)
      DSV2_RETURN_IF_ERROR(cu().check(
          cu().funcSetAttribute(function, maxDynamicSharedBytes,
                                static_cast<int>(launch.sharedBytes)),
          "cuFuncSetAttribute", launch.kernel));
    functions.push_back(function);
  }
  return Status();
}

static std::vector<int32_t> intsOf(const SpeedBuffer &buffer) {
  std::vector<int32_t> values(buffer.bytes / 4);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<int32_t>(
        std::min(buffer.first + static_cast<int64_t>(i) * buffer.step /
                                    std::max<int64_t>(buffer.divisor, 1),
                 buffer.most));
  if (buffer.shuffled)
    std::shuffle(values.begin(), values.end(), std::mt19937(1));
  return values;
}

Result<DevicePointer> SpeedRun::makeBuffer(const SpeedBuffer &buffer) {
  Result<DeviceBuffer> made =
      DeviceBuffer::allocate(device, buffer.bytes, speed.name.c_str());
  if (!made.ok())
    return made.status();
  memory.push_back(*std::move(made));
  DevicePointer address = memory.back().address();
  auto upload = [&](const void *data) {
    DSV2_RETURN_IF_ERROR(cu().check(
        cu().memcpyHtoDAsync(address, data, buffer.bytes, device->stream()),
        "cuMemcpyHtoDAsync"));
    return device->synchronize("filling memory");
  };
  Status filled;
  switch (buffer.fill) {
  case SpeedBuffer::Fill::zeros:
    filled = cu().check(
        cu().memsetD8Async(address, 0, memory.back().size(), device->stream()),
        "cuMemsetD8Async");
    break;
  case SpeedBuffer::Fill::random:
  case SpeedBuffer::Fill::bytes:
    filled = fillRandomly(*device, address, buffer.bytes,
                          buffer.fill == SpeedBuffer::Fill::bytes);
    break;
  case SpeedBuffer::Fill::ones:
    filled = upload(std::vector<float>(buffer.bytes / 4, 1.0f).data());
    break;
  case SpeedBuffer::Fill::ints:
    filled = upload(intsOf(buffer).data());
    break;
  }
  if (!filled.ok())
    return filled;
  return address;
}

Status SpeedRun::allocate(bool quick) {
  uint64_t rotating = 0;
  for (const SpeedBuffer &buffer : speed.buffers)
    rotating += buffer.rotates ? buffer.bytes : 0;
  int64_t count = 1;
  // What a run reads may be a small part of it: some experts.
  if (rotating && !quick)
    count = std::clamp(
        static_cast<int64_t>(rotatingBytes / speed.bytes) + 1, int64_t(1),
        std::min(maxCopies, static_cast<int64_t>(mostMemory / rotating) + 1));
  copies.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < copies.size(); ++i)
    for (size_t b = 0; b < speed.buffers.size(); ++b) {
      if (i > 0 && !speed.buffers[b].rotates) {
        copies[i].addresses.push_back(copies[0].addresses[b]);
        continue;
      }
      Result<DevicePointer> address = makeBuffer(speed.buffers[b]);
      if (!address.ok())
        return address.status();
      copies[i].addresses.push_back(*address);
    }
  Result<DeviceBuffer> sizes =
      DeviceBuffer::allocate(device, sizeof(speed.sizes), "the sizes");
  if (!sizes.ok())
    return sizes.status();
  memory.push_back(*std::move(sizes));
  DSV2_RETURN_IF_ERROR(cu().check(
      cu().memcpyHtoDAsync(memory.back().address(), speed.sizes.data(),
                           sizeof(speed.sizes), device->stream()),
      "cuMemcpyHtoDAsync"));
  for (Copy &copy : copies)
    copy.addresses.push_back(memory.back().address());
  return device->synchronize("filling memory");
}

Status SpeedRun::prepareLaunches(Copy &copy) {
  for (size_t i = 0; i < speed.launches.size(); ++i) {
    const SpeedLaunch &from = speed.launches[i];
    Launch &launch = copy.launches.emplace_back();
    launch.function = functions[i];
    auto addressOf = [&](uint32_t binding) -> DevicePointer & {
      return copy.addresses[std::min<size_t>(from.bindings[binding],
                                             speed.buffers.size())];
    };
    for (uint32_t b = 0; b < from.bindings.size(); ++b)
      launch.parameters.push_back(&addressOf(b));
    launch.parameters.push_back(&copy.addresses.back());
    launch.maps = std::make_unique<TensorMap[]>(from.maps.size());
    for (size_t m = 0; m < from.maps.size(); ++m) {
      const RecordedMap &map = from.maps[m];
      uint32_t steps[5] = {1, 1, 1, 1, 1};
      uint64_t strides[5] = {};
      std::copy_n(map.strides.begin(), std::min<size_t>(map.strides.size(), 5),
                  strides);
      DSV2_RETURN_IF_ERROR(
          cu().check(cu().tensorMapEncodeTiled(
                         &launch.maps[m], mapTypeOf(map.element),
                         static_cast<uint32_t>(map.sizes.size()),
                         reinterpret_cast<void *>(addressOf(map.binding)),
                         map.sizes.data(), strides, map.box.data(), steps, 0,
                         static_cast<int>(map.swizzle), l2Promotion256, 0),
                     "cuTensorMapEncodeTiled", from.kernel));
      launch.parameters.push_back(&launch.maps[m]);
    }
    launch.blocks = from.blocks;
    if (from.blocksPerSM)
      launch.blocks = std::min(
          launch.blocks,
          static_cast<unsigned>(device->multiprocessors()) * from.blocksPerSM);
    launch.blocks =
        (launch.blocks + from.cluster - 1) / from.cluster * from.cluster;
  }
  return Status();
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// Submits so many runs, on one copy after the other, launched as steps of a
/// model are.
Status SpeedRun::submit(int64_t runs) {
  bool isFirst = true;
  for (int64_t run = 0; run < runs; ++run) {
    Copy &copy = copies[static_cast<size_t>(run) % copies.size()];
    for (size_t i = 0; i < copy.launches.size(); ++i) {
      const SpeedLaunch &from = speed.launches[i];
      LaunchAttribute attributes[2];
      LaunchConfig config;
      config.gridX = copy.launches[i].blocks;
      config.blockX = from.threads;
      config.sharedBytes = from.sharedBytes;
      config.stream = device->stream();
      config.attributes = attributes;
      if (from.cluster > 1) {
        LaunchAttribute &cluster = attributes[config.attributeCount++];
        cluster.id = clusterDimension;
        cluster.value.cluster = {from.cluster, 1, 1};
      }
      if (!isFirst && device->driverVersion() >= dependentLaunchDriver) {
        LaunchAttribute &dependent = attributes[config.attributeCount++];
        dependent.id = programmaticStreamSerialization;
        dependent.value.flag = 1;
      }
      DSV2_RETURN_IF_ERROR(cu().check(
          cu().launchKernelEx(&config, copy.launches[i].function,
                              copy.launches[i].parameters.data(), nullptr),
          "cuLaunchKernelEx", from.kernel));
      isFirst = false;
    }
  }
  return Status();
}

/// Makes so many runs the graph, instead of what it was.
Status SpeedRun::record(int64_t runs) {
  if (graph)
    cu().graphExecDestroy(graph);
  graph = nullptr;
  runsPerGraph = runs;
  DSV2_RETURN_IF_ERROR(
      cu().check(cu().streamBeginCapture(device->stream(), captureThreadLocal),
                 "cuStreamBeginCapture", speed.name));
  Status submitted = submit(runs);
  Graph recorded = nullptr;
  Status ended = cu().check(cu().streamEndCapture(device->stream(), &recorded),
                            "cuStreamEndCapture", speed.name);
  if (submitted.ok() && ended.ok())
    ended = cu().check(cu().graphInstantiate(&graph, recorded, 0),
                       "cuGraphInstantiate", speed.name);
  if (recorded)
    cu().graphDestroy(recorded);
  return submitted.ok() ? ended : submitted;
}

/// As many as take a few milliseconds.
Result<int64_t> SpeedRun::runsToMeasure(CudaTimer &timer) {
  // A run loads code, which a capture may not do. What is then timed is a
  // graph: of runs that are launched one by one, short ones take as long as
  // their launches.
  DSV2_RETURN_IF_ERROR(submit(1));
  DSV2_RETURN_IF_ERROR(device->synchronize("the first run"));
  auto count = static_cast<int64_t>(copies.size());
  auto launches = static_cast<int64_t>(speed.launches.size());
  int64_t most = std::max<int64_t>(maxGraphLaunches / launches, 1);
  DSV2_RETURN_IF_ERROR(record(std::min(std::max(count, estimateRuns), most)));
  Result<double> once = timeGraph(timer);
  if (!once.ok())
    return once.status();
  auto wanted =
      static_cast<int64_t>(std::min(graphSeconds / std::max(*once, 1e-7), 1e6));
  // Every copy as often as any other.
  return std::max(std::min(wanted, most) / count * count, count);
}

/// Seconds of a run in the graph.
Result<double> SpeedRun::timeGraph(CudaTimer &timer) {
  Result<double> seconds = timeInRow(timer, 1, [&] {
    return cu().check(cu().graphLaunch(graph, device->stream()),
                      "cuGraphLaunch", speed.name);
  });
  if (!seconds.ok())
    return seconds.status();
  return *seconds / static_cast<double>(runsPerGraph);
}

Result<double> SpeedRun::measure(CudaTimer &timer) {
  if (!graph) {
    Result<int64_t> runs = quick ? Result<int64_t>(1) : runsToMeasure(timer);
    if (!runs.ok())
      return runs.status();
    DSV2_RETURN_IF_ERROR(record(*runs));
  }
  return timeGraph(timer);
}

Result<bool> SpeedRun::hasWritten() {
  std::vector<uint8_t> found(
      std::min<uint64_t>(speed.buffers[speed.output].bytes, 1 << 16));
  DSV2_RETURN_IF_ERROR(cu().check(
      cu().memcpyDtoHAsync(found.data(), copies[0].addresses[speed.output],
                           found.size(), device->stream()),
      "cuMemcpyDtoHAsync"));
  DSV2_RETURN_IF_ERROR(device->synchronize("the output"));
  return std::any_of(found.begin(), found.end(),
                     [](uint8_t byte) { return byte != 0; });
}

} // namespace dsv2::test
