//===- Integers.h - Index arithmetic of kernels with integers ---*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_INTEGERS_H
#define DSV2_TEST_LOWERING_NVPTX_INTEGERS_H

#include <algorithm>
#include <cstdint>

namespace dsv2::test {

/// What templates over PtxBuilder take in tests.
struct Integers {
  static int64_t constantLike(int64_t, int64_t value) { return value; }
  static int64_t add(int64_t a, int64_t b) { return a + b; }
  static int64_t sub(int64_t a, int64_t b) { return a - b; }
  static int64_t mul(int64_t a, int64_t b) { return a * b; }
  static int64_t div(int64_t a, int64_t b) { return a / b; }
  static int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
  static int64_t min(int64_t a, int64_t b) { return std::min(a, b); }
  static int64_t max(int64_t a, int64_t b) { return std::max(a, b); }
};

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_NVPTX_INTEGERS_H
