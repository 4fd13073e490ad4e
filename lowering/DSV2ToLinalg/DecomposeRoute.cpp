//===- DecomposeRoute.cpp - Selecting experts -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Selection is stated through ranks: the rank of a candidate is the number of
// candidates before it in the order "larger first, equals by index". That is a
// sum over pairs, so it needs no sorting and fixes every tie.
//
//===----------------------------------------------------------------------===//

#include "lowering/DSV2ToLinalg/Decompose.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

namespace mlir::dsv2 {
namespace {

constexpr double negativeInfinity = -std::numeric_limits<double>::infinity();

/// [T, E] scores: softmax or sigmoid of the logits.
Value emitScores(LinalgBuilder &b, RouteOp op) {
  AffineExpr t, e;
  bindDims(b.getContext(), t, e);
  Value logits = op.getLogits();
  Type f32 = b.getF32Type();
  if (op.getScoring() == Scoring::Sigmoid)
    return b.elementwise(
        logits, f32, [](LinalgBuilder &b, ValueRange x) -> Value {
          Value power = math::ExpOp::create(b, arith::NegFOp::create(b, x[0]));
          Value divisor = arith::AddFOp::create(b, b.f32(1), power);
          return arith::DivFOp::create(b, b.f32(1), divisor);
        });

  OpFoldResult rows = b.size(logits, 0);
  Value maxima = b.generic({{t, e}, {t}}, logits,
                           b.filled({rows}, b.f32(negativeInfinity)),
                           [](LinalgBuilder &b, ValueRange x) -> Value {
                             return arith::MaximumFOp::create(b, x[1], x[0]);
                           });
  Value powers = b.generic(
      {{t, e}, {t}, {t, e}}, {logits, maxima}, b.empty(b.sizes(logits), f32),
      [](LinalgBuilder &b, ValueRange x) -> Value {
        return math::ExpOp::create(b, arith::SubFOp::create(b, x[0], x[1]));
      });
  Value sums = b.generic({{t, e}, {t}}, powers, b.filled({rows}, b.f32(0)),
                         [](LinalgBuilder &b, ValueRange x) -> Value {
                           return arith::AddFOp::create(b, x[1], x[0]);
                         });
  return b.generic({{t, e}, {t}, {t, e}}, {powers, sums},
                   b.empty(b.sizes(logits), f32),
                   [](LinalgBuilder &b, ValueRange x) -> Value {
                     return arith::DivFOp::create(b, x[0], x[1]);
                   });
}

/// Scores plus bias. NaN would compare as neither before nor after any other
/// and could make ranks collide, so it ranks last.
Value emitChoices(LinalgBuilder &b, RouteOp op, Value scores) {
  AffineExpr t, e;
  bindDims(b.getContext(), t, e);
  SmallVector<Value> inputs = {scores};
  SmallVector<Indexing> indexing = {{t, e}, {t, e}};
  if (op.getBias()) {
    inputs.push_back(op.getBias());
    indexing.insert(indexing.begin() + 1, {e});
  }
  return b.generic(
      indexing, inputs, b.empty(b.sizes(scores), Type(b.getF32Type())),
      [&](LinalgBuilder &b, ValueRange x) -> Value {
        Value choice = x[0];
        if (op.getBias())
          choice = arith::AddFOp::create(b, choice, x[1]);
        Value isNumber =
            arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, choice, choice);
        return arith::SelectOp::create(b, isNumber, choice,
                                       b.f32(negativeInfinity));
      });
}

/// The rank of each element among those that share all indices but the last.
Value emitRanks(LinalgBuilder &b, Value values) {
  int64_t rank = cast<RankedTensorType>(values.getType()).getRank();
  Indexing dims;
  for (int64_t dim = 0; dim < rank; ++dim)
    dims.push_back(b.getAffineDimExpr(dim));
  Indexing other = dims;
  other.back() = b.getAffineDimExpr(rank);
  return b.generic(
      {dims, other, dims}, {values, values},
      b.filled(b.sizes(values), b.i32(0)),
      [&](LinalgBuilder &b, ValueRange x) -> Value {
        Value larger =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x[1], x[0]);
        Value equal =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[1], x[0]);
        Value self = b.loop(dims.back());
        Value lower = arith::CmpIOp::create(b, arith::CmpIPredicate::ult,
                                            b.loop(other.back()), self);
        Value first = arith::AndIOp::create(b, equal, lower);
        Value before = arith::OrIOp::create(b, larger, first);
        Value count = arith::ExtUIOp::create(b, b.getI32Type(), before);
        return arith::AddIOp::create(b, x[2], count);
      });
}

Value isBelow(LinalgBuilder &b, Value rank, int64_t limit) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, rank,
                               b.i32(limit));
}

/// `choices` with -infinity outside the best groups.
Value keepBestGroups(LinalgBuilder &b, RouteOp op, Value choices) {
  AffineExpr t, g, e;
  bindDims(b.getContext(), t, g, e);
  Type f32 = b.getF32Type();
  auto type = cast<RankedTensorType>(choices.getType());
  int64_t groups = op.getGroups(), size = type.getDimSize(1) / groups;
  SmallVector<ReassociationIndices> reassociation = {{0}, {1, 2}};
  Sizes sizes = {b.size(choices, 0), b.constant(groups), b.constant(size)};
  Value grouped = tensor::ExpandShapeOp::create(
      b, RankedTensorType::get({type.getDimSize(0), groups, size}, f32),
      choices, reassociation, sizes);

  bool isMax = op.getSelection() == Selection::GroupMax;
  Value start =
      b.filled({sizes[0], sizes[1]}, b.f32(isMax ? negativeInfinity : 0));
  Value groupScores;
  if (isMax) {
    groupScores = b.generic({{t, g, e}, {t, g}}, grouped, start,
                            [](LinalgBuilder &b, ValueRange x) -> Value {
                              return arith::MaximumFOp::create(b, x[1], x[0]);
                            });
  } else {
    Value ranks = emitRanks(b, grouped);
    groupScores = b.generic({{t, g, e}, {t, g, e}, {t, g}}, {grouped, ranks},
                            start, [](LinalgBuilder &b, ValueRange x) -> Value {
                              Value sum = arith::AddFOp::create(b, x[2], x[0]);
                              return arith::SelectOp::create(
                                  b, isBelow(b, x[1], 2), sum, x[2]);
                            });
  }

  int64_t kept = op.getTopGroups();
  Value groupRanks = emitRanks(b, groupScores);
  Value masked = b.generic({{t, g, e}, {t, g}, {t, g, e}},
                           {grouped, groupRanks}, b.empty(sizes, f32),
                           [&](LinalgBuilder &b, ValueRange x) -> Value {
                             Value isKept = isBelow(b, x[1], kept);
                             return arith::SelectOp::create(
                                 b, isKept, x[0], b.f32(negativeInfinity));
                           });
  return tensor::CollapseShapeOp::create(b, type, masked, reassociation);
}

/// `chosen` with what shared experts have behind the first `topK` columns:
/// shared(b, column).
Value appendShared(LinalgBuilder &b, Value chosen, int64_t topK,
                   llvm::function_ref<Value(LinalgBuilder &, Value)> shared) {
  AffineExpr t, k;
  bindDims(b.getContext(), t, k);
  Type element = cast<RankedTensorType>(chosen.getType()).getElementType();
  return b.generic({{t, k}, {t, k}}, chosen, b.empty(b.sizes(chosen), element),
                   [&](LinalgBuilder &b, ValueRange x) -> Value {
                     Value column = b.toI32(b.loop(k));
                     return arith::SelectOp::create(b, isBelow(b, column, topK),
                                                    x[0], shared(b, column));
                   });
}

} // namespace

Results decompose(LinalgBuilder &b, RouteOp op) {
  AffineExpr t, k, e;
  bindDims(b.getContext(), t, k, e);
  int64_t topK = op.getTopK(), shared = op.getShared().value_or(0);
  Value scores = emitScores(b, op);
  Value choices = emitChoices(b, op, scores);
  if (op.getSelection() != Selection::Greedy)
    choices = keepBestGroups(b, op, choices);
  Value ranks = emitRanks(b, choices);

  // Exactly one expert has rank k, so a sum over experts picks it; columns of
  // shared experts begin as zeros.
  Sizes sizes = {b.size(scores, 0), b.constant(topK + shared)};
  auto isChosen = [&](LinalgBuilder &b, Value rank) -> Value {
    Value isRank = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, rank,
                                         b.toI32(b.loop(k)));
    if (!shared)
      return isRank;
    return arith::AndIOp::create(b, isRank, isBelow(b, rank, topK));
  };
  Value experts = b.generic({{t, e}, {t, k}}, ranks, b.filled(sizes, b.i32(0)),
                            [&](LinalgBuilder &b, ValueRange x) -> Value {
                              Value chosen = isChosen(b, x[0]);
                              return arith::SelectOp::create(
                                  b, chosen, b.toI32(b.loop(e)), x[1]);
                            });
  Value weights = b.generic(
      {{t, e}, {t, e}, {t, k}}, {scores, ranks}, b.filled(sizes, b.f32(0)),
      [&](LinalgBuilder &b, ValueRange x) -> Value {
        return arith::SelectOp::create(b, isChosen(b, x[1]), x[0], x[2]);
      });

  auto withShared = [&]() -> Results {
    if (!shared)
      return {weights, experts};
    int64_t routed = cast<RankedTensorType>(scores.getType()).getDimSize(1);
    return {appendShared(b, weights, topK,
                         [](LinalgBuilder &b, Value) { return b.f32(1); }),
            appendShared(
                b, experts, topK, [&](LinalgBuilder &b, Value column) -> Value {
                  return arith::AddIOp::create(b, column, b.i32(routed - topK));
                })};
  };
  double scale = op.getScale().convertToDouble();
  if (!op.getNormalize()) {
    weights = b.elementwise(
        weights, b.getF32Type(), [&](LinalgBuilder &b, ValueRange x) -> Value {
          return arith::MulFOp::create(b, x[0], b.f32(scale));
        });
    return withShared();
  }
  Value sums = b.generic({{t, k}, {t}}, weights, b.filled({sizes[0]}, b.f32(0)),
                         [](LinalgBuilder &b, ValueRange x) -> Value {
                           return arith::AddFOp::create(b, x[1], x[0]);
                         });
  weights = b.generic({{t, k}, {t}, {t, k}}, {weights, sums},
                      b.empty(sizes, Type(b.getF32Type())),
                      [&](LinalgBuilder &b, ValueRange x) -> Value {
                        Value divisor =
                            arith::AddFOp::create(b, x[1], b.f32(1e-20));
                        Value share = arith::DivFOp::create(b, x[0], divisor);
                        return arith::MulFOp::create(b, share, b.f32(scale));
                      });
  return withShared();
}

} // namespace mlir::dsv2
