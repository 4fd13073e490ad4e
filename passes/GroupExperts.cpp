//===- GroupExperts.cpp - Compute expert by expert ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "dialect/DSV2Dialect.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_GROUPEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// experts(x, weights, ids, gate, up, down)
///   -> combine_experts(grouped(swiglu(grouped(x, gate), grouped(x, up)),
///   down))
struct Group final : OpRewritePattern<ExpertsOp> {
  Group(MLIRContext *context, Pass::Statistic &numGrouped)
      : OpRewritePattern(context), numGrouped(numGrouped) {}

  LogicalResult matchAndRewrite(ExpertsOp op,
                                PatternRewriter &rewriter) const override {
    auto gateType = cast<RankedTensorType>(op.getGate().getType());
    int64_t experts = gateType.getDimSize(0), width = gateType.getDimSize(1);
    if (ShapedType::isDynamic(experts) || ShapedType::isDynamic(width))
      return rewriter.notifyMatchFailure(
          op, "the number or the width of the experts is not static");

    Location loc = op.getLoc();
    RankedTensorType idType = op.getExperts().getType();
    int64_t slots = idType.hasStaticShape() ? idType.getNumElements()
                                            : ShapedType::kDynamic;
    auto indices = [&](int64_t length) {
      return RankedTensorType::get({length}, idType.getElementType());
    };
    auto group = GroupTokensOp::create(rewriter, loc, indices(experts + 1),
                                       indices(experts), indices(1),
                                       indices(slots), idType, op.getExperts());
    auto product = [&](Value input, Value slotToken, Value weight,
                       int64_t columns) -> Value {
      auto type =
          RankedTensorType::get({slots, columns}, rewriter.getF32Type());
      return GroupedLinearOp::create(rewriter, loc, type, input, slotToken,
                                     weight, group.getOffsets(),
                                     group.getActive(), group.getCount());
    };
    Value token = group.getSlotToken();
    Value gate = product(op.getInput(), token, op.getGate(), width);
    Value up = product(op.getInput(), token, op.getUp(), width);
    Value hidden = SwigluOp::create(rewriter, loc, gate.getType(), gate, up);
    Value down = product(hidden, /*slotToken=*/{}, op.getDown(),
                         op.getType().getDimSize(1));
    rewriter.replaceOpWithNewOp<CombineExpertsOp>(
        op, op.getType(), down, op.getWeights(), group.getTokenSlot());
    ++numGrouped;
    return success();
  }

  Pass::Statistic &numGrouped;
};

struct GroupExpertsPass final
    : dsv2::impl::GroupExpertsPassBase<GroupExpertsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<Group>(&getContext(), numGrouped);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
