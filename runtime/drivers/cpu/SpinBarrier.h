//===- SpinBarrier.h - Where the threads of a step meet ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A decode step meets some 300 times, so meeting must cost far less than a
// microsecond: threads spin. Arrivals are counted in groups of neighbors, which
// share a cache, and then among groups, so that no line is fought over by more
// than a few threads.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_SPINBARRIER_H
#define DSV2_RUNTIME_DRIVERS_CPU_SPINBARRIER_H

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include <immintrin.h>
#include <sched.h>

namespace dsv2 {

inline constexpr int cacheLine = 64;

/// Waits for `done()`, giving the CPU away once in a while when that takes
/// longer than `patience` tries: the thread waited for may need it.
template <typename Predicate>
inline void spinUntil(Predicate done, uint32_t patience) {
  constexpr uint32_t triesBetweenYields = 64;
  for (uint32_t tries = 0; !done(); ++tries) {
    if (tries >= patience) {
      ::sched_yield();
      tries -= std::min(patience, triesBetweenYields);
    }
    _mm_pause();
  }
}

class SpinBarrier {
public:
  SpinBarrier(int threads, uint32_t patience)
      : groupCount((threads + groupSize - 1) / groupSize), patience(patience),
        groups(std::make_unique<Group[]>(groupCount)) {
    for (int group = 0; group < groupCount; ++group)
      groups[group].members = std::min(groupSize, threads - group * groupSize);
  }

  /// Returns once every thread has called it; what they wrote is then visible.
  void wait(int thread) {
    // It cannot change before this thread arrives.
    uint32_t current = generation.load(std::memory_order_relaxed);
    Group &group = groups[thread / groupSize];
    if (group.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 ==
        group.members) {
      group.arrived.store(0, std::memory_order_relaxed);
      if (groupCount == 1 ||
          groupsArrived.fetch_add(1, std::memory_order_acq_rel) + 1 ==
              static_cast<uint32_t>(groupCount)) {
        groupsArrived.store(0, std::memory_order_relaxed);
        generation.store(current + 1, std::memory_order_release);
        return;
      }
    }
    spinUntil(
        [&] { return generation.load(std::memory_order_acquire) != current; },
        patience);
  }

private:
  static constexpr int groupSize = 8;

  struct alignas(cacheLine) Group {
    std::atomic<uint32_t> arrived = 0;
    uint32_t members = 0;
  };

  const int groupCount;
  const uint32_t patience;
  const std::unique_ptr<Group[]> groups;
  alignas(cacheLine) std::atomic<uint32_t> groupsArrived = 0;
  alignas(cacheLine) std::atomic<uint32_t> generation = 0;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_SPINBARRIER_H
