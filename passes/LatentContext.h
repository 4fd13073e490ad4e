//===- LatentContext.h - Attention over projected latents -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What the two forms of latent attention are made of.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_LATENTCONTEXT_H
#define DSV2_PASSES_LATENTCONTEXT_H

#include "dialect/DSV2Dialect.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::dsv2 {

/// The operands of
/// `attention(q, (head_project(gather.latent, keyWeight), gather.key),
///            head_project(gather.latent, valueWeight))`.
struct LatentContext {
  CacheGatherOp gather;
  TypedValue<RankedTensorType> keyWeight;
  TypedValue<RankedTensorType> valueWeight;
};

/// Matches `op` against the form above, or notifies `rewriter` of the reason.
FailureOr<LatentContext> matchLatentContext(AttentionOp op,
                                            PatternRewriter &rewriter);

} // namespace mlir::dsv2

#endif // DSV2_PASSES_LATENTCONTEXT_H
