//===- LinalgBuilder.cpp - Linalg on tensors, concisely -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/DSV2ToLinalg/LinalgBuilder.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::dsv2 {

Value LinalgBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}

Value LinalgBuilder::i32(int64_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(value));
}

Value LinalgBuilder::f32(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}

Value LinalgBuilder::toIndex(Value i32) {
  return arith::IndexCastOp::create(*this, getIndexType(), i32);
}

Value LinalgBuilder::toI32(Value index) {
  return arith::IndexCastOp::create(*this, getI32Type(), index);
}

Value LinalgBuilder::widen(Value narrow) {
  if (narrow.getType().isF32())
    return narrow;
  return arith::ExtFOp::create(*this, getF32Type(), narrow);
}

Value LinalgBuilder::round(Value f32, Type type) {
  if (f32.getType() == type)
    return f32;
  return arith::TruncFOp::create(*this, type, f32);
}

Value LinalgBuilder::loop(AffineExpr dim) {
  return linalg::IndexOp::create(*this, cast<AffineDimExpr>(dim).getPosition());
}

Value LinalgBuilder::extract(Value tensor, ValueRange indices) {
  return tensor::ExtractOp::create(*this, tensor, indices);
}

OpFoldResult LinalgBuilder::size(Value tensor, int64_t dim) {
  return tensor::getMixedSize(*this, getLoc(), tensor, dim);
}

Sizes LinalgBuilder::sizes(Value tensor) {
  return tensor::getMixedSizes(*this, getLoc(), tensor);
}

Value LinalgBuilder::empty(const Sizes &sizes, Value like) {
  auto type = cast<RankedTensorType>(like.getType());
  return tensor::EmptyOp::create(*this, sizes, type.getElementType(),
                                 type.getEncoding());
}

Value LinalgBuilder::empty(const Sizes &sizes, Type element) {
  return tensor::EmptyOp::create(*this, sizes, element);
}

Value LinalgBuilder::filled(const Sizes &sizes, Value scalar) {
  Value init = empty(sizes, scalar.getType());
  return linalg::FillOp::create(*this, scalar, init).getResult(0);
}

Value LinalgBuilder::columns(Value matrix, int64_t offset, int64_t width) {
  return tensor::ExtractSliceOp::create(
      *this, matrix, Sizes{constant(0), constant(offset)},
      Sizes{size(matrix, 0), constant(width)}, Sizes{constant(1), constant(1)});
}

Value LinalgBuilder::generic(ArrayRef<Indexing> indexing, ValueRange inputs,
                             Value init, Body body) {
  SmallVector<ArrayRef<AffineExpr>> lists(indexing.begin(), indexing.end());
  SmallVector<AffineMap> maps =
      AffineMap::inferFromExprList(lists, getContext());
  SmallVector<utils::IteratorType> iterators(maps.back().getNumDims(),
                                             utils::IteratorType::reduction);
  for (AffineExpr expr : indexing.back())
    iterators[cast<AffineDimExpr>(expr).getPosition()] =
        utils::IteratorType::parallel;
  return linalg::GenericOp::create(
             *this, init.getType(), inputs, init, maps, iterators,
             [&](OpBuilder &builder, Location loc, ValueRange scalars) {
               LinalgBuilder nested(loc, builder);
               linalg::YieldOp::create(nested, body(nested, scalars));
             })
      .getResult(0);
}

Value LinalgBuilder::elementwise(ValueRange inputs, Type element, Body body) {
  auto type = cast<RankedTensorType>(inputs.front().getType());
  Indexing dims;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    dims.push_back(getAffineDimExpr(dim));
  SmallVector<Indexing> indexing(inputs.size() + 1, dims);
  return generic(indexing, inputs, empty(sizes(inputs.front()), element), body);
}

SmallVector<Value> LinalgBuilder::forEach(Value count, ValueRange inits,
                                          Step step) {
  auto loop = scf::ForOp::create(
      *this, index(0), count, index(1), inits,
      [&](OpBuilder &builder, Location loc, Value iv, ValueRange carried) {
        LinalgBuilder nested(loc, builder);
        scf::YieldOp::create(nested, step(nested, iv, carried));
      });
  return SmallVector<Value>(loop.getResults());
}

Value LinalgBuilder::sizeValue(OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(*this, getLoc(), size);
}

} // namespace mlir::dsv2
