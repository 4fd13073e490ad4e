//===- NumaPlacement.cpp - On which nodes memory lies ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/NumaPlacement.h"

#include "runtime/drivers/cpu/CpuTopology.h"

#include <climits>
#include <fstream>

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace dsv2;

namespace {

constexpr size_t wordBits = sizeof(unsigned long) * CHAR_BIT;
constexpr size_t maxNodes = 1024;

/// What the system calls take.
struct Policy {
  int mode = MPOL_DEFAULT;
  unsigned long nodes[maxNodes / wordBits] = {};

  explicit Policy(const NumaPlacement &placement) {
    if (placement.mode != NumaMode::interleave) {
      mode = MPOL_LOCAL; // takes no nodes
      return;
    }
    mode = MPOL_INTERLEAVE;
    for (int node : placement.nodes)
      if (static_cast<size_t>(node) < maxNodes)
        nodes[node / wordBits] |= 1ul << (node % wordBits);
  }
};

} // namespace

std::vector<int> dsv2::numaNodes(const std::string &root) {
  // Nodes may have CPUs only. Old kernels do not say which have memory.
  for (const char *name : {"/has_memory", "/online"}) {
    std::ifstream file(root + name);
    std::string line;
    if (std::getline(file, line))
      return parseCpuList(line);
  }
  return {};
}

void NumaPlacement::apply(void *address, size_t bytes) const {
  if (!matters() || bytes == 0)
    return;
  Policy policy(*this);
  auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto begin = reinterpret_cast<uintptr_t>(address) / page * page;
  auto end = reinterpret_cast<uintptr_t>(address) + bytes;
  (void)::syscall(SYS_mbind, begin, end - begin, policy.mode, policy.nodes,
                  maxNodes, 0);
}

ScopedPlacement::ScopedPlacement(const NumaPlacement &placement) {
  static_assert(maskWords * wordBits == maxNodes);
  if (!placement.matters() || ::syscall(SYS_get_mempolicy, &savedMode,
                                        savedNodes, maxNodes, nullptr, 0) != 0)
    return;
  Policy policy(placement);
  changed =
      ::syscall(SYS_set_mempolicy, policy.mode, policy.nodes, maxNodes) == 0;
}

ScopedPlacement::~ScopedPlacement() {
  if (changed)
    (void)::syscall(SYS_set_mempolicy, savedMode, savedNodes, maxNodes);
}
