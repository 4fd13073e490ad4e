//===- SpeedCase.h - Kernel runs to measure on a GPU ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What gpu-cases writes where the compiler is, and gpu-bench runs where the GPU
// is: kernels, how they are launched, how to fill what they read, and what they
// are compared with. Numbers in memory are made on the device: which ones
// changes no time, as long as lengths, offsets and pages are valid.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_INTEGRATION_GPU_SPEEDCASE_H
#define DSV2_TEST_INTEGRATION_GPU_SPEEDCASE_H

#include "runtime/base/Status.h"
#include "test/lowering/nvptx/RecordedCase.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace dsv2::test {

/// Memory that launches bind.
struct SpeedBuffer {
  enum class Fill : uint8_t {
    zeros,  ///< what a kernel writes
    random, ///< bf16 in [-1, 1); finite as f16 and f32 too
    bytes,  ///< e4m3, finite as f32 too
    ones,   ///< f32
    ints    ///< element i is min(first + i * step / divisor, most)
  };
  uint64_t bytes = 0;
  Fill fill = Fill::zeros;
  int64_t first = 0, step = 0, divisor = 1, most = INT32_MAX;
  bool shuffled = false; ///< the ints, as pages of a cache are
  bool rotates = false;  ///< so many copies that caches do not hold them
};

struct SpeedLaunch {
  std::string kernel; ///< KERNEL.ptx, and KERNEL.cubin if there is a ptxas
  uint32_t threads = 1, cluster = 1, sharedBytes = 0;
  uint32_t blocks = 1, blocksPerSM = 0; ///< at most these on an SM; 0: all
  std::vector<uint32_t> bindings;       ///< buffers
  std::vector<RecordedMap> maps;        ///< their bindings are those above
};

struct SpeedCase {
  /// What a rate is a share of, measured in turn with it.
  enum class Against : uint8_t {
    copy,      ///< bytes, those of a copy in device memory
    matmul,    ///< operations, those of a large product by cuBLASLt in bf16
    product,   ///< those of the product of `shape` by cuBLASLt in bf16
    twice,     ///< twice those
    attention, ///< those of PyTorch's attention, measured by another program
  };
  std::string group, name;
  std::vector<SpeedBuffer> buffers;
  std::vector<SpeedLaunch> launches;
  std::array<int32_t, 4> sizes = {};
  uint32_t output = 0; ///< the buffer that must have changed
  double bytes = 0, operations = 0;
  Against against = Against::copy;
  double goal = 0;                   ///< share; 0: none is set
  std::array<int64_t, 3> shape = {}; ///< m, n, k; attention: heads, tokens
};

Status writeSpeedCases(const std::string &path,
                       const std::vector<SpeedCase> &cases);
Result<std::vector<SpeedCase>> readSpeedCases(const std::string &path);

} // namespace dsv2::test

#endif // DSV2_TEST_INTEGRATION_GPU_SPEEDCASE_H
