//===- ClaimsTest.cpp - How threads share the workgroups ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/Claims.h"

#include "gtest/gtest.h"

using namespace dsv2;

namespace {

/// Threads that each see some of the claims agree on all of them.
TEST(ClaimsTest, CoverTheWorkgroupsOnce) {
  for (bool readsWeights : {false, true})
    for (uint64_t threads : {2u, 3u, 16u, 128u})
      for (uint64_t workgroups : {1u, 2u, 5u, 31u, 57u, 264u, 5000u}) {
        Claims all(workgroups, threads, readsWeights);
        Claims odd(workgroups, threads, readsWeights);
        uint64_t covered = 0;
        uint32_t claim = 0;
        for (;; ++claim) {
          Claims::Range range = all.take(claim);
          if (claim % 2) {
            Claims::Range same = odd.take(claim);
            EXPECT_EQ(same.first, range.first);
            EXPECT_EQ(same.last, range.last);
          }
          if (range.first == range.last)
            break;
          EXPECT_EQ(range.first, covered);
          covered = range.last;
        }
        EXPECT_EQ(covered, workgroups);
        EXPECT_EQ(all.count(), claim);
        Claims::Range beyond = odd.take(claim + 2 * threads);
        EXPECT_EQ(beyond.first, beyond.last);
        EXPECT_EQ(odd.count(), claim);
      }
}

TEST(ClaimsTest, StartLongAndEndShort) {
  Claims claims(256, 2, /*readsWeights=*/true);
  EXPECT_EQ(claims.take(0).last, 64u);
  EXPECT_EQ(claims.take(1).last, 128u);
  EXPECT_EQ(claims.take(2).last, 160u);
  Claims::Range range{0, 0}, last{0, 0};
  for (uint32_t claim = 3; (range = claims.take(claim)).first != range.last;
       ++claim)
    last = range;
  EXPECT_EQ(last.last - last.first, 1u);
}

} // namespace
