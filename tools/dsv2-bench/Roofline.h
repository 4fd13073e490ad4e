//===- Roofline.h - What this machine can do --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Short bursts that measure the two limits of a step: moving bytes and
// multiplying. Clocks and neighbors change from second to second, so each burst
// is meant to be run right before and after what it is compared with.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_ROOFLINE_H
#define DSV2_TOOLS_BENCH_ROOFLINE_H

#include "runtime/base/Status.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dsv2 {

/// The kinds of numbers that matrix products multiply.
enum class DotType : uint8_t { int8, bf16, f32 };
inline constexpr size_t dotTypeCount = 3;

/// Per second, of the whole device. A multiplication and an addition are two
/// operations. 0: not measured, bounds nothing.
struct Limits {
  double readBytes = 0;
  std::array<double, dotTypeCount> operations = {};

  /// What held between two measurements, as far as anyone knows: the mean.
  static Limits between(const Limits &a, const Limits &b);
};

/// The limits of what runs the model.
class Roofline {
public:
  virtual ~Roofline() = default;

  /// Measures now; `workingSet` is how many bytes the step to compare with
  /// reads.
  virtual Result<Limits> measure(uint64_t workingSet) = 0;
};

/// The middle one, or the upper of the two.
double medianOf(std::vector<double> &values);

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_ROOFLINE_H
