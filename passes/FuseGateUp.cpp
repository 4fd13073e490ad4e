//===- FuseGateUp.cpp - One product for gate and up -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/ConcatWeights.h"
#include "passes/Passes.h"
#include "passes/Rows.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_FUSEGATEUPPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// The dimension of a weight that becomes the columns of the product.
int64_t outputDim(LinearOp) { return 0; }
int64_t outputDim(GroupedLinearOp) { return 1; }

/// Whether both products agree in all operands but the weight.
template <typename ProductOp>
bool differInWeightOnly(ProductOp a, ProductOp b) {
  for (auto [x, y] : llvm::zip_equal(a->getOpOperands(), b->getOpOperands()))
    if (&x != &a.getWeightMutable() && x.get() != y.get())
      return false;
  return true;
}

/// swiglu(product(x, g), product(x, u))
///   -> swiglu(y[:, :n], y[:, n:]) with y = product(x, concat(g, u))
template <typename ProductOp>
struct FuseGate final : OpRewritePattern<SwigluOp> {
  FuseGate(MLIRContext *context, Pass::Statistic &numFused)
      : OpRewritePattern<SwigluOp>(context), numFused(numFused) {}

  LogicalResult matchAndRewrite(SwigluOp op,
                                PatternRewriter &rewriter) const override {
    auto gate = op.getGate().template getDefiningOp<ProductOp>();
    auto up = op.getUp().template getDefiningOp<ProductOp>();
    if (!gate || !up || gate == up)
      return rewriter.notifyMatchFailure(op,
                                         "gate and up are not two products");
    if (gate->getNumOperands() != up->getNumOperands() ||
        !differInWeightOnly(gate, up))
      return rewriter.notifyMatchFailure(
          op, "gate and up are not products of one input");
    if (!gate->hasOneUse() || !up->hasOneUse())
      return rewriter.notifyMatchFailure(op, "gate or up has other uses");
    if (!canConcat(gate.getWeight(), up.getWeight()) ||
        !endsWithBlock(gate.getWeight()))
      return rewriter.notifyMatchFailure(
          op, "the weights differ in type, or the gate ends within a block");

    Location loc = op.getLoc();
    Value weight = concatWeights(rewriter, loc, outputDim(gate),
                                 {gate.getWeight(), up.getWeight()});
    int64_t width = gate.getType().getDimSize(1);
    auto type = gate.getType().clone({gate.getType().getDimSize(0), 2 * width});
    auto fused = cast<ProductOp>(rewriter.clone(*gate));
    rewriter.modifyOpInPlace(fused, [&] {
      fused.getWeightMutable().assign(weight);
      fused.getResult().setType(type);
    });
    Value gateSlice = sliceColumns(rewriter, loc, fused, 0, width);
    Value upSlice = sliceColumns(rewriter, loc, fused, width, width);
    rewriter.replaceOpWithNewOp<SwigluOp>(op, op.getType(), gateSlice, upSlice);
    rewriter.eraseOp(gate);
    rewriter.eraseOp(up);
    ++numFused;
    return success();
  }

  Pass::Statistic &numFused;
};

struct FuseGateUpPass final : dsv2::impl::FuseGateUpPassBase<FuseGateUpPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseGate<LinearOp>, FuseGate<GroupedLinearOp>>(&getContext(),
                                                                numFused);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
