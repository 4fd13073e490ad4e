//===- Sampler.h - Choosing a token from logits -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ENGINE_SAMPLER_H
#define DSV2_RUNTIME_ENGINE_SAMPLER_H

#include "runtime/base/LogitCandidate.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace dsv2 {

/// Applied in this order: repeat penalty, top-k, top-p, min-p, temperature.
struct SamplerOptions {
  float temperature = 0.8f;   ///< <= 0: the most likely token, always
  int32_t topK = 40;          ///< <= 0: all
  float topP = 0.95f;         ///< >= 1: all
  float minP = 0.05f;         ///< of the largest probability; <= 0: all
  float repeatPenalty = 1.0f; ///< 1: none
  int32_t repeatWindow = 64;  ///< tokens looked back on; 0: none, -1: all
  uint64_t seed = 0;
  int64_t vocab = 0; ///< ids from here on are never chosen; 0: no limit
};

/// The same options, logits and calls give the same tokens. Among equal logits
/// the lowest id comes first. NaN is never chosen.
class Sampler {
public:
  static Result<Sampler> create(const SamplerOptions &options);

  /// Chooses from a row of logits and accepts the choice.
  Result<int32_t> sample(std::span<const float> logits);

  /// The same choice from the best of `vocab` logits, in order, all others
  /// being worse. Nothing where it may depend on others, and nothing has
  /// changed then: when all tokens may be chosen, or too few are listed.
  std::optional<int32_t> sampleBest(std::span<const LogitCandidate> best,
                                    int64_t vocab);

  /// Tells the repeat penalty of a token that was not sampled.
  void accept(int32_t token);

  /// Forgets all tokens and starts the random numbers again.
  void reset();

  const SamplerOptions &options() const { return settings; }

private:
  using Candidate = LogitCandidate;

  explicit Sampler(const SamplerOptions &options) : settings(options) {}

  std::span<const float> penalize(std::span<const float> logits);
  float lowered(float logit) const;
  void takeAll(std::span<const float> logits);
  void takeTopK(std::span<const float> logits, size_t keep);
  void keepTopP();
  void keepMinP();
  int32_t draw();
  double nextUniform();
  static bool better(const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }

  SamplerOptions settings;
  uint64_t draws = 0;
  std::vector<int32_t> recent; ///< a ring when the window has a size
  size_t oldest = 0;
  std::vector<float> penalized;
  std::vector<Candidate> candidates;
  float largest = 0; ///< logit of the best candidate
  size_t sorted = 0; ///< candidates in their final order
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ENGINE_SAMPLER_H
