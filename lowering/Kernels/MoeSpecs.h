//===- MoeSpecs.h - What kernels of routing compute -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The same on every target. Each (token, choice) pair of the router is a slot.
// Slots are sorted by expert so that an expert computes consecutive rows, and
// their results are summed back per token.
//
// `tokens` is the most tokens of a step; emitters whose code does not depend on
// it do not read it.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_KERNELS_MOESPECS_H
#define DSV2_LOWERING_KERNELS_MOESPECS_H

#include <cstdint>

namespace mlir::dsv2 {

/// Per token, all in float32:
///   score  = softmax(logits) or sigmoid(logits)
///   choice = score + bias (or score)
/// Of `groups` equal ranges of experts the `topGroups` best are kept, ranked by
/// their largest choice or by the sum of their two largest; of the experts of
/// those the `topK` with the largest choice. Of equals the lowest index wins.
/// Experts are listed by descending choice (equals by index), and
///   weight = score [/ (sum of the chosen scores + normEpsilon)] * scale.
/// NaN is never preferred; experts are always in range. The `shared` experts
/// from E on follow those of each token, with a weight of 1.
/// Bindings: logits f32 [T][E], bias f32 [E] if any, weights f32
/// [T][topK + shared], experts i32 [T][topK + shared].
struct RouteSpec {
  enum class Scoring { softmax, sigmoid };
  enum class GroupScore { max, topTwoSum };

  int64_t tokens = 0;
  int64_t experts = 0;
  int64_t topK = 0;
  int64_t shared = 0;
  int64_t groups = 1;
  int64_t topGroups = 1;
  Scoring scoring = Scoring::softmax;
  GroupScore groupScore = GroupScore::max;
  bool bias = false; ///< for the choice only
  bool normalize = false;
  float normEpsilon = 1e-20f;
  float scale = 1.0f;

  int64_t slotsPerToken() const { return topK + shared; }
};

/// Sorts the slots by expert, then by token (then by choice). Bindings, all
/// i32: experts [T][topK], offsets [E+1] (slots of expert e are [offsets[e],
/// offsets[e+1])), active [E] (experts with slots, ascending; the rest is
/// undefined), activeCount [1], slotToken [T*topK], tokenSlot [T][topK].
struct GroupTokensSpec {
  int64_t tokens = 0;
  int64_t experts = 0;
  int64_t topK = 0;
};

/// out[t][:] = sum over k, in order, of weights[t][k] * y[tokenSlot[t][k]][:],
/// then + addend0[t][:] + addend1[t][:] ...
/// Bindings: y [T*topK][depth], weights f32 [T][topK], tokenSlot i32 [T][topK],
/// the addends f32 [T][depth], out f32 [T][depth] (may be one of the addends).
struct CombineSpec {
  int64_t tokens = 0;
  int64_t topK = 0;
  int64_t depth = 0;
  int64_t addends = 1;
  bool bf16Slots = false; ///< y is bf16, else f32
};

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_KERNELS_MOESPECS_H
