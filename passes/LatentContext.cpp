//===- LatentContext.cpp - Attention over projected latents ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/LatentContext.h"

using namespace mlir;
using namespace mlir::dsv2;

FailureOr<LatentContext> dsv2::matchLatentContext(AttentionOp op,
                                                  PatternRewriter &rewriter) {
  auto keyProject = op.getKey().getDefiningOp<HeadProjectOp>();
  if (!keyProject)
    return rewriter.notifyMatchFailure(op, "keys are not projected");
  auto valueProject = op.getValue().getDefiningOp<HeadProjectOp>();
  if (!valueProject)
    return rewriter.notifyMatchFailure(op, "values are not projected");
  auto gather = keyProject.getInput().getDefiningOp<CacheGatherOp>();
  if (!gather || keyProject.getInput() != gather.getLatent())
    return rewriter.notifyMatchFailure(
        op, "keys are not projected from a gathered latent");
  if (valueProject.getInput() != gather.getLatent())
    return rewriter.notifyMatchFailure(
        op, "values are not projected from the latent of the keys");
  if (op.getKeyRope() != gather.getKey())
    return rewriter.notifyMatchFailure(
        op, "the rotated key is not gathered with the latent");
  if (op.getBatch() != gather.getBatch())
    return rewriter.notifyMatchFailure(op,
                                       "the context is that of another batch");
  return LatentContext{
      gather, cast<TypedValue<RankedTensorType>>(keyProject.getWeight()),
      cast<TypedValue<RankedTensorType>>(valueProject.getWeight())};
}
