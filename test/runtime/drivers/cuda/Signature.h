//===- Signature.h - Comparing declarations of one function -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_RUNTIME_DRIVERS_CUDA_SIGNATURE_H
#define DSV2_TEST_RUNTIME_DRIVERS_CUDA_SIGNATURE_H

#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>

namespace dsv2::test {

/// How many parameters a function has, and how many bytes each.
template <typename Function>
struct Signature;
template <typename Result, typename... Parameters>
struct Signature<Result(Parameters...)> {
  static constexpr size_t count = sizeof...(Parameters);
  static constexpr size_t bytes[count + 1] = {sizeof(Parameters)...};
};

/// Whether two declarations pass the same bytes.
template <typename Ours, typename Theirs>
void expectSame(const char *symbol) {
  ASSERT_EQ(Signature<Ours>::count, Signature<Theirs>::count) << symbol;
  for (size_t i = 0; i < Signature<Ours>::count; ++i)
    EXPECT_EQ(Signature<Ours>::bytes[i], Signature<Theirs>::bytes[i])
        << symbol << ", parameter " << i;
}

} // namespace dsv2::test

#endif // DSV2_TEST_RUNTIME_DRIVERS_CUDA_SIGNATURE_H
