//===- CudaTypesTest.cpp - The declarations beside the toolkit's own ------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cuda/CudaApi.h"
#include "test/runtime/drivers/cuda/Signature.h"

#include <cstddef>

#include <cuda.h>
#include <gtest/gtest.h>

using namespace dsv2;
using namespace dsv2::test;

// Numbers.
static_assert(int{cuda::success} == CUDA_SUCCESS);
static_assert(int{cuda::outOfMemory} == CUDA_ERROR_OUT_OF_MEMORY);
static_assert(int{cuda::noDevice} == CUDA_ERROR_NO_DEVICE);
static_assert(int{cuda::noBinaryForGpu} == CUDA_ERROR_NO_BINARY_FOR_GPU);
static_assert(int{cuda::multiprocessorCount} ==
              CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
static_assert(int{cuda::computeCapabilityMajor} ==
              CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(int{cuda::computeCapabilityMinor} ==
              CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(int{cuda::maxDynamicSharedBytes} ==
              CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(int{cuda::preferredSharedCarveout} ==
              CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT);
static_assert(int{cuda::nonPortableClusterSize} ==
              CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
static_assert(int{cuda::clusterDimension} ==
              CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
static_assert(int{cuda::programmaticStreamSerialization} ==
              CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
static_assert(int{cuda::mapUint8} == CU_TENSOR_MAP_DATA_TYPE_UINT8);
static_assert(int{cuda::mapInt32} == CU_TENSOR_MAP_DATA_TYPE_INT32);
static_assert(int{cuda::mapFloat16} == CU_TENSOR_MAP_DATA_TYPE_FLOAT16);
static_assert(int{cuda::mapFloat32} == CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
static_assert(int{cuda::mapBfloat16} == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);
static_assert(int{cuda::l2Promotion256} == CU_TENSOR_MAP_L2_PROMOTION_L2_256B);
static_assert(unsigned{cuda::streamNonBlocking} == CU_STREAM_NON_BLOCKING);
static_assert(unsigned{cuda::eventBlockingSync} == CU_EVENT_BLOCKING_SYNC);
static_assert(unsigned{cuda::eventDisableTiming} == CU_EVENT_DISABLE_TIMING);
static_assert(unsigned{cuda::eventRecordExternal} == CU_EVENT_RECORD_EXTERNAL);
static_assert(int{cuda::captureThreadLocal} ==
              CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
static_assert(int{cuda::jitErrorLog} == CU_JIT_ERROR_LOG_BUFFER);
static_assert(int{cuda::jitErrorLogBytes} ==
              CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);

// Layouts.
static_assert(sizeof(cuda::TensorMap) == sizeof(CUtensorMap) &&
              alignof(cuda::TensorMap) == alignof(CUtensorMap));
static_assert(sizeof(cuda::DevicePointer) == sizeof(CUdeviceptr));
static_assert(sizeof(cuda::Device) == sizeof(CUdevice));
static_assert(sizeof(cuda::LaunchConfig) == sizeof(CUlaunchConfig));
static_assert(offsetof(cuda::LaunchConfig, gridX) ==
              offsetof(CUlaunchConfig, gridDimX));
static_assert(offsetof(cuda::LaunchConfig, blockX) ==
              offsetof(CUlaunchConfig, blockDimX));
static_assert(offsetof(cuda::LaunchConfig, sharedBytes) ==
              offsetof(CUlaunchConfig, sharedMemBytes));
static_assert(offsetof(cuda::LaunchConfig, stream) ==
              offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(cuda::LaunchConfig, attributes) ==
              offsetof(CUlaunchConfig, attrs));
static_assert(offsetof(cuda::LaunchConfig, attributeCount) ==
              offsetof(CUlaunchConfig, numAttrs));
static_assert(sizeof(cuda::LaunchAttribute) == sizeof(CUlaunchAttribute));
static_assert(offsetof(cuda::LaunchAttribute, value) ==
              offsetof(CUlaunchAttribute, value));

TEST(CudaTypesTest, Signatures) {
#define SAME(member, function)                                                 \
  expectSame<std::remove_pointer_t<decltype(cuda::CudaApi::member)>,           \
             decltype(function)>(#function)
  SAME(init, cuInit);
  SAME(driverGetVersion, cuDriverGetVersion);
  SAME(getErrorString, cuGetErrorString);
  SAME(deviceGetCount, cuDeviceGetCount);
  SAME(deviceGet, cuDeviceGet);
  SAME(deviceGetName, cuDeviceGetName);
  SAME(deviceGetAttribute, cuDeviceGetAttribute);
  SAME(primaryCtxRetain, cuDevicePrimaryCtxRetain);
  SAME(primaryCtxRelease, cuDevicePrimaryCtxRelease);
  SAME(ctxSetCurrent, cuCtxSetCurrent);
  SAME(memGetInfo, cuMemGetInfo);
  SAME(memAlloc, cuMemAlloc);
  SAME(memFree, cuMemFree);
  SAME(memAllocHost, cuMemAllocHost);
  SAME(memFreeHost, cuMemFreeHost);
  SAME(memHostRegister, cuMemHostRegister);
  SAME(memHostUnregister, cuMemHostUnregister);
  SAME(memcpyHtoDAsync, cuMemcpyHtoDAsync);
  SAME(memcpyDtoHAsync, cuMemcpyDtoHAsync);
  SAME(memcpyDtoDAsync, cuMemcpyDtoDAsync);
  SAME(streamCreate, cuStreamCreate);
  SAME(streamDestroy, cuStreamDestroy);
  SAME(streamSynchronize, cuStreamSynchronize);
  SAME(streamBeginCapture, cuStreamBeginCapture);
  SAME(streamEndCapture, cuStreamEndCapture);
  SAME(graphInstantiate, cuGraphInstantiateWithFlags);
  SAME(graphDestroy, cuGraphDestroy);
  SAME(graphExecDestroy, cuGraphExecDestroy);
  SAME(graphLaunch, cuGraphLaunch);
  SAME(eventCreate, cuEventCreate);
  SAME(eventDestroy, cuEventDestroy);
  SAME(eventRecord, cuEventRecord);
  SAME(eventRecordWithFlags, cuEventRecordWithFlags);
  SAME(eventSynchronize, cuEventSynchronize);
  SAME(eventElapsedTime, cuEventElapsedTime);
  SAME(moduleLoadDataEx, cuModuleLoadDataEx);
  SAME(moduleUnload, cuModuleUnload);
  SAME(moduleGetFunction, cuModuleGetFunction);
  SAME(funcSetAttribute, cuFuncSetAttribute);
  SAME(launchKernelEx, cuLaunchKernelEx);
  SAME(tensorMapEncodeTiled, cuTensorMapEncodeTiled);
#undef SAME
}
