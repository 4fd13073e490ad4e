//===- FuseExpandedAttention.cpp - Expand keys inside of attention --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/CacheRow.h"
#include "passes/LatentContext.h"
#include "passes/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_FUSEEXPANDEDATTENTIONPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// attention(q, (head_project(gather.latent, uk), gather.key),
///           head_project(gather.latent, uv))
///   -> expanded_attention(q, uk, uv, cache)
struct FuseExpansion final : OpRewritePattern<AttentionOp> {
  FuseExpansion(MLIRContext *context, bool int8, Pass::Statistic &numFused)
      : OpRewritePattern(context), int8(int8), numFused(numFused) {}

  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<LatentContext> context = matchLatentContext(op, rewriter);
    if (failed(context))
      return failure();
    CacheGatherOp gather = context->gather;
    auto fused = rewriter.replaceOpWithNewOp<ExpandedAttentionOp>(
        op, op.getType(), op.getQNope(), op.getQRope(), context->keyWeight,
        context->valueWeight, gather.getCache(), gather.getLayerAttr(),
        op.getScaleAttr(), op.getBatch());
    if (int8)
      fused->setAttr(int8ExpansionAttrName, rewriter.getUnitAttr());
    ++numFused;
    return success();
  }

  bool int8;
  Pass::Statistic &numFused;
};

struct FuseExpandedAttentionPass final
    : dsv2::impl::FuseExpandedAttentionPassBase<FuseExpandedAttentionPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseExpansion>(&getContext(), int8, numFused);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
