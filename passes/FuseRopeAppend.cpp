//===- FuseRopeAppend.cpp - Normalize, rotate and store in one step -------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Rows.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_FUSEROPEAPPENDPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// cache_append(rms_norm(kv[:, :latent], gamma), rope(kv[:, latent:]))
///   -> latent_append(kv, gamma)
struct FuseAppend final : OpRewritePattern<CacheAppendOp> {
  FuseAppend(MLIRContext *context, Pass::Statistic &numFused)
      : OpRewritePattern(context), numFused(numFused) {}

  LogicalResult matchAndRewrite(CacheAppendOp op,
                                PatternRewriter &rewriter) const override {
    auto norm = op.getLatent().getDefiningOp<RMSNormOp>();
    if (!norm)
      return rewriter.notifyMatchFailure(op, "the latent is not normalized");
    auto rope = op.getKey().getDefiningOp<RopeOp>();
    if (!rope)
      return rewriter.notifyMatchFailure(op, "the key is not rotated");
    if (rope.getBatch() != op.getBatch())
      return rewriter.notifyMatchFailure(
          op, "the key is rotated by the positions of another batch");
    auto latent = norm.getInput().getDefiningOp<tensor::ExtractSliceOp>();
    auto key = rope.getInput().getDefiningOp<tensor::ExtractSliceOp>();
    if (!latent || !key || latent.getSource() != key.getSource())
      return rewriter.notifyMatchFailure(
          op, "latent and key are not slices of one tensor");
    LatentCacheType cache = op.getCache().getType();
    if (latent.getSourceType().getRank() != 2 ||
        latent.getSourceType().getDimSize(1) !=
            cache.getLatent() + cache.getRope() ||
        !isColumnSlice(latent, 0) || !isColumnSlice(key, cache.getLatent()))
      return rewriter.notifyMatchFailure(
          op, "latent and key are not the two parts of all rows");

    rewriter.replaceOpWithNewOp<LatentAppendOp>(
        op, op.getType(), op.getCache(), op.getLayerAttr(), latent.getSource(),
        norm.getGamma(), norm.getEpsAttr(), rope.getRopeAttr(), op.getBatch());
    ++numFused;
    return success();
  }

  Pass::Statistic &numFused;
};

struct FuseRopeAppendPass final
    : dsv2::impl::FuseRopeAppendPassBase<FuseRopeAppendPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseAppend>(&getContext(), numFused);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
