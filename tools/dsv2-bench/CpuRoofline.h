//===- CpuRoofline.h - What the CPUs can do ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_CPUROOFLINE_H
#define DSV2_TOOLS_BENCH_CPUROOFLINE_H

#include "runtime/drivers/cpu/LargeBuffer.h"
#include "runtime/drivers/cpu/ThreadPool.h"
#include "tools/dsv2-bench/Roofline.h"

#include <memory>

namespace dsv2 {

class CpuRoofline final : public Roofline {
public:
  /// Runs on the threads of `pool`, those of what it is compared with, so that
  /// both have the same CPUs. Uses the instructions in `features`
  /// (schema::CpuFeature bits), which this CPU must have, and can read up to
  /// `workingSet` bytes, within a limit.
  static Result<std::unique_ptr<CpuRoofline>>
  create(std::shared_ptr<ThreadPool> pool, uint64_t features,
         uint64_t workingSet);

  /// The median of bursts of a millisecond, some tens of them in all: the best
  /// of them is faster than any long work, and the mean is that of whatever
  /// else ran. Reads `workingSet` bytes again and again, so that a step whose
  /// data fits in the cache is compared with the cache.
  Result<Limits> measure(uint64_t workingSet) override;

private:
  using ReadLoop = void (*)(const std::byte *data, size_t bytes);
  struct DotLoop {
    void (*run)(uint64_t rounds) = nullptr;
    double operations = 0; ///< of one round
  };

  CpuRoofline() = default;
  double measureRead(uint64_t workingSet);
  double measureDot(const DotLoop &loop);

  std::shared_ptr<ThreadPool> pool;
  LargeBuffer buffer;
  ReadLoop readLoop = nullptr;
  std::array<DotLoop, dotTypeCount> dotLoops;
  std::array<uint64_t, dotTypeCount> rounds = {}; ///< that take long enough
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_CPUROOFLINE_H
