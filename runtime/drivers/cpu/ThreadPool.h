//===- ThreadPool.h - Threads that run one step together --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A fixed set of pinned threads, of which the caller is the first. All of them
// run the same function (SPMD) and meet at a spin barrier. Between runs they
// spin for half a millisecond, which covers the gap between two tokens, and
// then sleep.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_THREADPOOL_H
#define DSV2_RUNTIME_DRIVERS_CPU_THREADPOOL_H

#include "runtime/base/Status.h"
#include "runtime/drivers/cpu/SpinBarrier.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include <pthread.h>

namespace dsv2 {

struct ThreadPoolOptions {
  int threads = 0; ///< 0: CpuTopology::defaultThreads()
  bool pin = true;
};

class ThreadPool {
public:
  static constexpr int maxThreads = 1024;

  static Result<std::unique_ptr<ThreadPool>>
  create(const ThreadPoolOptions &options);

  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;
  ~ThreadPool();

  int size() const { return threadCount; }

  /// Calls function(thread) on every thread, the caller as thread 0, and
  /// returns when all are done. Calls from several threads take turns.
  /// `function` must not throw nor call run().
  template <typename Function>
  void run(Function &&function) {
    using Callable = std::remove_reference_t<Function>;
    runErased([](void *context,
                 int thread) { (*static_cast<Callable *>(context))(thread); },
              const_cast<void *>(static_cast<const void *>(&function)));
  }

  /// For use inside run().
  SpinBarrier &barrier() { return meetingPoint; }

private:
  using Entry = void (*)(void *context, int thread);
  struct Worker {
    ThreadPool *pool;
    int index;
    pthread_t thread;
  };

  ThreadPool(int threads, uint32_t patience, std::vector<int> cpus);
  Status start();
  void runErased(Entry entry, void *context);
  void work(int index);
  void awaitNextRun(uint32_t seen);

  const int threadCount;
  const uint32_t patience;
  const std::vector<int> cpus; ///< of each thread; empty when not pinned
  SpinBarrier meetingPoint;
  std::vector<Worker> workers;
  std::mutex turn;

  Entry jobEntry = nullptr; ///< null: stop
  void *jobContext = nullptr;
  alignas(cacheLine) std::atomic<uint32_t> epoch = 0; ///< counts the runs
  alignas(cacheLine) std::atomic<uint32_t> sleepers = 0;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_THREADPOOL_H
