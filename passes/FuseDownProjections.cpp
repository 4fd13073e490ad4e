//===- FuseDownProjections.cpp - One product for all of an input ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/ConcatWeights.h"
#include "passes/Passes.h"
#include "passes/Rows.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_FUSEDOWNPROJECTIONSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// Whether `op` is neither a router nor half of a gated unit: these have
/// fusions of their own.
bool isProjection(LinearOp op) {
  return llvm::none_of(op->getUsers(), [](Operation *user) {
    return isa<RouteOp, SwigluOp>(user);
  });
}

/// linear(x, a), linear(x, b), ...
///   -> linear(x, concat(a, b, ...))[:, :rows(a)], [:, rows(a):], ...
struct FuseProjections final : OpRewritePattern<LinearOp> {
  FuseProjections(MLIRContext *context, Pass::Statistic &numFused)
      : OpRewritePattern(context), numFused(numFused) {}

  LogicalResult matchAndRewrite(LinearOp op,
                                PatternRewriter &rewriter) const override {
    if (!isProjection(op))
      return rewriter.notifyMatchFailure(op, "is a router or half of a gate");
    SmallVector<LinearOp> group = findGroup(op);
    if (group.size() < 2)
      return rewriter.notifyMatchFailure(
          op, "no other product of this input has a weight that fits");
    if (group.front() != op)
      return rewriter.notifyMatchFailure(op, "fuses into the first product");
    SmallVector<Value> weights;
    for (LinearOp linear : group)
      weights.push_back(linear.getWeight());
    if (failed(moveValueDefinitions(rewriter, weights, op)))
      return rewriter.notifyMatchFailure(
          op, "a weight is computed after the first product");

    Location loc = op.getLoc();
    Value weight = concatWeights(rewriter, loc, /*dim=*/0, weights);
    int64_t width = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    auto type = op.getType().clone({op.getType().getDimSize(0), width});
    Value fused = LinearOp::create(rewriter, loc, type, op.getInput(), weight);
    int64_t offset = 0;
    for (LinearOp linear : group) {
      int64_t columns = linear.getType().getDimSize(1);
      Value slice = sliceColumns(rewriter, loc, fused, offset, columns);
      rewriter.replaceOp(linear, slice);
      offset += columns;
    }
    ++numFused;
    return success();
  }

private:
  /// The products of the input of `op` that fuse with it, in block order.
  static SmallVector<LinearOp> findGroup(LinearOp op) {
    SmallVector<LinearOp> group;
    for (Operation *user : op.getInput().getUsers()) {
      auto linear = dyn_cast<LinearOp>(user);
      if (linear && linear->getBlock() == op->getBlock() &&
          linear.getInput() == op.getInput() && isProjection(linear) &&
          canConcat(linear.getWeight(), op.getWeight()))
        group.push_back(linear);
    }
    llvm::sort(group,
               [](LinearOp a, LinearOp b) { return a->isBeforeInBlock(b); });
    // Nothing follows a weight that ends within a block.
    for (size_t i = 0; i + 1 < group.size(); ++i)
      if (!endsWithBlock(group[i].getWeight()))
        group.truncate(i + 1);
    return group;
  }

  Pass::Statistic &numFused;
};

struct FuseDownProjectionsPass final
    : dsv2::impl::FuseDownProjectionsPassBase<FuseDownProjectionsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseProjections>(&getContext(), numFused);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
