//===- Claims.h - How threads share the workgroups ---------------*- C++
//-*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The workgroups of a dispatch are handed out in rounds of one claim for each
// thread, where a round takes a part of what is left. The first claims are
// long, so that threads read long streams; the last ones are of one workgroup,
// so that threads finish together, whatever the speed of each. Which workgroups
// a claim is for follows from its number: one atomic counter shares them out.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_CLAIMS_H
#define DSV2_RUNTIME_DRIVERS_CPU_CLAIMS_H

#include <algorithm>
#include <cstdint>

namespace dsv2 {

class Claims {
public:
  struct Range {
    uint64_t first, last;
  };

  /// Workgroups that read weights are alike, and a round takes half of them.
  /// Others may differ, as those of attention do, and it takes an eighth.
  Claims(uint64_t workgroups, uint64_t threads, bool readsWeights)
      : workgroups(workgroups), threads(threads),
        parts(threads * (readsWeights ? 2 : 8)) {}

  /// The workgroups of claim number `claim`, which grows from call to call;
  /// none when there are not so many claims.
  Range take(uint32_t claim) {
    while (claim - roundClaim >= threads && left() >= threads) {
      first += threads * size();
      roundClaim += static_cast<uint32_t>(threads);
    }
    uint64_t begin =
        std::min(first + (claim - roundClaim) * size(), workgroups);
    return {begin, std::min(begin + size(), workgroups)};
  }

  /// How many claims there are. Only after take() returned none.
  uint32_t count() const { return roundClaim + static_cast<uint32_t>(left()); }

private:
  uint64_t left() const { return workgroups - first; }
  uint64_t size() const { return std::max<uint64_t>(1, left() / parts); }

  const uint64_t workgroups, threads, parts;
  uint64_t first = 0;      ///< workgroup of this round
  uint32_t roundClaim = 0; ///< first claim of this round
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_CLAIMS_H
