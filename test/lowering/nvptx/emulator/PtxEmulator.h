//===- PtxEmulator.h - Runs PTX on the host for tests -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Executes the kernels of a PTX module block by block, thread by thread, on
// ordinary memory. It is a reading of the PTX manual, not a GPU: it finds wrong
// indices, layouts, barrier phases, deadlocks and races that depend on order,
// and says nothing about speed or about errors shared with that reading.
//
// Order is random (from a printed seed) wherever the machine leaves it open:
// warps advance by random amounts, bulk copies land at random times, and the
// operands of an asynchronous product must be the same when it is issued and
// when it is waited for. Shared memory begins as NaN. A product or bulk store
// that reads what a thread wrote without a proxy fence is an error.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_EMULATOR_PTXEMULATOR_H
#define DSV2_TEST_LOWERING_NVPTX_EMULATOR_PTXEMULATOR_H

#include "test/lowering/nvptx/emulator/PtxModule.h"

#include <array>

namespace dsv2::ptx {

/// What a tensor map parameter holds here: cuTensorMapEncodeTiled's arguments.
struct TensorMapImage {
  void *base = nullptr;
  int32_t rank = 0;
  int32_t elementBytes = 2;
  int32_t swizzleBytes = 0; ///< 0, 32, 64 or 128
  int32_t padding = 0;
  std::array<uint32_t, 5> sizes{};
  std::array<uint32_t, 5> box{};
  std::array<uint64_t, 4> strides{}; ///< bytes, of dimensions 1 and up
};
static_assert(sizeof(TensorMapImage) <= 128);

struct Range {
  const void *start;
  uint64_t size;
};

struct LaunchShape {
  int64_t blocks = 1;
  int64_t threads = 128;
  int64_t sharedBytes = 0;
  uint64_t seed = 0;
  /// Global memory that may be touched; anything when empty.
  std::vector<Range> memory;
};

/// Runs `entry` with the parameter bytes `params`. Returns an error, or "".
std::string run(const Module &module, const std::string &entry,
                const LaunchShape &shape, const std::vector<uint8_t> &params);

} // namespace dsv2::ptx

#endif // DSV2_TEST_LOWERING_NVPTX_EMULATOR_PTXEMULATOR_H
