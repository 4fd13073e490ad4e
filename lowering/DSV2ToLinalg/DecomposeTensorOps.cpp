//===- DecomposeTensorOps.cpp - Embedding, norm, linear, RoPE -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/DSV2ToLinalg/Decompose.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::dsv2 {

/// result[i, j] = table[rows[i], j], widened.
static Value gatherRows(LinalgBuilder &b, Value table, Value rows) {
  AffineExpr i, j;
  bindDims(b.getContext(), i, j);
  Value init =
      b.empty({b.size(rows, 0), b.size(table, 1)}, Type(b.getF32Type()));
  return b.generic({{i}, {i, j}}, rows, init,
                   [&](LinalgBuilder &b, ValueRange scalars) {
                     Value row = b.toIndex(scalars[0]);
                     return b.widen(b.extract(table, {row, b.loop(j)}));
                   });
}

Results decompose(LinalgBuilder &b, EmbedOp op) {
  return {gatherRows(b, op.getTable(), op.getTokens())};
}

Results decompose(LinalgBuilder &b, SelectRowsOp op) {
  Value rows = getBatchField(b, op.getBatch(), BatchField::LogitRows);
  return {gatherRows(b, op.getInput(), rows)};
}

Results decompose(LinalgBuilder &b, RMSNormOp op) {
  AffineExpr t, k;
  bindDims(b.getContext(), t, k);
  Value input = op.getInput();
  OpFoldResult rows = b.size(input, 0);
  int64_t width = cast<RankedTensorType>(input.getType()).getDimSize(1);

  Value squares = b.generic({{t, k}, {t}}, input, b.filled({rows}, b.f32(0)),
                            [](LinalgBuilder &b, ValueRange s) -> Value {
                              Value square =
                                  arith::MulFOp::create(b, s[0], s[0]);
                              return arith::AddFOp::create(b, s[1], square);
                            });
  Value inverse = b.elementwise(
      squares, b.getF32Type(), [&](LinalgBuilder &b, ValueRange s) -> Value {
        Value mean = arith::DivFOp::create(b, s[0], b.f32(width));
        Value sum = arith::AddFOp::create(b, mean,
                                          b.f32(op.getEps().convertToDouble()));
        Value root = math::SqrtOp::create(b, sum);
        return arith::DivFOp::create(b, b.f32(1), root);
      });
  Value init = b.empty(b.sizes(input), op.getResult());
  return {b.generic({{t, k}, {t}, {k}, {t, k}}, {input, inverse, op.getGamma()},
                    init, [](LinalgBuilder &b, ValueRange s) {
                      Value unit = arith::MulFOp::create(b, s[0], s[1]);
                      Value scaled =
                          arith::MulFOp::create(b, unit, b.widen(s[2]));
                      return b.round(scaled, s[3].getType());
                    })};
}

Value multiplyAdd(LinalgBuilder &b, ValueRange scalars) {
  Value left = b.widen(scalars[0]);
  Value right = b.widen(scalars[1]);
  Value product = arith::MulFOp::create(b, left, right);
  return arith::AddFOp::create(b, scalars[2], product);
}

/// `sums` in the format of `like`.
static Value roundTo(LinalgBuilder &b, Value sums, Value like) {
  auto type = cast<RankedTensorType>(like.getType());
  if (type.getElementType().isF32() && !type.getEncoding())
    return sums;
  Indexing dims;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    dims.push_back(b.getAffineDimExpr(dim));
  return b.generic({dims, dims}, sums, b.empty(b.sizes(sums), like),
                   [](LinalgBuilder &b, ValueRange s) {
                     return b.round(s[0], s[1].getType());
                   });
}

Results decompose(LinalgBuilder &b, LinearOp op) {
  AffineExpr t, n, k;
  bindDims(b.getContext(), t, n, k);
  Sizes sizes = {b.size(op.getInput(), 0), b.size(op.getWeight(), 0)};
  return {b.generic({{t, k}, {n, k}, {t, n}}, {op.getInput(), op.getWeight()},
                    b.filled(sizes, b.f32(0)), multiplyAdd)};
}

Results decompose(LinalgBuilder &b, HeadProjectOp op) {
  AffineExpr t, h, n, k;
  bindDims(b.getContext(), t, h, n, k);
  bool shared = cast<RankedTensorType>(op.getInput().getType()).getRank() == 2;
  Indexing input = shared ? Indexing{t, k} : Indexing{t, h, k};
  Sizes sizes = {b.size(op.getInput(), 0), b.size(op.getWeight(), 0),
                 b.size(op.getWeight(), 1)};
  Value sums =
      b.generic({input, {h, n, k}, {t, h, n}}, {op.getInput(), op.getWeight()},
                b.filled(sizes, b.f32(0)), multiplyAdd);
  return {roundTo(b, sums, op.getResult())};
}

/// `function` of position * frequency, times the magnitude, for each token and
/// pair.
template <typename FunctionOp>
static Value rotationTable(LinalgBuilder &b, RopeOp op, Value positions,
                           Value frequencies) {
  AffineExpr t, i;
  bindDims(b.getContext(), t, i);
  Value init = b.empty({b.size(positions, 0), b.size(frequencies, 0)},
                       Type(b.getF32Type()));
  double magnitude = op.getRope().getMagnitude();
  return b.generic(
      {{t}, {i}, {t, i}}, {positions, frequencies}, init,
      [&](LinalgBuilder &b, ValueRange s) -> Value {
        Value position = arith::SIToFPOp::create(b, b.getF64Type(), s[0]);
        Value angle = arith::MulFOp::create(b, position, s[1]);
        Value value = FunctionOp::create(b, angle);
        if (magnitude != 1)
          value = arith::MulFOp::create(
              b, value,
              arith::ConstantOp::create(b, b.getF64FloatAttr(magnitude)));
        return b.round(value, b.getF32Type());
      });
}

Results decompose(LinalgBuilder &b, RopeOp op) {
  Value input = op.getInput();
  auto type = cast<RankedTensorType>(input.getType());
  int64_t width = type.getShape().back();
  Value positions = getBatchField(b, op.getBatch(), BatchField::Positions);
  Value frequencies = arith::ConstantOp::create(
      b, DenseElementsAttr::get(
             RankedTensorType::get({width / 2}, b.getF64Type()),
             ArrayRef<double>(op.getRope().getInverseFrequencies(width))));
  Value cosines = rotationTable<math::CosOp>(b, op, positions, frequencies);
  Value sines = rotationTable<math::SinOp>(b, op, positions, frequencies);

  // Element j turns with element j ^ 1: j is the real part when it is even.
  Indexing dims;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    dims.push_back(b.getAffineDimExpr(dim));
  Indexing pair = {dims.front(), dims.back().floorDiv(2)};
  return {b.generic(
      {dims, pair, pair, dims}, {input, cosines, sines},
      b.empty(b.sizes(input), op.getResult()),
      [&](LinalgBuilder &b, ValueRange s) {
        SmallVector<Value> partner;
        for (AffineExpr dim : dims)
          partner.push_back(b.loop(dim));
        Value element = partner.back();
        partner.back() = arith::XOrIOp::create(b, element, b.index(1));
        Value isOdd = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt,
                                            element, partner.back());
        Value kept = arith::MulFOp::create(b, s[0], s[1]);
        Value turned =
            arith::MulFOp::create(b, b.extract(input, partner), s[2]);
        Value sum = arith::AddFOp::create(b, kept, turned);
        Value difference = arith::SubFOp::create(b, kept, turned);
        Value rotated = arith::SelectOp::create(b, isOdd, sum, difference);
        return b.round(rotated, s[3].getType());
      })};
}

Value emitSwiglu(LinalgBuilder &b, Value gate, Value up) {
  Value power = math::ExpOp::create(b, arith::NegFOp::create(b, gate));
  Value divisor = arith::AddFOp::create(b, b.f32(1), power);
  Value silu = arith::DivFOp::create(b, gate, divisor);
  return arith::MulFOp::create(b, silu, up);
}

Results decompose(LinalgBuilder &b, SwigluOp op) {
  AffineExpr t, k;
  bindDims(b.getContext(), t, k);
  Indexing dims = {t, k};
  return {b.generic({dims, dims, dims}, {op.getGate(), op.getUp()},
                    b.empty(b.sizes(op.getGate()), op.getResult()),
                    [](LinalgBuilder &b, ValueRange s) {
                      return b.round(emitSwiglu(b, s[0], s[1]), s[2].getType());
                    })};
}

Results decompose(LinalgBuilder &b, PackRowsOp op) {
  return {roundTo(b, op.getInput(), op.getResult())};
}

} // namespace mlir::dsv2
