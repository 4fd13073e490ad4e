//===- CpuTopology.h - Which CPUs this process may use ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_CPUTOPOLOGY_H
#define DSV2_RUNTIME_DRIVERS_CPU_CPUTOPOLOGY_H

#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

struct CpuTopology {
  /// The process's affinity mask: first one CPU of every core, then the
  /// siblings. Empty when the operating system does not say.
  std::vector<int> cpus;
  int physicalCores = 1; ///< within that mask
  double quota = 0;      ///< CPUs' worth of time by cgroups; 0: no limit

  static CpuTopology detect();

  /// One thread a core, no more than the quota allows to run at once.
  int defaultThreads() const;
};

/// The numbers of "0-2,8"; empty when `text` is something else.
std::vector<int> parseCpuList(std::string_view text);

/// The tightest CPU limit of the cgroups in `membership` (the contents of
/// /proc/self/cgroup, v1 and v2), whose hierarchies are mounted at `mount`;
/// 0 when there is none.
double cgroupCpuQuota(const std::string &membership, const std::string &mount);

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_CPUTOPOLOGY_H
