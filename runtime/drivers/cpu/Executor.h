//===- Executor.h - Runs the programs of a plan -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Everything that does not change from step to step is resolved beforehand:
// kernels and bindings are arrays of addresses, and the dispatches that apply
// to a number of tokens are a list that is kept while that number stays. A step
// walks the list on all threads at once; it allocates nothing and makes no
// system call.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_EXECUTOR_H
#define DSV2_RUNTIME_DRIVERS_CPU_EXECUTOR_H

#include "runtime/drivers/StepRunner.h"
#include "runtime/drivers/cpu/KernelLibrary.h"
#include "runtime/drivers/cpu/ThreadPool.h"
#include "runtime/drivers/cpu/WorkShare.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace dsv2 {

class Artifact;
namespace schema {
struct Binding;
struct Program;
} // namespace schema

/// Memory that bindings refer to. It belongs to the session and stays in place.
struct ExecutorBuffers {
  std::byte *arena = nullptr;
  std::byte *cache = nullptr;
  uint64_t cachePlaneBytes = 0; ///< from one layer's first row to the next's
  std::array<int32_t *, batchFieldCount> batch = {};
  float *logits = nullptr;
};

class Executor final : public StepRunner {
public:
  /// The arguments must outlive the executor; the artifact must have weights.
  Executor(const Artifact &artifact, const KernelLibrary &library,
           ThreadPool &pool, const ExecutorBuffers &buffers);

  /// Runs program `index`. The batch arrays must be filled.
  void run(size_t index, const StepSizes &sizes);
  Status step(size_t index, const StepSizes &sizes) override {
    run(index, sizes);
    return Status();
  }

  Status copyPage(int64_t to, int64_t from) override;

  /// Profiling adds a barrier after each dispatch, so that times do not
  /// overlap.
  void startProfile() override;
  void stopProfile() override { profiling = false; }
  const std::vector<DispatchProfile> &profile(size_t index) const override {
    return programs[index].profile;
  }

private:
  struct Dispatch {
    KernelFunction kernel = nullptr;
    void *const *bindings = nullptr;
    const int32_t *indirect = nullptr; ///< factor of the count, or null
    uint32_t count = 0;
    uint32_t tile = 1;
    uint32_t dim = 0;   ///< index in the sizes {1, T, B, S, R}
    uint32_t index = 0; ///< in the program
    int64_t minTokens = 0;
    int64_t maxTokens = 0;
    bool barrierBefore = false;
  };

  /// A dispatch that applies to the current number of tokens; a cache line.
  struct alignas(cacheLine) Step {
    KernelFunction kernel;
    void *const *bindings;
    const int32_t *indirect;
    uint32_t count, tile, dim, index;
    uint32_t counter; ///< of the shares that hand out its workgroups
    uint16_t use;     ///< of that counter, counted
    bool barrierBefore;
  };

  struct Program {
    std::vector<Dispatch> dispatches;
    std::vector<Step> steps;
    int64_t stepTokens = -1; ///< what `steps` was made for
    uint32_t counters = 0;   ///< that `steps` use
    std::vector<DispatchProfile> profile;
  };

  /// Dispatches that may run at once, each with shares of its own.
  static constexpr uint32_t counterCount = 16;

  void prepareProgram(const schema::Program &source, Program &program);
  void *address(const schema::Binding &binding) const;
  void selectSteps(Program &program, int64_t tokens) const;
  template <bool profiled>
  void runThread(Program &program, const int64_t *sizes, int thread);
  void runWorkgroups(const Step &step, uint64_t workgroups,
                     const int64_t *sizes, int thread);

  const Artifact &artifact;
  const KernelLibrary &library;
  ThreadPool &pool;
  const ExecutorBuffers buffers;
  std::vector<Program> programs;
  std::vector<void *> bindings;        ///< of all dispatches, back to back
  std::unique_ptr<WorkShare[]> shares; ///< by counter, then by thread
  bool profiling = false;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_EXECUTOR_H
