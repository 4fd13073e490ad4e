//===- Profile.h - Where the time of a step goes ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_PROFILE_H
#define DSV2_TOOLS_BENCH_PROFILE_H

#include "tools/common/RuntimeTool.h"
#include "tools/dsv2-bench/StepCost.h"

#include <string>
#include <vector>

namespace dsv2 {

/// Dispatches of the same kernel at the same place in a layer, added up.
struct ProfileRow {
  std::string program, kernel, label;
  uint64_t runs = 0, nanoseconds = 0;
  StepCost cost;
  double leastTime = 0; ///< seconds, the sum over the runs
};

/// Adds up what the dispatches of profiled steps cannot do without.
class ProfileCosts {
public:
  void add(const CostModel &costs, const StepShape &shape,
           const Limits &limits);

  /// Rows of all that ran, longest first.
  std::vector<ProfileRow> rows(const dsv2_session_t *session) const;

private:
  struct Entry {
    StepCost cost;
    double leastTime = 0;
  };
  /// By program and dispatch.
  std::vector<std::vector<Entry>> entries;
};

/// A table: what each row takes, what it cannot do without, and the share of
/// its bound that it reaches.
std::string profileText(const std::vector<ProfileRow> &rows);

/// The mean share of the experts that were active in the profiled steps, each
/// of `tokens`; negative when there are none.
double touchedExperts(const CostModel &costs, const dsv2_session_t *session,
                      int64_t tokens);

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_PROFILE_H
