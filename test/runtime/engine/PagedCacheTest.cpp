//===- PagedCacheTest.cpp - Pages of sequences ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/PagedCache.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

using namespace dsv2;

TEST(PagedCacheTest, GrowsAndShrinksByPages) {
  PagedCache cache(10, 4, 32);
  SequenceId id = cache.create();
  EXPECT_EQ(cache.freePages(), 10);
  EXPECT_EQ(cache.pagesNeeded(*cache.find(id), 0), 0);
  EXPECT_EQ(cache.pagesNeeded(*cache.find(id), 4), 1);
  cache.grow(*cache.find(id), 4);
  EXPECT_EQ(cache.pagesNeeded(*cache.find(id), 1), 1);
  cache.grow(*cache.find(id), 1);
  EXPECT_EQ(*cache.length(id), 5);
  EXPECT_EQ(cache.freePages(), 8);
  EXPECT_TRUE(cache.truncate(id, 5).ok());
  EXPECT_EQ(cache.freePages(), 8);
  EXPECT_TRUE(cache.truncate(id, 4).ok());
  EXPECT_EQ(cache.freePages(), 9);
  EXPECT_FALSE(cache.truncate(id, 5).ok());
  EXPECT_FALSE(cache.truncate(id, -1).ok());
  EXPECT_TRUE(cache.truncate(id, 0).ok());
  EXPECT_EQ(cache.freePages(), 10);
}

TEST(PagedCacheTest, ReleasedSequencesAreGone) {
  PagedCache cache(4, 4, 16);
  SequenceId first = cache.create();
  cache.grow(*cache.find(first), 7);
  EXPECT_TRUE(cache.release(first).ok());
  EXPECT_EQ(cache.freePages(), 4);
  EXPECT_EQ(cache.find(first), nullptr);
  EXPECT_FALSE(cache.release(first).ok());
  EXPECT_FALSE(cache.truncate(first, 0).ok());
  EXPECT_FALSE(cache.length(first).ok());
  // The slot is used again, the number is not.
  SequenceId second = cache.create();
  EXPECT_NE(second, first);
  EXPECT_EQ(*cache.length(second), 0);
  EXPECT_EQ(cache.find(-1), nullptr);
  EXPECT_EQ(cache.find(second + 1), nullptr);
}

TEST(PagedCacheTest, NoPageHasTwoOwners) {
  unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  PagedCache cache(50, 3, 1000);
  std::vector<SequenceId> ids;
  for (int i = 0; i < 6; ++i)
    ids.push_back(cache.create());
  for (int step = 0; step < 2000; ++step) {
    SequenceId &id = ids[random() % ids.size()];
    PagedCache::Sequence &sequence = *cache.find(id);
    int64_t tokens = random() % 12;
    switch (random() % 8) {
    case 0:
      ASSERT_TRUE(cache.release(id).ok());
      id = cache.create();
      break;
    case 1:
      ASSERT_TRUE(cache.truncate(id, random() % (sequence.length + 1)).ok());
      break;
    default:
      if (cache.pagesNeeded(sequence, tokens) <= cache.freePages())
        cache.grow(sequence, tokens);
    }
    std::set<int32_t> owned;
    size_t count = 0;
    for (SequenceId each : ids) {
      const PagedCache::Sequence &owner = *cache.find(each);
      ASSERT_EQ(static_cast<int64_t>(owner.pages.size()),
                (owner.length + 2) / 3);
      owned.insert(owner.pages.begin(), owner.pages.end());
      count += owner.pages.size();
    }
    ASSERT_EQ(owned.size(), count);
    ASSERT_EQ(cache.freePages() + static_cast<int64_t>(count), 50);
  }
}
