//===- MoeRoute.h - Choosing the experts of each token ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_MOEROUTE_H
#define DSV2_LOWERING_X86_MOEROUTE_H

#include "lowering/X86/RowEmitter.h"

namespace mlir::dsv2::x86 {

/// Per token, all in float32:
///   score  = softmax(logits) or sigmoid(logits)
///   choice = score + bias (or score)
/// Of `groups` equal ranges of experts the `topGroups` best are kept, ranked by
/// their largest choice or by the sum of their two largest; of the experts of
/// those the `topK` with the largest choice. Of equals the lowest index wins.
/// Experts are listed by descending choice (equals by index), and
///   weight = score [/ (sum of the chosen scores + normEpsilon)] * scale.
/// NaN is never preferred; experts are always in range.
/// Bindings: logits f32 [T][E], bias f32 [E] if any, weights f32 [T][topK],
/// experts i32 [T][topK]. A workgroup routes one token.
struct RouteSpec {
  enum class Scoring { softmax, sigmoid };
  enum class GroupScore { max, topTwoSum };

  int64_t tokens;
  int64_t experts;
  int64_t topK;
  int64_t groups = 1;
  int64_t topGroups = 1;
  Scoring scoring = Scoring::softmax;
  GroupScore groupScore = GroupScore::max;
  bool bias = false; ///< for the choice only
  bool normalize = false;
  float normEpsilon = 1e-20f;
  float scale = 1.0f;
};
KernelInfo emitRoute(ModuleOp module, StringRef name, const InstructionSet &set,
                     const RouteSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_MOEROUTE_H
