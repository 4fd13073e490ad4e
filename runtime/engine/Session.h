//===- Session.h - Sequences, their cache, and steps ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The memory of a running model and the one operation on it: a step, which
// appends tokens to some sequences and computes logits.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ENGINE_SESSION_H
#define DSV2_RUNTIME_ENGINE_SESSION_H

#include "runtime/drivers/cpu/Executor.h"
#include "runtime/drivers/cpu/LargeBuffer.h"
#include "runtime/engine/BatchBuilder.h"
#include "runtime/engine/Model.h"
#include "runtime/engine/PagedCache.h"
#include "runtime/engine/Sampler.h"

#include <memory>
#include <span>
#include <vector>

namespace dsv2 {

struct SessionOptions {
  /// Tokens that the cache holds, rounded up to pages; 0: the largest batch of
  /// the longest sequences. Memory is taken when it is first used.
  int64_t contextRows = 0;
};

/// rows x vocab, row-major; valid until the next step.
struct Logits {
  const float *data = nullptr;
  int64_t rows = 0;
  int64_t vocab = 0;

  std::span<const float> row(int64_t index) const {
    return {data + index * vocab, static_cast<size_t>(vocab)};
  }
};

class Session {
public:
  static Result<std::unique_ptr<Session>>
  create(std::shared_ptr<const Model> model,
         const SessionOptions &options = {});

  /// Sequences are created and released here.
  PagedCache &cache() { return pages; }
  const PagedCache &cache() const { return pages; }
  const Model &model() const { return *owner; }
  StepRunner &runner() { return *engine; }
  const StepRunner &runner() const { return *engine; }

  /// Runs one batch. When it fails, nothing has changed. With `leavesLogits`,
  /// logits are not copied from a device, and only sample() may read them.
  Result<Logits> step(std::span<const SequenceInput> inputs,
                      bool leavesLogits = false);

  /// Chooses a token from row `row` of the logits of the last step.
  Result<int32_t> sample(Sampler &sampler, int64_t row);

  /// Appends tokens of any number in steps of at most `chunk` (0: as many as a
  /// step can take) and gives the logits of the last. When it fails, nothing
  /// has changed.
  Result<Logits> evaluate(SequenceId sequence, std::span<const int32_t> tokens,
                          int64_t chunk = 0, bool leavesLogits = false);

  /// Lengthens a sequence by `count` pages of tokens, copies of its own pages
  /// in turn. Nothing that such a context leads to means anything: it is for
  /// measuring steps that follow a long one, without computing it. The sequence
  /// must end with a page.
  Status repeatPages(SequenceId sequence, int64_t count);

private:
  struct Memory {
    LargeBuffer arena, cache, logits;
    BatchBuilder batch;
    int64_t pages = 0;
    ExecutorBuffers buffers() const;
    uint64_t cachePlaneBytes = 0;
  };
  /// What the engine needs to know of a program before running it.
  struct Phase {
    int64_t maxQueryTokens = 0;
    bool needContext = false;
  };

  Session(std::shared_ptr<const Model> model, Memory memory,
          std::unique_ptr<StepRunner> engine);
  static Result<Memory> allocate(const Model &model,
                                 const SessionOptions &options);
  static Result<std::unique_ptr<StepRunner>> makeRunner(const Model &model,
                                                        const Memory &memory);

  Status check(std::span<const SequenceInput> inputs);
  Status checkTokens(SequenceId sequence, std::span<const int32_t> tokens,
                     int64_t length) const;
  Status checkPages(int64_t needed) const;

  std::shared_ptr<const Model> owner;
  Memory memory;
  PagedCache pages;
  std::unique_ptr<StepRunner> engine;
  std::vector<Phase> phases;
  int64_t maxQueryTokens;
  int64_t steps = 0;
  Logits last;         ///< of the last step
  bool isLeft = false; ///< these are where they were computed
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ENGINE_SESSION_H
