//===- AvailableMemory.cpp - How much memory a process can get ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/RuntimeTool.h"

#include <algorithm>
#include <fstream>
#include <string>

using namespace dsv2;

/// The number in the first line of a file of the kernel; 0 when it has none.
static uint64_t numberIn(const std::string &path) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : 0;
}

static uint64_t machineMemory() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  uint64_t kibibytes = 0;
  while (file >> key >> kibibytes) {
    if (key == "MemAvailable:")
      return kibibytes << 10;
    std::getline(file, unit);
  }
  return 0;
}

/// What cgroups leave; 0 without a limit. Page cache counts as used there, but
/// the kernel gives it up.
static uint64_t groupMemory() {
  std::ifstream membership("/proc/self/cgroup");
  std::string line;
  while (std::getline(membership, line)) {
    bool version2 = line.rfind("0::", 0) == 0;
    if (!version2 && line.find(":memory:") == std::string::npos)
      continue;
    std::string group = line.substr(line.rfind(':') + 1);
    std::string folder =
        (version2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory") + group;
    uint64_t limit = numberIn(
        folder + (version2 ? "/memory.max" : "/memory.limit_in_bytes"));
    if (limit == 0)
      continue;
    uint64_t used = numberIn(
        folder + (version2 ? "/memory.current" : "/memory.usage_in_bytes"));
    std::ifstream details(folder + "/memory.stat");
    std::string key;
    uint64_t value = 0;
    while (details >> key >> value)
      if (key == "inactive_file" || key == "active_file")
        used -= std::min(used, value);
    return used < limit ? limit - used : 1;
  }
  return 0;
}

uint64_t dsv2::availableMemory() {
  uint64_t machine = machineMemory(), group = groupMemory();
  if (machine == 0 || group == 0)
    return std::max(machine, group);
  return std::min(machine, group);
}
