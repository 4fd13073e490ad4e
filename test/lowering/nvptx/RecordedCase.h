//===- RecordedCase.h - Kernel runs to repeat on a GPU ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A run of a kernel as a file: its code, how it is launched, what its bindings
// hold before and what the emulator left in them. test/integration/gpu repeats
// such runs on a device with nothing but the runtime.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_RECORDEDCASE_H
#define DSV2_TEST_LOWERING_NVPTX_RECORDEDCASE_H

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace dsv2::test {

struct RecordedMap {
  uint32_t binding = 0, element = 0, swizzle = 0;
  std::vector<uint64_t> sizes, strides;
  std::vector<uint32_t> box;
};

struct RecordedCase {
  std::string name;  ///< of the test and the run in it
  std::string entry; ///< the kernel
  std::string ptx;
  std::vector<char> cubin; ///< what ptxas made of it; empty without one
  uint32_t blocks = 1, threads = 1, cluster = 1, sharedBytes = 0;
  std::array<int32_t, 5> sizes = {};               ///< T, B, S, R, F
  std::vector<std::vector<uint8_t>> before, after; ///< of each binding
  std::vector<RecordedMap> maps;
};

bool writeCase(const std::string &path, const RecordedCase &recorded);
/// Empty entry: the file is no case.
RecordedCase readCase(const std::string &path);

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_NVPTX_RECORDEDCASE_H
