//===- PackedOperands.h - Activations and weights for tests -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_X86_PACKEDOPERANDS_H
#define DSV2_TEST_LOWERING_X86_PACKEDOPERANDS_H

#include "lowering/X86/Formats.h"

#include <cstddef>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace dsv2::test {

using namespace ::dsv2::x86;

inline constexpr WeightFormat allWeightFormats[] = {
    WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8,
    WeightFormat::int4};
std::string formatName(WeightFormat format);

} // namespace dsv2::test

namespace dsv2::x86 {

/// Names the parameter of a test in its listing.
inline void PrintTo(WeightFormat format, std::ostream *os) {
  *os << test::formatName(format);
}

} // namespace dsv2::x86

namespace dsv2::test {

/// Memory aligned as the runtime aligns it, followed by a guard.
class Buffer {
public:
  explicit Buffer(size_t bytes);

  std::byte *data() { return start; }
  template <typename T>
  T *as() {
    return reinterpret_cast<T *>(start);
  }
  /// Nothing was written after the end.
  bool guardIntact() const;

private:
  size_t size;
  std::unique_ptr<std::byte[]> storage;
  std::byte *start;
};

/// Packs rows of `depth` floats; `values` becomes what they stand for.
Buffer packRows(RowFormat format, std::vector<float> &values, int64_t depth);

/// Packs `matrices` weights of [rows][depth]; `values` becomes what they stand
/// for.
Buffer packMatrices(WeightFormat format, std::vector<float> &values,
                    int64_t matrices, int64_t rows, int64_t depth);

/// A dot product in double precision.
struct Dot {
  double sum;
  double magnitude; ///< the sum of the products' magnitudes
};
Dot dotProduct(const float *a, const float *b, int64_t depth);

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_X86_PACKEDOPERANDS_H
