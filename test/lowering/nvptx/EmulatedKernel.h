//===- EmulatedKernel.h - Running a GPU kernel without a GPU ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_EMULATEDKERNEL_H
#define DSV2_TEST_LOWERING_NVPTX_EMULATEDKERNEL_H

#include "runtime/base/NumberFormats.h"
#include "test/lowering/nvptx/AssembledKernel.h"
#include "test/lowering/nvptx/emulator/PtxEmulator.h"

#include <cstring>
#include <random>

namespace dsv2::test {

/// The sizes of a step.
struct StepSizes {
  int64_t tokens = 1, sequences = 1, context = 1, logitRows = 1;
  int64_t firstContextRow = 0; ///< of a chunk
};

/// Memory of a binding. Aligned to 256 bytes, as the runtime's is.
class DeviceBuffer {
public:
  /// `bytes` that read as NaN in every format.
  explicit DeviceBuffer(int64_t bytes);
  template <typename T>
  static DeviceBuffer of(const std::vector<T> &values, int64_t extra = 0) {
    DeviceBuffer buffer(static_cast<int64_t>(values.size() + extra) *
                        static_cast<int64_t>(sizeof(T)));
    std::memcpy(buffer.data(), values.data(), values.size() * sizeof(T));
    return buffer;
  }
  template <typename T>
  std::vector<T> read(int64_t count) const {
    const T *start = reinterpret_cast<const T *>(data());
    return std::vector<T>(start, start + count);
  }
  uint8_t *data() { return start; }
  const uint8_t *data() const { return start; }
  int64_t size() const { return bytes; }

private:
  std::vector<uint8_t> storage;
  uint8_t *start;
  int64_t bytes;
};

/// Runs `kernel` on the emulator, with more blocks than it needs where that is
/// allowed; `persistentBlocks` of a kernel that loops over workgroups. Accesses
/// outside of the bindings fail the test.
void runEmulated(const AssembledKernel &kernel,
                 const std::vector<DeviceBuffer *> &bindings,
                 const StepSizes &sizes, uint64_t seed = 1,
                 int64_t persistentBlocks = 3);

using dsv2::bf16ToFloat;
using dsv2::e4m3ToFloat;
using dsv2::f16ToFloat;
using dsv2::floatToBf16;
using dsv2::floatToF16;

/// Numbers in [-1, 1).
std::vector<float> randomFloats(int64_t count, std::mt19937 &random);
std::vector<uint16_t> bf16Of(const std::vector<float> &values);

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_NVPTX_EMULATEDKERNEL_H
