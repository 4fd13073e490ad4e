//===- CudaApi.h - The CUDA driver, opened at run time ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDAAPI_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDAAPI_H

#include "runtime/base/Status.h"
#include "runtime/drivers/cuda/CudaTypes.h"

#include <memory>
#include <string>

namespace dsv2::cuda {

/// X(name of a member, name of the symbol, parameters)
#define DSV2_CUDA_FUNCTIONS(X)                                                 \
  X(init, "cuInit", (unsigned))                                                \
  X(driverGetVersion, "cuDriverGetVersion", (int *))                           \
  X(getErrorString, "cuGetErrorString", (Result, const char **))               \
  X(deviceGetCount, "cuDeviceGetCount", (int *))                               \
  X(deviceGet, "cuDeviceGet", (Device *, int))                                 \
  X(deviceGetName, "cuDeviceGetName", (char *, int, Device))                   \
  X(deviceGetAttribute, "cuDeviceGetAttribute", (int *, int, Device))          \
  X(primaryCtxRetain, "cuDevicePrimaryCtxRetain", (Context *, Device))         \
  X(primaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (Device))               \
  X(ctxSetCurrent, "cuCtxSetCurrent", (Context))                               \
  X(memGetInfo, "cuMemGetInfo_v2", (size_t *, size_t *))                       \
  X(memAlloc, "cuMemAlloc_v2", (DevicePointer *, size_t))                      \
  X(memFree, "cuMemFree_v2", (DevicePointer))                                  \
  X(memAllocHost, "cuMemAllocHost_v2", (void **, size_t))                      \
  X(memFreeHost, "cuMemFreeHost", (void *))                                    \
  X(memHostRegister, "cuMemHostRegister_v2", (void *, size_t, unsigned))       \
  X(memHostUnregister, "cuMemHostUnregister", (void *))                        \
  X(memcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                   \
    (DevicePointer, const void *, size_t, Stream))                             \
  X(memcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                   \
    (void *, DevicePointer, size_t, Stream))                                   \
  X(memcpyDtoDAsync, "cuMemcpyDtoDAsync_v2",                                   \
    (DevicePointer, DevicePointer, size_t, Stream))                            \
  X(memsetD8Async, "cuMemsetD8Async",                                          \
    (DevicePointer, unsigned char, size_t, Stream))                            \
  X(streamCreate, "cuStreamCreate", (Stream *, unsigned))                      \
  X(streamDestroy, "cuStreamDestroy_v2", (Stream))                             \
  X(streamSynchronize, "cuStreamSynchronize", (Stream))                        \
  X(streamBeginCapture, "cuStreamBeginCapture_v2", (Stream, int))              \
  X(streamEndCapture, "cuStreamEndCapture", (Stream, Graph *))                 \
  X(graphInstantiate, "cuGraphInstantiateWithFlags",                           \
    (GraphExec *, Graph, unsigned long long))                                  \
  X(graphDestroy, "cuGraphDestroy", (Graph))                                   \
  X(graphExecDestroy, "cuGraphExecDestroy", (GraphExec))                       \
  X(graphLaunch, "cuGraphLaunch", (GraphExec, Stream))                         \
  X(eventCreate, "cuEventCreate", (Event *, unsigned))                         \
  X(eventDestroy, "cuEventDestroy_v2", (Event))                                \
  X(eventRecord, "cuEventRecord", (Event, Stream))                             \
  X(eventRecordWithFlags, "cuEventRecordWithFlags", (Event, Stream, unsigned)) \
  X(eventSynchronize, "cuEventSynchronize", (Event))                           \
  X(eventElapsedTime, "cuEventElapsedTime", (float *, Event, Event))           \
  X(moduleLoadDataEx, "cuModuleLoadDataEx",                                    \
    (Module *, const void *, unsigned, int *, void **))                        \
  X(moduleUnload, "cuModuleUnload", (Module))                                  \
  X(moduleGetFunction, "cuModuleGetFunction",                                  \
    (Function *, Module, const char *))                                        \
  X(funcSetAttribute, "cuFuncSetAttribute", (Function, int, int))              \
  X(launchKernelEx, "cuLaunchKernelEx",                                        \
    (const LaunchConfig *, Function, void **, void **))                        \
  X(tensorMapEncodeTiled, "cuTensorMapEncodeTiled",                            \
    (TensorMap *, int, uint32_t, void *, const uint64_t *, const uint64_t *,   \
     const uint32_t *, const uint32_t *, int, int, int, int))

/// The functions of one loaded driver.
class CudaApi {
public:
  /// Opens the driver library; an error says in one line what is missing.
  static dsv2::Result<std::shared_ptr<const CudaApi>>
  load(const std::string &library = "libcuda.so.1");

  ~CudaApi();
  CudaApi(const CudaApi &) = delete;

#define DSV2_CUDA_MEMBER(name, symbol, parameters)                             \
  Result(*name) parameters = nullptr;
  DSV2_CUDA_FUNCTIONS(DSV2_CUDA_MEMBER)
#undef DSV2_CUDA_MEMBER

  /// What a call returned as a status: "`call` for `what`: ...".
  Status check(Result result, const char *call,
               const std::string &what = {}) const;

private:
  CudaApi() = default;
  void *handle = nullptr;
};

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDAAPI_H
