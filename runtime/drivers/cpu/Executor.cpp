//===- Executor.cpp - Runs the programs of a plan -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/Executor.h"

#include "runtime/artifact/Artifact.h"

#include <algorithm>
#include <chrono>
#include <cstring>

using namespace dsv2;

static_assert(batchFieldCount == size_t(schema::BatchField::MAX) + 1);

Executor::Executor(const Artifact &artifact, const KernelLibrary &library,
                   ThreadPool &pool, const ExecutorBuffers &buffers)
    : artifact(artifact), library(library), pool(pool), buffers(buffers),
      shares(std::make_unique<WorkShare[]>(counterCount * pool.size())) {
  const auto &sources = *artifact.metadata().plan()->programs();
  size_t bindingCount = 0;
  for (const schema::Program *source : sources)
    for (const schema::Dispatch *dispatch : *source->dispatches())
      bindingCount += dispatch->bindings()->size();
  // Dispatches point into it.
  bindings.reserve(bindingCount);
  programs.resize(sources.size());
  for (size_t index = 0; index < programs.size(); ++index)
    prepareProgram(*sources[index], programs[index]);
}

void *Executor::address(const schema::Binding &binding) const {
  // Kernels write only where the plan says; weights and constants are const to
  // them, but share the parameter type.
  auto readOnly = [](const void *pointer) {
    return const_cast<void *>(pointer);
  };
  switch (binding.kind()) {
  case schema::BindingKind::arena:
    return buffers.arena + binding.value();
  case schema::BindingKind::weight:
    return readOnly(artifact.weight(binding.index()).data() + binding.value());
  case schema::BindingKind::cache:
    return buffers.cache + binding.index() * buffers.cachePlaneBytes;
  case schema::BindingKind::batch:
    return buffers.batch[binding.index()];
  case schema::BindingKind::constant:
    return readOnly(artifact.metadata().plan()->constants()->data() +
                    binding.value());
  case schema::BindingKind::logits:
    return buffers.logits;
  }
  return nullptr;
}

void Executor::prepareProgram(const schema::Program &source, Program &program) {
  for (const schema::Dispatch *from : *source.dispatches()) {
    const schema::Workgroups &workgroups = *from->workgroups();
    Dispatch dispatch;
    dispatch.kernel = library.kernels()[from->kernel()];
    dispatch.bindings = bindings.data() + bindings.size();
    for (const schema::Binding *binding : *from->bindings())
      bindings.push_back(address(*binding));
    if (workgroups.indirect() >= 0)
      dispatch.indirect = reinterpret_cast<const int32_t *>(
          buffers.arena + workgroups.indirect());
    dispatch.count = static_cast<uint32_t>(workgroups.count());
    dispatch.tile = static_cast<uint32_t>(workgroups.tile());
    dispatch.dim = static_cast<uint32_t>(workgroups.dim());
    dispatch.index = static_cast<uint32_t>(program.dispatches.size());
    dispatch.minTokens = from->min_tokens();
    dispatch.maxTokens = from->max_tokens();
    dispatch.barrierBefore = from->barrier_before();
    program.dispatches.push_back(dispatch);
  }
  program.steps.reserve(program.dispatches.size());
}

/// A barrier of a dispatch that does not apply holds for what comes next, for
/// that may rely on it.
void Executor::selectSteps(Program &program, int64_t tokens) const {
  program.steps.clear();
  program.stepTokens = tokens;
  bool pending = false;
  uint32_t counter = 0;
  uint16_t uses[counterCount] = {};
  for (const Dispatch &dispatch : program.dispatches) {
    if (tokens < dispatch.minTokens || tokens > dispatch.maxTokens) {
      pending |= dispatch.barrierBefore;
      continue;
    }
    // A counter serves one dispatch between two barriers.
    bool barrier = dispatch.barrierBefore || pending || counter == counterCount;
    if (barrier)
      counter = 0;
    // Nothing is under way before the first.
    barrier &= !program.steps.empty();
    // Consecutive uses of a share have different numbers, none of them 0.
    uses[counter] = static_cast<uint16_t>(uses[counter] % 65535 + 1);
    program.steps.push_back(Step{dispatch.kernel, dispatch.bindings,
                                 dispatch.indirect, dispatch.count,
                                 dispatch.tile, dispatch.dim, dispatch.index,
                                 counter, uses[counter], barrier});
    program.counters = std::max(program.counters, ++counter);
    pending = false;
  }
}

void Executor::run(size_t index, const StepSizes &sizes) {
  Program &program = programs[index];
  if (program.stepTokens != sizes.tokens)
    selectSteps(program, sizes.tokens);
  // Indexed by schema::Dim; kernels see all but the first.
  const int64_t dims[] = {1, sizes.tokens, sizes.sequences, sizes.context,
                          sizes.logitRows};
  std::for_each_n(shares.get(), program.counters * pool.size(),
                  [](WorkShare &share) { share.reset(); });
  if (profiling)
    pool.run([&](int thread) { runThread<true>(program, dims, thread); });
  else
    pool.run([&](int thread) { runThread<false>(program, dims, thread); });
}

template <bool profiled>
void Executor::runThread(Program &program, const int64_t *sizes, int thread) {
  using Clock = std::chrono::steady_clock;
  SpinBarrier &barrier = pool.barrier();
  const bool together = pool.size() > 1;
  Clock::time_point start;
  if (profiled)
    start = Clock::now();
  for (const Step &step : program.steps) {
    if (!profiled && step.barrierBefore && together)
      barrier.wait(thread);
    uint32_t size = static_cast<uint32_t>(sizes[step.dim]);
    uint64_t workgroups =
        uint64_t(step.count) * ((size + (step.tile - 1)) / step.tile);
    if (step.indirect)
      workgroups *= static_cast<uint32_t>(std::max(0, *step.indirect));
    runWorkgroups(step, workgroups, sizes + 1, thread);
    if (!profiled)
      continue;
    if (together)
      barrier.wait(thread);
    if (thread != 0)
      continue;
    Clock::time_point end = Clock::now();
    DispatchProfile &entry = program.profile[step.index];
    ++entry.runs;
    entry.workgroups += workgroups;
    entry.nanoseconds +=
        std::chrono::duration_cast<std::chrono::nanoseconds>(end - start)
            .count();
    start = end;
  }
}

void Executor::runWorkgroups(const Step &step, uint64_t workgroups,
                             const int64_t *sizes, int thread) {
  auto run = [&](uint64_t workgroup) {
    step.kernel(step.bindings, sizes, static_cast<int64_t>(workgroup));
  };
  int threads = pool.size();
  if (threads == 1) {
    for (uint64_t workgroup = 0; workgroup < workgroups; ++workgroup)
      run(workgroup);
    return;
  }
  if (workgroups != 0)
    shareWork({shares.get() + step.counter * threads, threads, step.use},
              thread, workgroups, run);
}

Status Executor::copyPage(int64_t to, int64_t from) {
  const schema::CacheLayout &layout = *artifact.metadata().cache();
  const uint64_t bytes = uint64_t(layout.page_size()) * layout.row_bytes();
  for (uint32_t layer = 0; layer < layout.layers(); ++layer) {
    std::byte *plane = buffers.cache + layer * buffers.cachePlaneBytes;
    std::memcpy(plane + to * bytes, plane + from * bytes, bytes);
  }
  return Status();
}

void Executor::startProfile() {
  for (Program &program : programs)
    program.profile.assign(program.dispatches.size(), DispatchProfile());
  profiling = true;
}
