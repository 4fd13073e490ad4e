//===- StepRunner.h - What runs the programs of a plan ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_STEPRUNNER_H
#define DSV2_RUNTIME_DRIVERS_STEPRUNNER_H

#include "runtime/base/LogitCandidate.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dsv2 {

/// The number of schema::BatchField values.
inline constexpr size_t batchFieldCount = 12;

/// The sizes of one step.
struct StepSizes {
  int64_t tokens = 0;
  int64_t sequences = 0;
  int64_t context = 0;
  int64_t logitRows = 0;
  /// Logits stay where they are computed, until they are fetched.
  bool leavesLogits = false;
};

/// What profiling adds up for one dispatch.
struct DispatchProfile {
  uint64_t runs = 0;
  uint64_t nanoseconds = 0;
  uint64_t workgroups = 0;
};

/// The programs of an artifact on a device, with the memory they work in.
class StepRunner {
public:
  virtual ~StepRunner() = default;

  /// Runs program `index` and waits for it. The batch arrays must be filled;
  /// logits are in host memory afterwards, unless they are left.
  virtual Status step(size_t index, const StepSizes &sizes) = 0;

  /// Brings a row of logits that the last step left to host memory.
  virtual Status fetchLogits(int64_t row) { return Status(); }
  /// The best logits of such a row, the best first, all others being worse;
  /// none where the device does not list them.
  virtual std::span<const LogitCandidate> bestLogits(int64_t row) const {
    return {};
  }

  /// Copies page `from` of the cache over page `to`, in every layer.
  virtual Status copyPage(int64_t to, int64_t from) = 0;

  /// Starts from zero, or stops, timing each dispatch by itself.
  virtual void startProfile() = 0;
  virtual void stopProfile() = 0;
  /// By dispatch of program `index`; empty when never profiled.
  virtual const std::vector<DispatchProfile> &profile(size_t index) const = 0;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_STEPRUNNER_H
