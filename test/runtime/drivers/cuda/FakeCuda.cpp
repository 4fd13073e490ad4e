//===- FakeCuda.cpp - A CUDA driver that needs no GPU ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A shared library with the entry points of libcuda.so.1 that dsv2 uses. Device
// memory is host memory, work is done when it is submitted, and kernels run on
// the PTX emulator. A recorded graph is the list of its launches. What the
// environment variable DSV2_FAKE_CUDA says, separated by semicolons:
//
//   arch=90           compute capability (90)
//   devices=1         how many there are (1)
//   version=12040     of the driver (12040)
//   memory=BYTES      of the device (1 GiB)
//   fail=cuNAME       this call returns error 999
//   cubin=accept      cubins load; their kernels do nothing
//   log=FILE          names of calls are appended there, one a line
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaTypes.h"
#include "test/lowering/nvptx/emulator/PtxEmulator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace dsv2;

namespace dsv2::cuda {

struct ContextObject {};
struct EventObject {};
struct ModuleObject {
  ptx::Module module;
  bool isCubin = false;
};
struct FunctionObject {
  const ModuleObject *module;
  std::string name;
};
struct Node {
  const FunctionObject *function;
  LaunchConfig config;
  std::vector<uint8_t> params;
  bool dependent;
};
struct GraphObject {
  std::vector<Node> nodes;
};
struct GraphExecObject {
  std::vector<Node> nodes;
};
struct StreamObject {
  bool capturing = false;
  GraphObject recorded;
};

} // namespace dsv2::cuda

using namespace dsv2::cuda;

namespace {

struct Driver {
  std::map<std::string, std::string> settings;
  std::map<DevicePointer, size_t> memory;
  size_t used = 0;
  std::string lastError;
  ContextObject context;

  std::string setting(const char *name, const char *usual) const {
    auto found = settings.find(name);
    return found == settings.end() ? usual : found->second;
  }
  size_t capacity() const {
    return std::strtoull(setting("memory", "1073741824").c_str(), nullptr, 10);
  }
  void configure() {
    settings.clear();
    const char *text = std::getenv("DSV2_FAKE_CUDA");
    std::string rest = text ? text : "";
    while (!rest.empty()) {
      size_t end = std::min(rest.find(';'), rest.size());
      std::string item = rest.substr(0, end);
      rest.erase(0, end + 1);
      if (size_t equals = item.find('='); equals != std::string::npos)
        settings[item.substr(0, equals)] = item.substr(equals + 1);
    }
  }
};

Driver &driver() {
  static Driver instance;
  return instance;
}

/// Notes a call; the error it is to return.
cuda::Result called(const char *name) {
  std::string log = driver().setting("log", "");
  if (!log.empty())
    if (FILE *file = std::fopen(log.c_str(), "a")) {
      std::fprintf(file, "%s\n", name);
      std::fclose(file);
    }
  return driver().setting("fail", "") == name ? 999 : success;
}

#define ENTER(name)                                                            \
  if (cuda::Result error = called(name))                                       \
  return error

cuda::Result execute(const Node &node) {
  if (node.function->module->isCubin)
    return success;
  ptx::LaunchShape shape;
  shape.blocks = node.config.gridX;
  shape.threads = node.config.blockX;
  shape.sharedBytes = node.config.sharedBytes;
  for (const auto &[address, bytes] : driver().memory)
    shape.memory.push_back({reinterpret_cast<const void *>(address), bytes});
  driver().lastError = ptx::run(node.function->module->module,
                                node.function->name, shape, node.params);
  return driver().lastError.empty() ? success : 700;
}

} // namespace

extern "C" {

cuda::Result cuInit(unsigned) {
  driver().configure();
  ENTER("cuInit");
  return driver().setting("devices", "1") == "0" ? noDevice : success;
}
cuda::Result cuDriverGetVersion(int *version) {
  ENTER("cuDriverGetVersion");
  *version = std::atoi(driver().setting("version", "12040").c_str());
  return success;
}
cuda::Result cuGetErrorString(cuda::Result error, const char **text) {
  static std::string said;
  said = error == outOfMemory ? "out of memory"
         : error == 999       ? "unknown error"
         : error == 700 ? "an illegal memory access: " + driver().lastError
                        : "some error";
  *text = said.c_str();
  return success;
}
cuda::Result cuDeviceGetCount(int *count) {
  ENTER("cuDeviceGetCount");
  *count = std::atoi(driver().setting("devices", "1").c_str());
  return success;
}
cuda::Result cuDeviceGet(Device *device, int index) {
  ENTER("cuDeviceGet");
  *device = index;
  return success;
}
cuda::Result cuDeviceGetName(char *name, int bytes, Device) {
  ENTER("cuDeviceGetName");
  std::snprintf(name, static_cast<size_t>(bytes), "Fake GPU");
  return success;
}
cuda::Result cuDeviceGetAttribute(int *value, int attribute, Device) {
  ENTER("cuDeviceGetAttribute");
  int arch = std::atoi(driver().setting("arch", "90").c_str());
  *value = attribute == computeCapabilityMajor   ? arch / 10
           : attribute == computeCapabilityMinor ? arch % 10
                                                 : 3;
  return success;
}
cuda::Result cuDevicePrimaryCtxRetain(Context *context, Device) {
  ENTER("cuDevicePrimaryCtxRetain");
  *context = &driver().context;
  return success;
}
cuda::Result cuDevicePrimaryCtxRelease_v2(Device) {
  ENTER("cuDevicePrimaryCtxRelease");
  return success;
}
cuda::Result cuCtxSetCurrent(Context) { return success; }

cuda::Result cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER("cuMemGetInfo");
  *total = driver().capacity();
  *free = *total - driver().used;
  return success;
}
cuda::Result cuMemAlloc_v2(DevicePointer *address, size_t bytes) {
  ENTER("cuMemAlloc");
  if (driver().used + bytes > driver().capacity())
    return outOfMemory;
  size_t rounded = (bytes + 255) / 256 * 256;
  void *memory = std::aligned_alloc(256, rounded);
  // NaN in every format: what is read must have been written.
  std::memset(memory, 0xff, rounded);
  *address = reinterpret_cast<DevicePointer>(memory);
  driver().memory[*address] = bytes;
  driver().used += bytes;
  return success;
}
cuda::Result cuMemFree_v2(DevicePointer address) {
  ENTER("cuMemFree");
  auto found = driver().memory.find(address);
  if (found == driver().memory.end())
    return 1;
  driver().used -= found->second;
  driver().memory.erase(found);
  std::free(reinterpret_cast<void *>(address));
  return success;
}
cuda::Result cuMemAllocHost_v2(void **memory, size_t bytes) {
  ENTER("cuMemAllocHost");
  *memory = std::malloc(bytes);
  return success;
}
cuda::Result cuMemFreeHost(void *memory) {
  ENTER("cuMemFreeHost");
  std::free(memory);
  return success;
}
cuda::Result cuMemHostRegister_v2(void *, size_t, unsigned) {
  ENTER("cuMemHostRegister");
  return success;
}
cuda::Result cuMemHostUnregister(void *) {
  ENTER("cuMemHostUnregister");
  return success;
}
cuda::Result cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from,
                                  size_t bytes, Stream) {
  ENTER("cuMemcpyHtoDAsync");
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return success;
}
cuda::Result cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes,
                                  Stream) {
  ENTER("cuMemcpyDtoHAsync");
  std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
  return success;
}
cuda::Result cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from,
                                  size_t bytes, Stream) {
  ENTER("cuMemcpyDtoDAsync");
  std::memcpy(reinterpret_cast<void *>(to),
              reinterpret_cast<const void *>(from), bytes);
  return success;
}
cuda::Result cuMemsetD8Async(DevicePointer to, unsigned char value,
                             size_t bytes, Stream) {
  ENTER("cuMemsetD8Async");
  std::memset(reinterpret_cast<void *>(to), value, bytes);
  return success;
}

cuda::Result cuStreamCreate(Stream *stream, unsigned) {
  ENTER("cuStreamCreate");
  *stream = new StreamObject;
  return success;
}
cuda::Result cuStreamDestroy_v2(Stream stream) {
  ENTER("cuStreamDestroy");
  delete stream;
  return success;
}
cuda::Result cuStreamSynchronize(Stream) {
  ENTER("cuStreamSynchronize");
  return success;
}
cuda::Result cuStreamBeginCapture_v2(Stream stream, int) {
  ENTER("cuStreamBeginCapture");
  stream->capturing = true;
  stream->recorded = {};
  return success;
}
cuda::Result cuStreamEndCapture(Stream stream, Graph *graph) {
  stream->capturing = false;
  ENTER("cuStreamEndCapture");
  *graph = new GraphObject(std::move(stream->recorded));
  return success;
}
cuda::Result cuGraphInstantiateWithFlags(GraphExec *made, Graph graph,
                                         unsigned long long) {
  ENTER("cuGraphInstantiate");
  *made = new GraphExecObject{graph->nodes};
  return success;
}
cuda::Result cuGraphDestroy(Graph graph) {
  ENTER("cuGraphDestroy");
  delete graph;
  return success;
}
cuda::Result cuGraphExecDestroy(GraphExec graph) {
  ENTER("cuGraphExecDestroy");
  delete graph;
  return success;
}
cuda::Result cuGraphLaunch(GraphExec graph, Stream) {
  ENTER("cuGraphLaunch");
  for (const Node &node : graph->nodes)
    if (cuda::Result error = execute(node))
      return error;
  return success;
}

cuda::Result cuEventCreate(Event *event, unsigned) {
  ENTER("cuEventCreate");
  *event = new EventObject;
  return success;
}
cuda::Result cuEventDestroy_v2(Event event) {
  ENTER("cuEventDestroy");
  delete event;
  return success;
}
cuda::Result cuEventRecord(Event, Stream) {
  ENTER("cuEventRecord");
  return success;
}
cuda::Result cuEventSynchronize(Event) {
  ENTER("cuEventSynchronize");
  return success;
}
cuda::Result cuEventElapsedTime(float *milliseconds, Event, Event) {
  ENTER("cuEventElapsedTime");
  *milliseconds = 0.001f;
  return success;
}

cuda::Result cuModuleLoadDataEx(Module *module, const void *image,
                                unsigned options, int *, void **values) {
  ENTER("cuModuleLoadDataEx");
  auto *bytes = static_cast<const char *>(image);
  auto made = std::make_unique<ModuleObject>();
  made->isCubin = std::memcmp(bytes,
                              "\x7f"
                              "ELF",
                              4) == 0;
  if (made->isCubin && driver().setting("cubin", "") != "accept")
    return noBinaryForGpu;
  if (!made->isCubin) {
    made->module = ptx::parse(bytes);
    if (!made->module.error.empty()) {
      if (options)
        std::snprintf(static_cast<char *>(values[0]), 4096, "%s",
                      made->module.error.c_str());
      return 218;
    }
  }
  *module = made.release();
  return success;
}
cuda::Result cuModuleUnload(Module module) {
  ENTER("cuModuleUnload");
  delete module;
  return success;
}
cuda::Result cuModuleGetFunction(Function *function, Module module,
                                 const char *name) {
  ENTER("cuModuleGetFunction");
  if (!module->isCubin && !module->module.entries.contains(name))
    return 500;
  static std::vector<std::unique_ptr<FunctionObject>> functions;
  functions.push_back(
      std::make_unique<FunctionObject>(FunctionObject{module, name}));
  *function = functions.back().get();
  return success;
}
cuda::Result cuFuncSetAttribute(Function, int, int) {
  ENTER("cuFuncSetAttribute");
  return success;
}
cuda::Result cuLaunchKernelEx(const LaunchConfig *config, Function function,
                              void **parameters, void **) {
  ENTER("cuLaunchKernelEx");
  if (config->gridX == 0 || config->blockX == 0 || config->blockX > 1024)
    return 1;
  Node node{function, *config, {}, false};
  for (unsigned i = 0; i < config->attributeCount; ++i)
    node.dependent |=
        config->attributes[i].id == programmaticStreamSerialization;
  if (!function->module->isCubin) {
    const ptx::Entry &entry =
        function->module->module.entries.at(function->name);
    node.params.resize(entry.paramBytes);
    for (size_t i = 0; i < entry.params.size(); ++i)
      std::memcpy(node.params.data() + entry.params[i].offset, parameters[i],
                  entry.params[i].size);
  }
  if (config->stream->capturing) {
    config->stream->recorded.nodes.push_back(std::move(node));
    return success;
  }
  return execute(node);
}

cuda::Result cuTensorMapEncodeTiled(TensorMap *map, int type, uint32_t rank,
                                    void *base, const uint64_t *sizes,
                                    const uint64_t *strides,
                                    const uint32_t *box, const uint32_t *, int,
                                    int swizzle, int, int) {
  ENTER("cuTensorMapEncodeTiled");
  auto misaligned = [](uint64_t value) { return value % 16 != 0; };
  if (rank < 1 || rank > 5 || misaligned(reinterpret_cast<uint64_t>(base)))
    return 1;
  ptx::TensorMapImage image;
  image.base = base;
  image.rank = static_cast<int32_t>(rank);
  image.elementBytes = type == mapUint8                            ? 1
                       : type == mapFloat16 || type == mapBfloat16 ? 2
                                                                   : 4;
  image.swizzleBytes = swizzle == 0 ? 0 : 16 << swizzle;
  for (uint32_t i = 0; i < rank; ++i) {
    if (box[i] < 1 || box[i] > 256 || sizes[i] < 1)
      return 1;
    image.sizes[i] = static_cast<uint32_t>(sizes[i]);
    image.box[i] = box[i];
    if (i + 1 < rank) {
      if (misaligned(strides[i]))
        return 1;
      image.strides[i] = strides[i];
    }
  }
  std::memcpy(map, &image, sizeof(image));
  return success;
}

} // extern "C"
