//===- NumaPlacement.h - On which nodes memory lies -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// On a machine of several memory nodes, a step is as fast as the node that most
// is read from. Interleaved pages let all of them work.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_NUMAPLACEMENT_H
#define DSV2_RUNTIME_DRIVERS_CPU_NUMAPLACEMENT_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace dsv2 {

enum class NumaMode : uint8_t {
  inherit,    ///< as the process was started
  interleave, ///< pages in turn on all nodes
  local       ///< each page on the node of the thread that first writes it
};

/// The nodes with memory, ascending, by the files below `root`; none when the
/// operating system does not say.
std::vector<int>
numaNodes(const std::string &root = "/sys/devices/system/node");

struct NumaPlacement {
  NumaMode mode = NumaMode::inherit;
  std::vector<int> nodes;

  static NumaPlacement detect(NumaMode mode) { return {mode, numaNodes()}; }

  /// Whether there is anything to choose.
  bool matters() const { return mode != NumaMode::inherit && nodes.size() > 1; }

  /// For pages of [address, address + bytes) that are not yet there. A hint:
  /// where the operating system refuses, it places them itself.
  void apply(void *address, size_t bytes) const;
};

/// Has the calling thread's new pages, those of files among them, placed like
/// this, for as long as the object lives.
class ScopedPlacement {
public:
  explicit ScopedPlacement(const NumaPlacement &placement);
  ~ScopedPlacement();
  ScopedPlacement(const ScopedPlacement &) = delete;
  ScopedPlacement &operator=(const ScopedPlacement &) = delete;

private:
  static constexpr size_t maskWords = 16; ///< 1024 nodes, all that Linux knows
  bool changed = false;
  int savedMode = 0;
  unsigned long savedNodes[maskWords] = {};
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_NUMAPLACEMENT_H
