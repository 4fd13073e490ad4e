//===- ThreadPoolTest.cpp - Threads and their barrier ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/ThreadPool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include <sched.h>

using namespace dsv2;

static std::unique_ptr<ThreadPool> makePool(int threads, bool pin = true) {
  ThreadPoolOptions options;
  options.threads = threads;
  options.pin = pin;
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(options);
  EXPECT_TRUE(pool.ok()) << pool.status().message();
  return *std::move(pool);
}

TEST(ThreadPoolTest, EveryThreadRunsOnce) {
  for (int threads : {1, 2, 3, 4, 17}) {
    std::unique_ptr<ThreadPool> pool = makePool(threads);
    ASSERT_EQ(pool->size(), threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::vector<int> ran(threads);
      pool->run([&](int thread) { ++ran[thread]; });
      EXPECT_EQ(ran, std::vector<int>(threads, 1));
    }
  }
}

TEST(ThreadPoolTest, TheCallerIsThreadZero) {
  std::unique_ptr<ThreadPool> pool = makePool(2);
  std::thread::id caller = std::this_thread::get_id(), first;
  pool->run([&](int thread) {
    if (thread == 0)
      first = std::this_thread::get_id();
  });
  EXPECT_EQ(first, caller);
}

TEST(ThreadPoolTest, TheCallerKeepsItsAffinity) {
  cpu_set_t before, after;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  std::unique_ptr<ThreadPool> pool = makePool(2);
  pool->run([](int) {});
  ASSERT_EQ(::sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(ThreadPoolTest, BarriersSeparateRounds) {
  for (int threads : {2, 3, 4, 11}) {
    std::unique_ptr<ThreadPool> pool = makePool(threads);
    constexpr int rounds = 300;
    std::vector<int> values(threads);
    std::atomic<int> wrong = 0;
    pool->run([&](int thread) {
      for (int round = 1; round <= rounds; ++round) {
        values[thread] = round;
        pool->barrier().wait(thread);
        // Everybody has written this round, nobody the next.
        for (int value : values)
          wrong += value != round;
        pool->barrier().wait(thread);
      }
    });
    EXPECT_EQ(wrong, 0) << threads;
  }
}

TEST(ThreadPoolTest, WakesSleepers) {
  std::unique_ptr<ThreadPool> pool = makePool(3);
  std::atomic<int> runs = 0;
  for (int repeat = 0; repeat < 10; ++repeat) {
    // Around the time after which threads go to sleep.
    std::this_thread::sleep_for(std::chrono::microseconds(300 * repeat));
    pool->run([&](int) { ++runs; });
  }
  EXPECT_EQ(runs, 30);
}

TEST(ThreadPoolTest, CallersTakeTurns) {
  std::unique_ptr<ThreadPool> pool = makePool(2);
  std::atomic<int> inside = 0, overlaps = 0, runs = 0;
  auto call = [&] {
    for (int repeat = 0; repeat < 100; ++repeat)
      pool->run([&](int thread) {
        if (thread == 0) {
          overlaps += inside++ != 0;
          ++runs;
          --inside;
        }
      });
  };
  std::thread other(call);
  call();
  other.join();
  EXPECT_EQ(overlaps, 0);
  EXPECT_EQ(runs, 200);
}

TEST(ThreadPoolTest, RefusesImpossibleCounts) {
  for (int threads : {-1, ThreadPool::maxThreads + 1}) {
    ThreadPoolOptions options;
    options.threads = threads;
    Status status = ThreadPool::create(options).status();
    EXPECT_EQ(status.code(), StatusCode::invalidArgument);
  }
}
