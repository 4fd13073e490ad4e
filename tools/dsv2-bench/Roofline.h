//===- Roofline.h - What this machine can do --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Short bursts that measure the two limits of a step: reading memory and
// multiplying. Clocks and neighbors change from second to second, so each burst
// is meant to be run right before and after what it is compared with.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_ROOFLINE_H
#define DSV2_TOOLS_BENCH_ROOFLINE_H

#include "runtime/drivers/cpu/LargeBuffer.h"
#include "runtime/drivers/cpu/ThreadPool.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace dsv2 {

/// The kinds of numbers that matrix products multiply.
enum class DotType : uint8_t { int8, bf16, f32 };
inline constexpr size_t dotTypeCount = 3;

/// Per second, of all threads together. A multiplication and an addition are
/// two operations.
struct Limits {
  double readBytes = 0;
  std::array<double, dotTypeCount> operations = {};

  /// What held between two measurements, as far as anyone knows: the mean.
  static Limits between(const Limits &a, const Limits &b);
};

class Roofline {
public:
  /// Runs on the threads of `pool`, those of what it is compared with, so that
  /// both have the same CPUs. Uses the instructions in `features`
  /// (schema::CpuFeature bits), which this CPU must have, and can read up to
  /// `workingSet` bytes, within a limit.
  static Result<Roofline> create(std::shared_ptr<ThreadPool> pool,
                                 uint64_t features, uint64_t workingSet);

  /// The median of bursts of a millisecond, some tens of them in all: the best
  /// of them is faster than any long work, and the mean is that of whatever
  /// else ran. Reads `workingSet` bytes again and again, so that a step whose
  /// data fits in the cache is compared with the cache.
  Limits measure(uint64_t workingSet);

private:
  using ReadLoop = void (*)(const std::byte *data, size_t bytes);
  struct DotLoop {
    void (*run)(uint64_t rounds) = nullptr;
    double operations = 0; ///< of one round
  };

  Roofline() = default;
  double measureRead(uint64_t workingSet);
  double measureDot(const DotLoop &loop);

  std::shared_ptr<ThreadPool> pool;
  LargeBuffer buffer;
  ReadLoop readLoop = nullptr;
  std::array<DotLoop, dotTypeCount> dotLoops;
  std::array<uint64_t, dotTypeCount> rounds = {}; ///< that take long enough
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_ROOFLINE_H
