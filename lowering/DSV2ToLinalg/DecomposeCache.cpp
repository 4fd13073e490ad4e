//===- DecomposeCache.cpp - Reading and writing the latent cache ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/CacheRow.h"
#include "lowering/DSV2ToLinalg/Decompose.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::dsv2 {

Value getBatchField(LinalgBuilder &b, Value batch, BatchField field) {
  auto type = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
  return BatchGetOp::create(b, type, field, batch);
}

static Value getPlane(LinalgBuilder &b, Value cache, uint64_t layer) {
  RankedTensorType type =
      CacheRow(cast<LatentCacheType>(cache.getType())).planeType();
  return CacheRowsOp::create(b, type, cache, layer);
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

/// Byte `which` of a scalar.
static Value byteOf(LinalgBuilder &b, Value scalar, Value which) {
  int64_t width = scalar.getType().getIntOrFloatBitWidth();
  Value bits = arith::BitcastOp::create(b, b.getIntegerType(width), scalar);
  if (width < 32)
    bits = arith::ExtUIOp::create(b, b.getI32Type(), bits);
  Value shift = arith::MulIOp::create(b, b.toI32(which), b.i32(8));
  Value shifted = arith::ShRUIOp::create(b, bits, shift);
  return arith::TruncIOp::create(b, b.getI8Type(), shifted);
}

/// The `count` bytes of `plane` from `column` of a row, as a float.
static Value floatOf(LinalgBuilder &b, Value plane, Value row, Value column,
                     int64_t count) {
  Type bitsType = b.getIntegerType(8 * count);
  Value bits;
  for (int64_t i = 0; i < count; ++i) {
    Value at = arith::AddIOp::create(b, column, b.index(i));
    Value byte =
        arith::ExtUIOp::create(b, bitsType, b.extract(plane, {row, at}));
    Value shift =
        arith::ConstantOp::create(b, b.getIntegerAttr(bitsType, 8 * i));
    byte = arith::ShLIOp::create(b, byte, shift);
    bits = bits ? arith::OrIOp::create(b, bits, byte).getResult() : byte;
  }
  Type type = count == 4 ? Type(b.getF32Type()) : b.getBF16Type();
  return b.widen(arith::BitcastOp::create(b, type, bits));
}

/// An f32 of at most 448 in magnitude as e4m3, rounded to nearest even.
static Value toE4m3(LinalgBuilder &b, Value x) {
  auto shiftRight = [&](Value value, int64_t count) -> Value {
    return arith::ShRUIOp::create(b, value, b.i32(count));
  };
  auto bitsOf = [&](Value value) -> Value {
    return arith::BitcastOp::create(b, b.getI32Type(), value);
  };
  Value sign = arith::AndIOp::create(b, shiftRight(bitsOf(x), 24), b.i32(0x80));
  Value size = math::AbsFOp::create(b, x);
  Value magnitude = bitsOf(size);
  // Beside 2^14, multiples of the smallest subnormal are the last bits.
  Value shifted = arith::AddFOp::create(b, size, b.f32(0x1p14));
  Value subnormal =
      arith::SubIOp::create(b, bitsOf(shifted), bitsOf(b.f32(0x1p14)));
  Value odd = arith::AndIOp::create(b, shiftRight(magnitude, 20), b.i32(1));
  Value rounded = arith::AddIOp::create(b, magnitude, odd);
  // Half of the last bit kept, and another exponent bias.
  rounded = arith::AddIOp::create(b, rounded, b.i32(0x7ffff - 0x3c000000));
  Value isNormal = arith::CmpIOp::create(b, arith::CmpIPredicate::uge,
                                         magnitude, b.i32(0x3c800000));
  Value bits =
      arith::SelectOp::create(b, isNormal, shiftRight(rounded, 20), subnormal);
  bits = arith::OrIOp::create(b, bits, sign);
  return arith::TruncIOp::create(b, b.getI8Type(), bits);
}

/// The value of e4m3 bits.
static Value fromE4m3(LinalgBuilder &b, Value bits) {
  Value wide = arith::ExtUIOp::create(b, b.getI32Type(), bits);
  Value magnitude = arith::AndIOp::create(b, wide, b.i32(0x7f));
  Value subnormal = arith::MulFOp::create(
      b, arith::UIToFPOp::create(b, b.getF32Type(), magnitude), b.f32(0x1p-9));
  Value normal = arith::AddIOp::create(
      b, arith::ShLIOp::create(b, magnitude, b.i32(20)), b.i32(0x3c000000));
  Value isNormal =
      arith::CmpIOp::create(b, arith::CmpIPredicate::uge, magnitude, b.i32(8));
  Value value = arith::SelectOp::create(
      b, isNormal, arith::BitcastOp::create(b, b.getF32Type(), normal),
      subnormal);
  Value isNegative =
      arith::CmpIOp::create(b, arith::CmpIPredicate::uge, wide, b.i32(0x80));
  return arith::SelectOp::create(b, isNegative, arith::NegFOp::create(b, value),
                                 value);
}

/// The scale of a group whose largest magnitude is `largest`.
static Value scaleOf(LinalgBuilder &b, const CacheRow &layout, Value largest) {
  if (layout.isInt8())
    return arith::DivFOp::create(b, largest, b.f32(127));
  largest = arith::MaximumFOp::create(b, largest, b.f32(1e-4));
  return arith::DivFOp::create(b, largest, b.f32(448));
}

/// The quant of `x` in a group of that scale, in a byte.
static Value quantOf(LinalgBuilder &b, const CacheRow &layout, Value x,
                     Value scale) {
  double most = layout.isInt8() ? 127 : 448;
  // 0 / 0 would be NaN; any divisor gives the zeros wanted.
  Value isZero =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, scale, b.f32(0));
  Value divisor = arith::SelectOp::create(b, isZero, b.f32(1), scale);
  Value scaled = arith::DivFOp::create(b, x, divisor);
  scaled = arith::MinimumFOp::create(b, scaled, b.f32(most));
  scaled = arith::MaximumFOp::create(b, scaled, b.f32(-most));
  if (layout.isFp8())
    return toE4m3(b, scaled);
  scaled = math::RoundEvenOp::create(b, scaled);
  return arith::FPToSIOp::create(b, b.getI8Type(), scaled);
}

/// `plane` with the latent and the key of each token in rows with scales.
static Value appendQuantized(LinalgBuilder &b, const CacheRow &layout,
                             Value plane, Value rows, Value latent, Value key) {
  AffineExpr t, k;
  bindDims(b.getContext(), t, k);
  OpFoldResult tokens = b.size(latent, 0);
  auto bytes = [&](int64_t width) {
    return b.empty({tokens, b.constant(width)}, Type(b.getI8Type()));
  };
  for (int64_t g = 0; g < layout.groups(); ++g) {
    int64_t first = g * CacheRow::group;
    int64_t width = std::min(CacheRow::group, layout.latent - first);
    Value part = b.columns(latent, first, width);
    Value scales = b.generic({{t, k}, {t}}, part, b.filled({tokens}, b.f32(0)),
                             [](LinalgBuilder &b, ValueRange s) -> Value {
                               Value size = math::AbsFOp::create(b, s[0]);
                               return arith::MaximumFOp::create(b, s[1], size);
                             });
    scales = b.elementwise(scales, b.getF32Type(),
                           [&](LinalgBuilder &b, ValueRange s) -> Value {
                             return scaleOf(b, layout, s[0]);
                           });
    Value quants =
        b.generic({{t, k}, {t}, {t, k}}, {part, scales}, bytes(width),
                  [&](LinalgBuilder &b, ValueRange s) -> Value {
                    return quantOf(b, layout, s[0], s[1]);
                  });
    Value scaleBytes = b.generic({{t}, {t, k}}, scales, bytes(4),
                                 [&](LinalgBuilder &b, ValueRange s) {
                                   return byteOf(b, s[0], b.loop(k));
                                 });
    plane = scatterPart(b, plane, rows, quants, first);
    plane =
        scatterPart(b, plane, rows, scaleBytes, layout.scaleStart() + 4 * g);
  }
  Value keyBytes = b.generic(
      {{t, k}}, ValueRange(), bytes(2 * layout.rope),
      [&](LinalgBuilder &b, ValueRange) {
        Value column = arith::DivUIOp::create(b, b.loop(k), b.index(2));
        Value which = arith::RemUIOp::create(b, b.loop(k), b.index(2));
        Value x = b.extract(key, {b.loop(t), column});
        return byteOf(b, b.round(x, b.getBF16Type()), which);
      });
  return scatterPart(b, plane, rows, keyBytes, layout.keyStart());
}

Results decompose(LinalgBuilder &b, CacheAppendOp op) {
  auto type = cast<LatentCacheType>(op.getCache().getType());
  CacheRow layout(type);
  Value plane = getPlane(b, op.getCache(), op.getLayer());
  Value rows = getBatchField(b, op.getBatch(), BatchField::CacheRows);
  if (layout.hasScales()) {
    plane =
        appendQuantized(b, layout, plane, rows, op.getLatent(), op.getKey());
    return {
        CacheUpdateOp::create(b, type, op.getCache(), op.getLayer(), plane)};
  }
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
  using Element = llvm::function_ref<Value(LinalgBuilder &, Value, Value)>;
  auto gather = [&](int64_t width, Element element) {
    Value init =
        b.empty({b.size(rows, 0), b.constant(width)}, Type(b.getF32Type()));
    return b.generic({{s}, {s, k}}, rows, init,
                     [&](LinalgBuilder &b, ValueRange scalars) {
                       return element(b, b.toIndex(scalars[0]), b.loop(k));
                     });
  };
  CacheRow layout(type);
  if (!layout.hasScales()) {
    auto part = [&](int64_t column) {
      return [&plane, column](LinalgBuilder &b, Value row, Value i) {
        Value at = arith::AddIOp::create(b, i, b.index(column));
        return b.widen(b.extract(plane, {row, at}));
      };
    };
    return {gather(type.getLatent(), part(0)),
            gather(type.getRope(), part(type.getLatent()))};
  }
  auto at = [](LinalgBuilder &b, int64_t start, Value i, int64_t bytes) {
    Value offset = arith::MulIOp::create(b, i, b.index(bytes));
    return arith::AddIOp::create(b, b.index(start), offset).getResult();
  };
  Value latent =
      gather(layout.latent, [&](LinalgBuilder &b, Value row, Value i) -> Value {
        Value group = arith::DivUIOp::create(b, i, b.index(CacheRow::group));
        Value scale =
            floatOf(b, plane, row, at(b, layout.scaleStart(), group, 4), 4);
        Value byte = b.extract(plane, {row, i});
        Value quant =
            layout.isFp8()
                ? fromE4m3(b, byte)
                : arith::SIToFPOp::create(b, b.getF32Type(), byte).getResult();
        return arith::MulFOp::create(b, quant, scale);
      });
  Value key = gather(layout.rope, [&](LinalgBuilder &b, Value row, Value i) {
    return floatOf(b, plane, row, at(b, layout.keyStart(), i, 2), 2);
  });
  return {latent, key};
}

} // namespace mlir::dsv2
