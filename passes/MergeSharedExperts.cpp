//===- MergeSharedExperts.cpp - Shared experts among the routed ones ------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/ConcatWeights.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_MERGESHAREDEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// A gated network every token visits: down·(silu(gate·x) * (up·x)).
struct SharedNetwork {
  LinearOp gate, up, down;

  /// The network whose result `value` is and nothing else reads.
  static std::optional<SharedNetwork> match(Value value, Value input) {
    auto only = [](auto op) {
      return op && op->hasOneUse() ? op : decltype(op)();
    };
    SharedNetwork network;
    network.down = only(value.getDefiningOp<LinearOp>());
    auto swiglu = network.down
                      ? only(network.down.getInput().getDefiningOp<SwigluOp>())
                      : SwigluOp();
    if (!swiglu)
      return std::nullopt;
    network.gate = only(swiglu.getGate().getDefiningOp<LinearOp>());
    network.up = only(swiglu.getUp().getDefiningOp<LinearOp>());
    if (!network.gate || !network.up || network.gate.getInput() != input ||
        network.up.getInput() != input)
      return std::nullopt;
    return network;
  }

  int64_t width() {
    return cast<RankedTensorType>(gate.getWeight().getType()).getDimSize(0);
  }
};

/// Columns that share a scale.
int64_t columnsOfGroup(Value weight) {
  Attribute encoding = cast<RankedTensorType>(weight.getType()).getEncoding();
  if (auto int8 = dyn_cast_or_null<BlockInt8Attr>(encoding))
    return int8.getGroup();
  if (auto int4 = dyn_cast_or_null<BlockInt4Attr>(encoding))
    return int4.getGroup();
  if (auto fp8 = dyn_cast_or_null<BlockFp8Attr>(encoding))
    return fp8.getColumns();
  return 1;
}

/// The matrices of experts in a weight of their network, before quantization
/// where that is known.
class Divider {
public:
  Divider(PatternRewriter &rewriter, Location loc, int64_t count)
      : rewriter(rewriter), loc(loc), count(count) {}

  /// [count * width, n] -> [count, width, n]
  Value byRows(Value weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    return quantizedAs(weight, [&](Value plain) {
      return stack(plain,
                   {count, type.getDimSize(0) / count, type.getDimSize(1)});
    });
  }

  /// [n, count * width] -> [count, n, width]
  Value byColumns(Value weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t rows = type.getDimSize(0), width = type.getDimSize(1) / count;
    return quantizedAs(weight, [&](Value plain) -> Value {
      SmallVector<Value> parts;
      for (int64_t i = 0; i < count; ++i) {
        auto indices = [&](int64_t a, int64_t b) -> SmallVector<OpFoldResult> {
          return {rewriter.getIndexAttr(a), rewriter.getIndexAttr(b)};
        };
        Value part = tensor::ExtractSliceOp::create(
            rewriter, loc, plain, indices(0, i * width), indices(rows, width),
            indices(1, 1));
        parts.push_back(stack(part, {1, rows, width}));
      }
      return count == 1 ? parts[0] : concatWeights(rewriter, loc, 0, parts);
    });
  }

private:
  Value quantizedAs(Value weight, llvm::function_ref<Value(Value)> divide) {
    auto quantize = weight.getDefiningOp<QuantizeOp>();
    Value divided = divide(quantize ? quantize.getWeight() : weight);
    if (!quantize)
      return divided;
    auto type = cast<RankedTensorType>(weight.getType());
    return QuantizeOp::create(
        rewriter, loc,
        RankedTensorType::get(
            cast<RankedTensorType>(divided.getType()).getShape(),
            type.getElementType(), type.getEncoding()),
        divided);
  }

  Value stack(Value matrix, ArrayRef<int64_t> shape) {
    auto type = cast<RankedTensorType>(matrix.getType());
    SmallVector<ReassociationIndices> dims = {{0, 1}, {2}};
    return tensor::ExpandShapeOp::create(
        rewriter, loc,
        RankedTensorType::get(shape, type.getElementType(), type.getEncoding()),
        matrix, dims);
  }

  PatternRewriter &rewriter;
  Location loc;
  int64_t count;
};

/// experts(x, route(...), g, u, d) + down·swiglu(gate·x, up·x)
///   -> experts(x, route(...) shared n, [g, gate], [u, up], [d, down])
struct MergeShared final : OpRewritePattern<arith::AddFOp> {
  MergeShared(MLIRContext *context, Pass::Statistic &numMerged)
      : OpRewritePattern(context), numMerged(numMerged) {}

  LogicalResult matchAndRewrite(arith::AddFOp op,
                                PatternRewriter &rewriter) const override {
    auto experts = op.getLhs().getDefiningOp<ExpertsOp>();
    Value other = op.getRhs();
    if (!experts) {
      experts = other.getDefiningOp<ExpertsOp>();
      other = op.getLhs();
    }
    if (!experts || !experts->hasOneUse())
      return rewriter.notifyMatchFailure(op, "adds no result of experts");
    auto route = experts.getExperts().getDefiningOp<RouteOp>();
    if (!route || experts.getWeights() != route.getWeights() ||
        !route.getWeights().hasOneUse() || !route.getExperts().hasOneUse() ||
        route.getShared())
      return rewriter.notifyMatchFailure(
          op, "the experts are not those of one router, or have shared ones");
    std::optional<SharedNetwork> shared =
        SharedNetwork::match(other, experts.getInput());
    if (!shared)
      return rewriter.notifyMatchFailure(
          op, "the other operand is no gated network of the same input");
    auto type = cast<RankedTensorType>(experts.getGate().getType());
    int64_t width = type.getDimSize(1);
    if (!type.hasStaticShape() || shared->width() % width != 0)
      return rewriter.notifyMatchFailure(
          op, "the shared network is not as wide as some experts");
    SmallVector<std::pair<Value, Value>> pairs = {
        {experts.getGate(), shared->gate.getWeight()},
        {experts.getUp(), shared->up.getWeight()},
        {experts.getDown(), shared->down.getWeight()}};
    for (auto [routed, added] : pairs)
      if (!canConcat(routed, added) || !endsWithBlock(routed) ||
          width % columnsOfGroup(added) != 0)
        return rewriter.notifyMatchFailure(
            op, "the weights differ in type, or experts end within a block");
    SmallVector<Value> weights;
    for (auto [routed, added] : pairs)
      weights.append({routed, added});
    if (failed(moveValueDefinitions(rewriter, weights, route)))
      return rewriter.notifyMatchFailure(
          op, "a weight is computed after the router");

    int64_t count = shared->width() / width;
    rewriter.setInsertionPoint(route);
    Divider divider(rewriter, op.getLoc(), count);
    auto join = [&](Value routed, Value added) {
      return concatWeights(rewriter, op.getLoc(), 0, {routed, added});
    };
    Value gate = join(pairs[0].first, divider.byRows(pairs[0].second));
    Value up = join(pairs[1].first, divider.byRows(pairs[1].second));
    Value down = join(pairs[2].first, divider.byColumns(pairs[2].second));
    auto routed = cast<RouteOp>(rewriter.clone(*route));
    rewriter.modifyOpInPlace(routed, [&] {
      routed.setShared(count);
      for (Value result : routed.getResults()) {
        auto rows = cast<RankedTensorType>(result.getType());
        result.setType(
            rows.clone({rows.getDimSize(0), rows.getDimSize(1) + count}));
      }
    });
    rewriter.replaceOpWithNewOp<ExpertsOp>(
        op, experts.getType(), experts.getInput(), routed.getWeights(),
        routed.getExperts(), gate, up, down);
    ++numMerged;
    return success();
  }

  Pass::Statistic &numMerged;
};

struct MergeSharedExpertsPass final
    : dsv2::impl::MergeSharedExpertsPassBase<MergeSharedExpertsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<MergeShared>(&getContext(), numMerged);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
