//===- WorkShareTest.cpp - How threads share the items of some work -------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/WorkShare.h"

#include "gtest/gtest.h"

#include <memory>
#include <thread>
#include <vector>

using namespace dsv2;

namespace {

TEST(WorkShareTest, OneThreadDoesTheWorkOfAll) {
  auto shares = std::make_unique<WorkShare[]>(3);
  std::vector<uint64_t> order;
  shareWork({shares.get(), 3, 1}, 1, 9,
            [&](uint64_t item) { order.push_back(item); });
  // Its own part as a stream, then halves of what others have left.
  EXPECT_EQ(order, (std::vector<uint64_t>{3, 4, 5, 7, 8, 6, 1, 2, 0}));
  // The others find nothing.
  for (int thread : {0, 2})
    shareWork({shares.get(), 3, 1}, thread, 9,
              [&](uint64_t) { ADD_FAILURE(); });
}

TEST(WorkShareTest, UsesFollowEachOther) {
  auto shares = std::make_unique<WorkShare[]>(2);
  for (uint16_t use : {1, 2, 3})
    for (uint64_t items : {0u, 1u, 2u, 5u}) {
      shares[0].reset();
      shares[1].reset();
      uint64_t count = 0;
      for (int thread : {1, 0})
        shareWork({shares.get(), 2, use}, thread, items,
                  [&](uint64_t) { ++count; });
      EXPECT_EQ(count, items);
    }
}

TEST(WorkShareTest, MoreItemsThanAWordCounts) {
  auto shares = std::make_unique<WorkShare[]>(2);
  uint64_t items = 2 * WorkShare::maxItems + 5, count = 0, sum = 0;
  for (int thread : {0, 1})
    shareWork({shares.get(), 2, 1}, thread, items, [&](uint64_t item) {
      ++count;
      sum += item;
    });
  EXPECT_EQ(count, items);
  EXPECT_EQ(sum, items * (items - 1) / 2);
}

TEST(WorkShareTest, EveryItemOnceUnderStress) {
  for (int threads : {2, 3, 12})
    for (uint64_t items : {1u, 7u, 64u, 1000u}) {
      constexpr uint16_t uses = 200;
      auto shares = std::make_unique<WorkShare[]>(threads);
      std::vector<std::atomic<int>> runs(items * uses);
      SpinBarrier barrier(threads, 32);
      std::vector<std::thread> pool;
      for (int thread = 0; thread < threads; ++thread)
        pool.emplace_back([&, thread] {
          for (uint16_t use = 0; use < uses; ++use) {
            shareWork({shares.get(), threads, uint16_t(use + 1)}, thread, items,
                      [&](uint64_t item) { ++runs[use * items + item]; });
            barrier.wait(thread);
          }
        });
      for (std::thread &thread : pool)
        thread.join();
      for (std::atomic<int> &count : runs)
        ASSERT_EQ(count, 1);
    }
}

} // namespace
