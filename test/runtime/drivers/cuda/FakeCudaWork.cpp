//===- FakeCudaWork.cpp - Streams, graphs, events and kernels -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/runtime/drivers/cuda/FakeCuda.h"

#include <cstdio>
#include <cstring>
#include <memory>

using namespace dsv2;
using namespace dsv2::cuda;
using namespace dsv2::fake;

static void recordEvent(EventObject &event) {
  event.at = driver().nanoseconds;
  driver().nanoseconds += 500;
}

static cuda::Result execute(const Node &node) {
  if (node.event) {
    recordEvent(*node.event);
    return success;
  }
  driver().nanoseconds += 1000;
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

extern "C" {

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
cuda::Result cuStreamSynchronize(Stream stream) {
  ENTER_WITH("cuStreamSynchronize", stream);
  return success;
}
cuda::Result cuStreamBeginCapture_v2(Stream stream, int) {
  ENTER_WITH("cuStreamBeginCapture", stream);
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
cuda::Result cuGraphLaunch(GraphExec graph, Stream stream) {
  ENTER_WITH("cuGraphLaunch", stream);
  for (const Node &node : graph->nodes)
    if (cuda::Result error = execute(node))
      return error;
  return success;
}

cuda::Result cuEventCreate(Event *event, unsigned flags) {
  ENTER("cuEventCreate");
  *event = new EventObject;
  (*event)->hasTime = !(flags & eventDisableTiming);
  return success;
}
cuda::Result cuEventDestroy_v2(Event event) {
  ENTER("cuEventDestroy");
  delete event;
  return success;
}
cuda::Result cuEventRecord(Event event, Stream stream) {
  ENTER_WITH("cuEventRecord", stream);
  recordEvent(*event);
  return success;
}
cuda::Result cuEventRecordWithFlags(Event event, Stream stream,
                                    unsigned flags) {
  ENTER("cuEventRecordWithFlags");
  if (flags != eventRecordExternal || !stream->capturing)
    return 1;
  Node node;
  node.event = event;
  stream->recorded.nodes.push_back(std::move(node));
  return success;
}
cuda::Result cuEventSynchronize(Event) {
  ENTER("cuEventSynchronize");
  return success;
}
cuda::Result cuEventElapsedTime(float *milliseconds, Event begin, Event end) {
  ENTER("cuEventElapsedTime");
  for (Event each : {begin, end})
    if (!each->hasTime || !each->at)
      return 400;
  *milliseconds = static_cast<float>(end->at - begin->at) * 1e-6f;
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
  // Machine code is read in place, as an ELF file that was mapped.
  if (made->isCubin && reinterpret_cast<uintptr_t>(image) % 64 != 0)
    return 1;
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
cuda::Result cuFuncSetAttribute(Function, int attribute, int value) {
  ENTER("cuFuncSetAttribute");
  note("attribute " + std::to_string(attribute) + " = " +
       std::to_string(value));
  return success;
}
cuda::Result cuLaunchKernelEx(const LaunchConfig *config, Function function,
                              void **parameters, void **) {
  ENTER("cuLaunchKernelEx");
  if (config->gridX == 0 || config->blockX == 0 || config->blockX > 1024)
    return 1;
  Node node;
  node.function = function;
  node.config = *config;
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

} // extern "C"
