//===- MoeRoute.h - Choosing the experts of each token ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_MOEROUTE_H
#define DSV2_LOWERING_NVPTX_MOEROUTE_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// Per token, all in float32:
///   score  = softmax(logits) or sigmoid(logits)
///   choice = score + bias (or score)
/// Of `groups` equal ranges of experts the `topGroups` best are kept, ranked by
/// their largest choice or by the sum of their two largest; of the experts of
/// those the `topK` with the largest choice. Of equals the lowest index wins.
/// Experts are listed by descending choice (equals by index), and
///   weight = score [/ (sum of the chosen scores + normEpsilon)] * scale.
/// NaN ranks as negative infinity; experts are always in range.
/// Bindings: logits f32 [T][E], bias f32 [E] if any, weights f32 [T][topK],
/// experts i32 [T][topK]. A warp routes one token.
struct RouteSpec {
  enum class Scoring { softmax, sigmoid };
  enum class GroupScore { max, topTwoSum };

  int64_t experts;
  int64_t topK;       ///< at most 32
  int64_t groups = 1; ///< at most 32
  int64_t topGroups = 1;
  Scoring scoring = Scoring::softmax;
  GroupScore groupScore = GroupScore::max;
  bool bias = false; ///< for the choice only
  bool normalize = false;
  float normEpsilon = 1e-20f;
  float scale = 1.0f;
};
KernelInfo emitRoute(ModuleOp module, StringRef name, const RouteSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_MOEROUTE_H
