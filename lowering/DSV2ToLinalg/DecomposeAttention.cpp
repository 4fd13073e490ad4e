//===- DecomposeAttention.cpp - Causal attention, both forms --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/DSV2ToLinalg/Decompose.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

namespace mlir::dsv2 {
namespace {

/// Attention over context rows; keys and values have rank 3, or rank 2 where
/// all heads share them.
struct Attention {
  Value query, queryRope, key, keyRope, value, batch;
  double scale;
  /// Gives the format of the result.
  Value result;
};

/// [T, H, S] += queries · keys.
Value addScores(LinalgBuilder &b, Value query, Value key, Value scores) {
  AffineExpr t, h, s, k;
  bindDims(b.getContext(), t, h, s, k);
  bool shared = cast<RankedTensorType>(key.getType()).getRank() == 2;
  return b.generic(
      {{t, h, k}, shared ? Indexing{s, k} : Indexing{s, h, k}, {t, h, s}},
      {query, key}, scores, multiplyAdd);
}

/// The scaled scores; -infinity where the token does not see the row.
Value maskScores(LinalgBuilder &b, const Attention &a, Value scores) {
  AffineExpr t, h, s;
  bindDims(b.getContext(), t, h, s);
  auto field = [&](BatchField name) { return getBatchField(b, a.batch, name); };
  SmallVector<Value> inputs = {
      scores, field(BatchField::TokenSequence), field(BatchField::Positions),
      field(BatchField::ContextSequence), field(BatchField::ContextPosition)};
  return b.generic(
      {{t, h, s}, {t}, {t}, {s}, {s}, {t, h, s}}, inputs,
      b.empty(b.sizes(scores), Type(b.getF32Type())),
      [&](LinalgBuilder &b, ValueRange x) -> Value {
        Value same =
            arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x[1], x[3]);
        Value notAfter =
            arith::CmpIOp::create(b, arith::CmpIPredicate::sle, x[4], x[2]);
        Value seen = arith::AndIOp::create(b, same, notAfter);
        Value scaled = arith::MulFOp::create(b, x[0], b.f32(a.scale));
        Value hidden = b.f32(-std::numeric_limits<float>::infinity());
        return arith::SelectOp::create(b, seen, scaled, hidden);
      });
}

Value emitAttention(LinalgBuilder &b, const Attention &a) {
  AffineExpr t, h, s, v;
  bindDims(b.getContext(), t, h, s, v);
  OpFoldResult tokens = b.size(a.query, 0), heads = b.size(a.query, 1);
  Value zero = b.f32(0);

  Value scores = b.filled({tokens, heads, b.size(a.keyRope, 0)}, zero);
  scores = addScores(b, a.query, a.key, scores);
  scores = addScores(b, a.queryRope, a.keyRope, scores);
  scores = maskScores(b, a, scores);

  // The start is finite, so that a row without context gives no infinity minus
  // infinity.
  Value lowest = b.f32(std::numeric_limits<float>::lowest());
  Value maxima =
      b.generic({{t, h, s}, {t, h}}, scores, b.filled({tokens, heads}, lowest),
                [](LinalgBuilder &b, ValueRange x) -> Value {
                  return arith::MaximumFOp::create(b, x[1], x[0]);
                });
  Value powers = b.generic({{t, h, s}, {t, h}, {t, h, s}}, {scores, maxima},
                           b.empty(b.sizes(scores), Type(b.getF32Type())),
                           [](LinalgBuilder &b, ValueRange x) -> Value {
                             return math::ExpOp::create(
                                 b, arith::SubFOp::create(b, x[0], x[1]));
                           });
  Value sums =
      b.generic({{t, h, s}, {t, h}}, powers, b.filled({tokens, heads}, zero),
                [](LinalgBuilder &b, ValueRange x) -> Value {
                  return arith::AddFOp::create(b, x[1], x[0]);
                });

  auto valueType = cast<RankedTensorType>(a.value.getType());
  bool shared = valueType.getRank() == 2;
  Sizes sizes = {tokens, heads, b.size(a.value, valueType.getRank() - 1)};
  Value weighted = b.generic(
      {{t, h, s}, shared ? Indexing{s, v} : Indexing{s, h, v}, {t, h, v}},
      {powers, a.value}, b.filled(sizes, zero), multiplyAdd);
  AffineExpr n = s;
  return b.generic({{t, h, n}, {t, h}, {t, h, n}}, {weighted, sums},
                   b.empty(sizes, a.result),
                   [](LinalgBuilder &b, ValueRange x) {
                     Value mean = arith::DivFOp::create(b, x[0], x[1]);
                     return b.round(mean, x[2].getType());
                   });
}

/// The context of `layer`: latents and keys.
CacheGatherOp gatherContext(LinalgBuilder &b, Value cache, uint64_t layer,
                            Value batch) {
  auto type = cast<LatentCacheType>(cache.getType());
  auto rows = [&](int64_t width) {
    return RankedTensorType::get({ShapedType::kDynamic, width}, b.getF32Type());
  };
  return CacheGatherOp::create(b, rows(type.getLatent()), rows(type.getRope()),
                               cache, layer, batch);
}

} // namespace

Results decompose(LinalgBuilder &b, AttentionOp op) {
  return {emitAttention(b, {op.getQNope(), op.getQRope(), op.getKey(),
                            op.getKeyRope(), op.getValue(), op.getBatch(),
                            op.getScale().convertToDouble(), op.getResult()})};
}

Results decompose(LinalgBuilder &b, LatentAttentionOp op) {
  CacheGatherOp context =
      gatherContext(b, op.getCache(), op.getLayer(), op.getBatch());
  return {
      emitAttention(b, {op.getQLatent(), op.getQRope(), context.getLatent(),
                        context.getKey(), context.getLatent(), op.getBatch(),
                        op.getScale().convertToDouble(), op.getResult()})};
}

Results decompose(LinalgBuilder &b, ExpandedAttentionOp op) {
  CacheGatherOp context =
      gatherContext(b, op.getCache(), op.getLayer(), op.getBatch());
  auto project = [&](Value weight) -> Value {
    auto type = cast<RankedTensorType>(weight.getType());
    auto heads = RankedTensorType::get(
        {ShapedType::kDynamic, type.getDimSize(0), type.getDimSize(1)},
        b.getF32Type());
    return HeadProjectOp::create(b, heads, context.getLatent(), weight);
  };
  return {
      emitAttention(b, {op.getQNope(), op.getQRope(), project(op.getWUk()),
                        context.getKey(), project(op.getWUv()), op.getBatch(),
                        op.getScale().convertToDouble(), op.getResult()})};
}

} // namespace mlir::dsv2
