//===- ConcatWeights.cpp - One weight from several ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/ConcatWeights.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace mlir::dsv2;

/// The weight without its number format, or null where it is not known.
static Value getPlain(Value weight) {
  if (auto quantize = weight.getDefiningOp<QuantizeOp>())
    weight = quantize.getWeight();
  auto type = cast<RankedTensorType>(weight.getType());
  return type.getEncoding() || !type.hasStaticShape() ? Value() : weight;
}

/// Whether the rows of a format can be stored one behind the other.
static bool isGrouped(RankedTensorType type) {
  return type.hasStaticShape() &&
         isa_and_nonnull<BlockInt8Attr, BlockInt4Attr, BlockFp8Attr>(
             type.getEncoding());
}

/// Whether the weights before quantization can be concatenated instead.
static bool arePlainAlike(Value a, Value b) {
  Value aPlain = getPlain(a), bPlain = getPlain(b);
  return aPlain && bPlain &&
         getElementTypeOrSelf(aPlain) == getElementTypeOrSelf(bPlain);
}

bool dsv2::canConcat(Value a, Value b) {
  auto aType = cast<RankedTensorType>(a.getType());
  auto bType = cast<RankedTensorType>(b.getType());
  if (aType.getElementType() != bType.getElementType() ||
      aType.getEncoding() != bType.getEncoding())
    return false;
  return arePlainAlike(a, b) || (isGrouped(aType) && isGrouped(bType));
}

bool dsv2::endsWithBlock(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  auto blocks = dyn_cast_or_null<BlockFp8Attr>(type.getEncoding());
  return !blocks ||
         (type.getRank() >= 2 &&
          type.getDimSize(type.getRank() - 2) % blocks.getRows() == 0);
}

Value dsv2::concatWeights(OpBuilder &builder, Location loc, int64_t dim,
                          ArrayRef<Value> weights) {
  auto type = cast<RankedTensorType>(weights.front().getType());
  bool arePlain = llvm::all_of(weights, [&](Value weight) {
    return arePlainAlike(weights.front(), weight);
  });
  SmallVector<Value> inputs(weights);
  if (arePlain)
    inputs = llvm::map_to_vector(weights, getPlain);
  ArrayRef<int64_t> shape =
      tensor::ConcatOp::inferResultType(dim, ValueRange(inputs).getTypes())
          .getShape();
  auto result =
      RankedTensorType::get(shape, type.getElementType(), type.getEncoding());
  if (!arePlain)
    return tensor::ConcatOp::create(builder, loc, result, dim, inputs);
  Value concat = tensor::ConcatOp::create(builder, loc, dim, inputs);
  if (!type.getEncoding())
    return concat;
  return QuantizeOp::create(builder, loc, result, concat);
}
