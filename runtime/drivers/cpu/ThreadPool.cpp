//===- ThreadPool.cpp - Threads that run one step together ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/ThreadPool.h"

#include "runtime/drivers/cpu/CpuTopology.h"

#include <chrono>
#include <climits>
#include <system_error>

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace dsv2;

/// Pauses before a waiting thread lets others run: some 0.1 ms when each
/// thread has a CPU of its own, nearly at once when they share.
static constexpr uint32_t patienceAlone = 4096;
static constexpr uint32_t patienceSharing = 32;

static constexpr auto spinBetweenRuns = std::chrono::microseconds(500);

/// Kernels keep up to 640 KiB of scratch on the stack.
static constexpr size_t stackBytes = size_t(8) << 20;

static void futex(std::atomic<uint32_t> &word, int operation, uint32_t value) {
  static_assert(sizeof(word) == sizeof(uint32_t));
  ::syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, nullptr,
            nullptr, 0);
}

static void pinThisThread(int cpu) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(cpu, &mask);
  // Pinning is a help, not a need: the mask may have shrunk since.
  (void)::sched_setaffinity(0, sizeof(mask), &mask);
}

namespace {

/// Pins the caller and gives it its own mask back.
class ScopedPin {
public:
  explicit ScopedPin(const std::vector<int> &cpus) {
    if (cpus.empty() || ::sched_getaffinity(0, sizeof(saved), &saved) != 0)
      return;
    pinned = true;
    pinThisThread(cpus[0]);
  }
  ~ScopedPin() {
    if (pinned)
      (void)::sched_setaffinity(0, sizeof(saved), &saved);
  }

private:
  cpu_set_t saved;
  bool pinned = false;
};

} // namespace

Result<std::unique_ptr<ThreadPool>>
ThreadPool::create(const ThreadPoolOptions &options) {
  if (options.threads < 0 || options.threads > maxThreads)
    return Status(StatusCode::invalidArgument,
                  "thread count is " + std::to_string(options.threads) +
                      ", expected 1 to " + std::to_string(maxThreads) +
                      ", or 0 for one a core");
  CpuTopology topology = CpuTopology::detect();
  int threads = options.threads ? options.threads : topology.defaultThreads();
  threads = std::min(threads, maxThreads);
  int available = topology.cpus.empty()
                      ? topology.physicalCores
                      : static_cast<int>(topology.cpus.size());
  bool sharing =
      threads > available || (topology.quota != 0 && threads > topology.quota);
  std::vector<int> cpus;
  // A lone thread is best placed by the scheduler.
  if (options.pin && threads > 1 &&
      threads <= static_cast<int>(topology.cpus.size()))
    cpus.assign(topology.cpus.begin(), topology.cpus.begin() + threads);
  std::unique_ptr<ThreadPool> pool(new ThreadPool(
      threads, sharing ? patienceSharing : patienceAlone, std::move(cpus)));
  DSV2_RETURN_IF_ERROR(pool->start());
  return pool;
}

ThreadPool::ThreadPool(int threads, uint32_t patience, std::vector<int> cpus)
    : threadCount(threads), patience(patience), cpus(std::move(cpus)),
      meetingPoint(threads, patience) {}

Status ThreadPool::start() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stackBytes);
  // The threads hold pointers into it.
  workers.reserve(threadCount - 1);
  int error = 0;
  for (int index = 1; index < threadCount && error == 0; ++index) {
    Worker &worker = workers.emplace_back(Worker{this, index, {}});
    error = pthread_create(
        &worker.thread, &attributes,
        [](void *argument) -> void * {
          Worker *worker = static_cast<Worker *>(argument);
          worker->pool->work(worker->index);
          return nullptr;
        },
        &worker);
    if (error != 0)
      workers.pop_back();
  }
  pthread_attr_destroy(&attributes);
  if (error == 0)
    return Status();
  return Status(StatusCode::exhausted,
                "cannot start thread " + std::to_string(workers.size() + 2) +
                    " of " + std::to_string(threadCount) + ": " +
                    std::generic_category().message(error));
}

ThreadPool::~ThreadPool() {
  jobEntry = nullptr;
  epoch.fetch_add(1);
  futex(epoch, FUTEX_WAKE, INT_MAX);
  for (Worker &worker : workers)
    pthread_join(worker.thread, nullptr);
}

void ThreadPool::runErased(Entry entry, void *context) {
  std::lock_guard lock(turn);
  if (threadCount == 1)
    return entry(context, 0);
  ScopedPin pin(cpus);
  jobEntry = entry;
  jobContext = context;
  // Sequentially consistent, as in awaitNextRun(): either this sees the
  // sleeper, or the sleeper sees the new epoch.
  epoch.fetch_add(1);
  if (sleepers.load() != 0)
    futex(epoch, FUTEX_WAKE, INT_MAX);
  entry(context, 0);
  meetingPoint.wait(0);
}

void ThreadPool::work(int index) {
  if (!cpus.empty())
    pinThisThread(cpus[index]);
  for (uint32_t seen = 0;; ++seen) {
    awaitNextRun(seen);
    if (!jobEntry)
      return;
    jobEntry(jobContext, index);
    meetingPoint.wait(index);
  }
}

void ThreadPool::awaitNextRun(uint32_t seen) {
  using Clock = std::chrono::steady_clock;
  auto changed = [&] { return epoch.load(std::memory_order_acquire) != seen; };
  constexpr uint32_t triesBetweenLooks = 64;
  Clock::time_point start = Clock::now();
  for (uint32_t tries = 1; !changed(); ++tries) {
    _mm_pause();
    if (tries % triesBetweenLooks == 0 &&
        (tries >= patience * triesBetweenLooks ||
         Clock::now() - start > spinBetweenRuns))
      break;
  }
  if (changed())
    return;
  sleepers.fetch_add(1);
  while (epoch.load() == seen)
    futex(epoch, FUTEX_WAIT, seen);
  sleepers.fetch_sub(1);
}
