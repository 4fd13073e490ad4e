//===- DecomposeCache.cpp - Reading and writing the latent cache ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/DSV2ToLinalg/Decompose.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::dsv2 {

Value getBatchField(LinalgBuilder &b, Value batch, BatchField field) {
  auto type = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
  return BatchGetOp::create(b, type, field, batch);
}

static Value getPlane(LinalgBuilder &b, Value cache, uint64_t layer) {
  auto type = cast<LatentCacheType>(cache.getType());
  auto rows = RankedTensorType::get(
      {ShapedType::kDynamic, type.getLatent() + type.getRope()},
      type.getElementType());
  return CacheRowsOp::create(b, rows, cache, layer);
}

/// `plane` with the columns from `column` of row rows[t] set to part[t].
static Value scatterPart(LinalgBuilder &b, Value plane, Value rows, Value part,
                         int64_t column) {
  auto type = cast<RankedTensorType>(part.getType());
  OpFoldResult one = b.constant(1), zero = b.constant(0);
  OpFoldResult width = b.constant(type.getDimSize(1));
  return b.forEach(
      b.sizeValue(b.size(part, 0)), plane,
      [&](LinalgBuilder &b, Value t, ValueRange carried) -> SmallVector<Value> {
        Value row = b.toIndex(b.extract(rows, t));
        Value slice = tensor::ExtractSliceOp::create(
            b, part, Sizes{t, zero}, Sizes{one, width}, Sizes{one, one});
        return {tensor::InsertSliceOp::create(
            b, slice, carried[0], Sizes{row, b.constant(column)},
            Sizes{one, width}, Sizes{one, one})};
      })[0];
}

Results decompose(LinalgBuilder &b, CacheAppendOp op) {
  auto type = cast<LatentCacheType>(op.getCache().getType());
  Value plane = getPlane(b, op.getCache(), op.getLayer());
  Value rows = getBatchField(b, op.getBatch(), BatchField::CacheRows);
  auto rounded = [&](Value part) {
    if (type.getElementType().isF32())
      return part;
    return b.elementwise(part, type.getElementType(),
                         [](LinalgBuilder &b, ValueRange s) {
                           return b.round(s[0], s[1].getType());
                         });
  };
  plane = scatterPart(b, plane, rows, rounded(op.getLatent()), 0);
  plane = scatterPart(b, plane, rows, rounded(op.getKey()), type.getLatent());
  return {CacheUpdateOp::create(b, op.getCache().getType(), op.getCache(),
                                op.getLayer(), plane)};
}

Results decompose(LinalgBuilder &b, LatentAppendOp op) {
  auto type = cast<LatentCacheType>(op.getCache().getType());
  Value latent = b.columns(op.getKv(), 0, type.getLatent());
  Value key = b.columns(op.getKv(), type.getLatent(), type.getRope());
  latent = RMSNormOp::create(b, latent.getType(), latent, op.getGamma(),
                             op.getEpsAttr());
  key = RopeOp::create(b, key.getType(), key, op.getBatch(), op.getRope());
  return {CacheAppendOp::create(b, op.getCache().getType(), op.getCache(),
                                op.getLayer(), latent, key, op.getBatch())};
}

Results decompose(LinalgBuilder &b, CacheGatherOp op) {
  AffineExpr s, k;
  bindDims(b.getContext(), s, k);
  auto type = cast<LatentCacheType>(op.getCache().getType());
  Value plane = getPlane(b, op.getCache(), op.getLayer());
  Value rows = getBatchField(b, op.getBatch(), BatchField::ContextRows);
  auto gather = [&](int64_t column, int64_t width) {
    Value init =
        b.empty({b.size(rows, 0), b.constant(width)}, Type(b.getF32Type()));
    return b.generic(
        {{s}, {s, k}}, rows, init, [&](LinalgBuilder &b, ValueRange scalars) {
          Value row = b.toIndex(scalars[0]);
          Value at = arith::AddIOp::create(b, b.loop(k), b.index(column));
          return b.widen(b.extract(plane, {row, at}));
        });
  };
  return {gather(0, type.getLatent()),
          gather(type.getLatent(), type.getRope())};
}

} // namespace mlir::dsv2
