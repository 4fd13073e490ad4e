//===- FoldRowPacking.cpp - Results written packed ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86Plan/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_FOLDROWPACKINGPASS
#include "lowering/X86Plan/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// pack_rows(op(...) : f32) -> op(...) : packed
struct FoldIntoProducer final : OpRewritePattern<PackRowsOp> {
  FoldIntoProducer(MLIRContext *context, Pass::Statistic &numFolded)
      : OpRewritePattern(context), numFolded(numFolded) {}

  LogicalResult matchAndRewrite(PackRowsOp op,
                                PatternRewriter &rewriter) const override {
    Operation *producer = op.getInput().getDefiningOp();
    if (!isa_and_nonnull<RMSNormOp, SwigluOp, LatentAttentionOp>(producer))
      return rewriter.notifyMatchFailure(op, "the producer writes f32 only");
    if (isa<LatentAttentionOp>(producer) &&
        !getElementTypeOrSelf(op.getType()).isBF16())
      return rewriter.notifyMatchFailure(op, "attention writes no i8 rows");
    if (!producer->hasOneUse())
      return rewriter.notifyMatchFailure(op, "the result has other uses");
    rewriter.modifyOpInPlace(
        producer, [&] { producer->getResult(0).setType(op.getType()); });
    rewriter.replaceOp(op, producer->getResult(0));
    ++numFolded;
    return success();
  }

  Pass::Statistic &numFolded;
};

struct FoldRowPackingPass final
    : dsv2::impl::FoldRowPackingPassBase<FoldRowPackingPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldIntoProducer>(&getContext(), numFolded);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
