//===- CudaTypes.h - The part of the CUDA driver API in use -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Types and numbers of the driver's binary interface, declared here so that
// dsv2 builds on a machine without the CUDA toolkit. They are stable: the
// driver keeps old programs running.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CUDA_CUDATYPES_H
#define DSV2_RUNTIME_DRIVERS_CUDA_CUDATYPES_H

#include <cstddef>
#include <cstdint>

namespace dsv2::cuda {

using Result = int; ///< CUresult
inline constexpr Result success = 0;
inline constexpr Result outOfMemory = 2;
inline constexpr Result noDevice = 100;
inline constexpr Result noBinaryForGpu = 209;

using DevicePointer = unsigned long long;
using Device = int;
using Context = struct ContextObject *;
using Module = struct ModuleObject *;
using Function = struct FunctionObject *;
using Stream = struct StreamObject *;
using Event = struct EventObject *;
using Graph = struct GraphObject *;
using GraphExec = struct GraphExecObject *;

enum DeviceAttribute : int {
  multiprocessorCount = 16,
  computeCapabilityMajor = 75,
  computeCapabilityMinor = 76,
};

enum FunctionAttribute : int {
  maxDynamicSharedBytes = 8,
  preferredSharedCarveout = 9, ///< percent
  nonPortableClusterSize = 14,
};

enum LaunchAttributeId : int {
  clusterDimension = 4,
  programmaticStreamSerialization = 6,
};

struct LaunchAttribute {
  LaunchAttributeId id;
  int padding = 0;
  union {
    char bytes[64];
    struct {
      unsigned x, y, z;
    } cluster;
    int flag;
  } value = {};
};
static_assert(sizeof(LaunchAttribute) == 72);

struct LaunchConfig {
  unsigned gridX = 1, gridY = 1, gridZ = 1;
  unsigned blockX = 1, blockY = 1, blockZ = 1;
  unsigned sharedBytes = 0;
  Stream stream = nullptr;
  LaunchAttribute *attributes = nullptr;
  unsigned attributeCount = 0;
};
static_assert(sizeof(LaunchConfig) == 56);

struct alignas(128) TensorMap {
  uint64_t opaque[16] = {};
};
static_assert(sizeof(TensorMap) == 128);

enum TensorMapType : int {
  mapUint8 = 0,
  mapInt32 = 3,
  mapFloat16 = 6,
  mapFloat32 = 7,
  mapBfloat16 = 9,
};

inline constexpr int l2Promotion256 = 3;
inline constexpr unsigned streamNonBlocking = 1;
inline constexpr unsigned eventBlockingSync = 1;
inline constexpr unsigned eventDisableTiming = 2;
inline constexpr unsigned eventRecordExternal = 1;
inline constexpr int captureThreadLocal = 1;
inline constexpr int jitErrorLog = 5;
inline constexpr int jitErrorLogBytes = 6;

} // namespace dsv2::cuda

#endif // DSV2_RUNTIME_DRIVERS_CUDA_CUDATYPES_H
