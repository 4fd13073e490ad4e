//===- Generator.h - One sequence that grows token by token -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Feeds prompts, samples, and keeps count of tokens and time. A conversation is
// several generations: what is in the cache stays there.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_GENERATOR_H
#define DSV2_TOOLS_RUN_GENERATOR_H

#include "tools/common/RuntimeTool.h"
#include "tools/dsv2-run/NpyWriter.h"
#include "tools/dsv2-run/Options.h"

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace dsv2 {

/// Why a generation ended.
enum class Finish { stop, limit, contextFull, interrupted };

class Generator {
public:
  using Duration = std::chrono::steady_clock::duration;
  /// Tokens fed, as a part of a prompt or one by one, and how long that took.
  struct Work {
    int64_t tokens = 0;
    Duration time = {};
  };

  /// `stopIds` end a generation. The model must outlive the generator.
  static Result<Generator> create(LoadedModel &model, const RunOptions &options,
                                  int64_t samplerVocab,
                                  std::vector<int32_t> stopIds);

  /// Feeds `prompt` and passes each generated token to `take`, the one that
  /// ends it excepted. When it fails, the context is as it was before.
  Result<Finish> generate(std::span<const int32_t> prompt,
                          const std::function<Status(int32_t)> &take);

  /// Forgets everything but the counts.
  Status reset();
  /// Completes the file of --logits-out.
  Status finishLogits();

  /// Whether nothing has been fed since the start or reset().
  bool isEmpty() const { return length == 0; }
  int64_t contextSize() const { return context; }
  const Work &promptWork() const { return prompts; }
  const Work &generationWork() const { return generated; }

private:
  Generator() = default;
  Status evaluate(std::span<const int32_t> tokens);
  Status step(std::span<const int32_t> tokens, bool isLast);
  Result<int32_t> sample();
  bool isStop(int32_t token) const;

  SessionHandle session;
  SamplerHandle sampler;
  std::optional<NpyWriter> logitsFile;
  dsv2_sequence_t sequence = 0;
  std::vector<int32_t> stopIds;
  std::vector<float> maskedLogits; ///< for --ignore-eos
  /// Sampled and shown, but not in the cache yet.
  std::optional<int32_t> pending;
  dsv2_logits_t logits = {}; ///< where they are read
  int64_t lastRow = 0;       ///< of the logits of the last step
  int64_t context = 0, length = 0, chunk = 0, limit = -1;
  bool ignoreEos = false;
  Work prompts, generated;
};

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_GENERATOR_H
