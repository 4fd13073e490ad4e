//===- WorkShare.h - How threads share the items of some work ---*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Each thread starts with one contiguous part of the items and takes them one
// by one, so that it reads weights as one stream: a jump to another place costs
// as much as some 50 KB of the stream. It is the same part in every step, whose
// pages its core then knows. A thread that has finished takes half of what
// another one has left, so that all finish together, whatever the speed of
// each.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_WORKSHARE_H
#define DSV2_RUNTIME_DRIVERS_CPU_WORKSHARE_H

#include "runtime/drivers/cpu/SpinBarrier.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace dsv2 {

/// What is left of the part of one thread.
class alignas(cacheLine) WorkShare {
public:
  /// Work for which the shares are used. Consecutive uses differ.
  struct Use {
    WorkShare *shares; ///< one for each thread
    int threads;
    uint16_t number; ///< not 0
  };
  struct Range {
    uint64_t first, last;
  };

  static constexpr uint64_t maxItems = (uint64_t(1) << 24) - 2;

  /// Forgets all uses. No thread may be at work.
  void reset() { word.store(0, std::memory_order_relaxed); }

  /// Gives the share its part of `items`, unless somebody has for this use.
  void begin(const Use &use, int thread, uint64_t items) {
    uint64_t before = word.load(std::memory_order_relaxed);
    if (numberOf(before) == use.number)
      return;
    auto part = static_cast<uint64_t>(thread);
    auto parts = static_cast<uint64_t>(use.threads);
    Range range = {items * part / parts, items * (part + 1) / parts};
    word.compare_exchange_strong(before, pack(use.number, range),
                                 std::memory_order_relaxed);
  }

  /// Whether there is another item; by the owner only.
  bool take(uint64_t &item) {
    Range range = rangeOf(word.fetch_add(1, std::memory_order_relaxed));
    item = range.first;
    return range.first < range.last;
  }

  /// Takes the second half of what is left, if anything is.
  bool steal(Range &stolen) {
    uint64_t before = word.load(std::memory_order_relaxed);
    for (;;) {
      Range range = rangeOf(before);
      if (range.first >= range.last)
        return false;
      uint64_t kept = (range.last - range.first) / 2;
      stolen = {range.first + kept, range.last};
      if (word.compare_exchange_weak(
              before, pack(numberOf(before), {range.first, stolen.first}),
              std::memory_order_relaxed))
        return true;
    }
  }

  /// Continues with a stolen range; by the owner, when take() found nothing.
  void refill(const Use &use, Range range) {
    word.store(pack(use.number, range), std::memory_order_relaxed);
  }

private:
  // The number of the use, the end and the beginning of the range: one word, so
  // that each operation sees all of them. take() may count the beginning up to
  // one beyond the end.
  static constexpr int bits = 24;
  static constexpr uint64_t mask = (uint64_t(1) << bits) - 1;

  static uint64_t pack(uint64_t number, Range range) {
    return number << (2 * bits) | range.last << bits | range.first;
  }
  static uint64_t numberOf(uint64_t word) { return word >> (2 * bits); }
  static Range rangeOf(uint64_t word) {
    return {word & mask, word >> bits & mask};
  }

  std::atomic<uint64_t> word = 0;
};

/// Calls run(item) for each of [0, items), on all threads of the use together.
/// A thread returns when it finds nothing more to do; others may still be at
/// work on their last items.
template <typename Function>
void shareWork(const WorkShare::Use &use, int thread, uint64_t items,
               Function &&run) {
  // A thread looks at some others only: with many threads, looking at all would
  // cost more than the work of one.
  constexpr int mostVictims = 8;
  uint64_t unit = items / WorkShare::maxItems + 1;
  uint64_t units = (items + unit - 1) / unit;
  WorkShare &own = use.shares[thread];
  own.begin(use, thread, units);
  for (;;) {
    for (uint64_t at; own.take(at);)
      for (uint64_t item = at * unit; item < std::min((at + 1) * unit, items);
           ++item)
        run(item);
    WorkShare::Range stolen;
    bool found = false;
    for (int i = 1; i <= std::min(mostVictims, use.threads - 1) && !found;
         ++i) {
      int victim = (thread + i) % use.threads;
      use.shares[victim].begin(use, victim, units);
      found = use.shares[victim].steal(stolen);
    }
    if (!found)
      return;
    own.refill(use, stolen);
  }
}

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_WORKSHARE_H
