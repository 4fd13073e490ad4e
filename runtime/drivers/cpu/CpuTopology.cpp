//===- CpuTopology.cpp - Which CPUs this process may use ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/CpuTopology.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include <sched.h>
#include <unistd.h>

using namespace dsv2;

static std::string readFile(const std::string &path) {
  std::ifstream stream(path);
  std::stringstream contents;
  contents << stream.rdbuf();
  return contents.str();
}

std::vector<int> dsv2::parseCpuList(std::string_view text) {
  std::vector<int> cpus;
  const char *at = text.data(), *end = at + text.size();
  auto number = [&](int &value) {
    auto [next, error] = std::from_chars(at, end, value);
    at = next;
    return error == std::errc() && value >= 0 && value < (1 << 20);
  };
  while (at != end && *at != '\n') {
    int first, last;
    if (!number(first))
      return {};
    last = first;
    if (at != end && *at == '-' && (++at, !number(last)))
      return {};
    for (int cpu = first; cpu <= last; ++cpu)
      cpus.push_back(cpu);
    if (at != end && *at == ',')
      ++at;
  }
  return cpus;
}

/// The smaller of two limits, where 0 is none.
static double tighter(double a, double b) {
  return a == 0 ? b : b == 0 ? a : std::min(a, b);
}

/// quota / period when both are numbers and there is a limit.
static double toLimit(const std::string &quota, const std::string &period) {
  double values[2] = {0, 0};
  const std::string *texts[2] = {&quota, &period};
  for (int i = 0; i < 2; ++i)
    std::from_chars(texts[i]->data(), texts[i]->data() + texts[i]->size(),
                    values[i]);
  return values[0] > 0 && values[1] > 0 ? values[0] / values[1] : 0;
}

/// The limits of the group at `path` and of all groups that contain it.
static double limitOfGroups(const std::string &mount, std::string path,
                            bool version2) {
  double limit = 0;
  for (;;) {
    std::string folder = mount + path + "/";
    if (version2) {
      std::istringstream fields(readFile(folder + "cpu.max"));
      std::string quota, period;
      fields >> quota >> period;
      limit = tighter(limit, toLimit(quota, period));
    } else {
      limit = tighter(limit, toLimit(readFile(folder + "cpu.cfs_quota_us"),
                                     readFile(folder + "cpu.cfs_period_us")));
    }
    size_t slash = path.rfind('/');
    if (slash == std::string::npos)
      return limit;
    path.resize(slash);
  }
}

double dsv2::cgroupCpuQuota(const std::string &membership,
                            const std::string &mount) {
  double limit = 0;
  std::istringstream lines(membership);
  // hierarchy:controllers:path
  for (std::string line; std::getline(lines, line);) {
    size_t first = line.find(':');
    size_t second =
        first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/")
      path.clear();
    if (controllers.empty())
      limit = tighter(limit, limitOfGroups(mount, path, true));
    else if (("," + controllers + ",").find(",cpu,") != std::string::npos)
      limit =
          tighter(limit, limitOfGroups(mount + "/" + controllers, path, false));
  }
  return limit;
}

/// How many CPUs of `allowed` on the same core come before `cpu`.
static int siblingRank(int cpu, const std::vector<int> &allowed) {
  int rank = 0;
  for (int sibling : parseCpuList(readFile("/sys/devices/system/cpu/cpu" +
                                           std::to_string(cpu) +
                                           "/topology/thread_siblings_list")))
    if (sibling < cpu &&
        std::binary_search(allowed.begin(), allowed.end(), sibling))
      ++rank;
  return rank;
}

CpuTopology CpuTopology::detect() {
  CpuTopology topology;
  topology.quota =
      cgroupCpuQuota(readFile("/proc/self/cgroup"), "/sys/fs/cgroup");

  cpu_set_t mask;
  if (::sched_getaffinity(0, sizeof(mask), &mask) != 0) {
    // More than 1024 CPUs.
    topology.physicalCores =
        static_cast<int>(std::max(1l, ::sysconf(_SC_NPROCESSORS_ONLN)));
    return topology;
  }
  std::vector<int> allowed;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &mask))
      allowed.push_back(cpu);
  std::vector<std::pair<int, int>> ranked;
  for (int cpu : allowed)
    ranked.emplace_back(siblingRank(cpu, allowed), cpu);
  std::sort(ranked.begin(), ranked.end());
  topology.physicalCores = 0;
  for (auto [rank, cpu] : ranked) {
    topology.cpus.push_back(cpu);
    topology.physicalCores += rank == 0;
  }
  topology.physicalCores = std::max(topology.physicalCores, 1);
  return topology;
}

int CpuTopology::defaultThreads() const {
  if (quota == 0)
    return physicalCores;
  return std::clamp(static_cast<int>(std::ceil(quota)), 1, physicalCores);
}
