//===- BuildReaders.cpp - Weight expressions as readers of rows -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/RowReaders.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::TensorSource;

using Reader = RowReaderPtr;

namespace {

/// The format of a type that has groups.
std::optional<x86::WeightFormat> groupFormatOf(RankedTensorType type) {
  if (isa_and_nonnull<BlockInt8Attr>(type.getEncoding()))
    return x86::WeightFormat::int8;
  if (isa_and_nonnull<BlockInt4Attr>(type.getEncoding()))
    return x86::WeightFormat::int4;
  return std::nullopt;
}

bool hasFp8Blocks(Attribute encoding) {
  auto blocks = dyn_cast_or_null<BlockFp8Attr>(encoding);
  return blocks && blocks.getRows() == ::dsv2::fp8BlockSize &&
         blocks.getColumns() == ::dsv2::fp8BlockSize;
}

/// Translates one expression.
class ReaderBuilder {
public:
  explicit ReaderBuilder(const TensorSource &source) : source(source) {}

  FailureOr<Reader> build(WeightOp weight) {
    std::optional<StringRef> name = weight.getSource();
    if (!name)
      return build(weight.getYielded());
    RankedTensorType type = weight.getWeightType();
    Reader reader = makeSourceReader(type.getShape(), *name, source);
    // A source that has other numbers, such as random ones, is quantized.
    if (hasFp8Blocks(type.getEncoding()) && !reader->hasFp8())
      reader = makeFp8Reader(reader);
    std::optional<x86::WeightFormat> format = groupFormatOf(type);
    if (format && !reader->hasGroups())
      reader = makeQuantizedReader(reader, *format);
    return reader;
  }

private:
  FailureOr<Reader> build(Value value);
  FailureOr<Reader> slice(tensor::ExtractSliceOp op, Reader input);
  FailureOr<Reader> concat(tensor::ConcatOp op);
  FailureOr<Reader> transpose(linalg::TransposeOp op);

  const TensorSource &source;
};

} // namespace

FailureOr<Reader> ReaderBuilder::slice(tensor::ExtractSliceOp op,
                                       Reader input) {
  if (ShapedType::isDynamicShape(op.getStaticOffsets()) ||
      llvm::any_of(op.getStaticStrides(), [](int64_t s) { return s != 1; }) ||
      op.getType().getRank() != op.getSourceType().getRank())
    return op.emitOpError("expects a static box of a weight of its rank");
  return (makeSliceReader(op.getType().getShape(), op.getStaticOffsets(),
                          std::move(input)));
}

FailureOr<Reader> ReaderBuilder::concat(tensor::ConcatOp op) {
  unsigned rank = op.getResultType().getRank();
  if (op.getDim() + 1 >= rank)
    return op.emitOpError("expects weights concatenated along their rows");
  SmallVector<Reader> inputs;
  for (Value operand : op.getInputs()) {
    FailureOr<Reader> input = build(operand);
    if (failed(input))
      return failure();
    inputs.push_back(*input);
  }
  return (makeConcatReader(op.getResultType().getShape(), op.getDim(),
                           std::move(inputs)));
}

FailureOr<Reader> ReaderBuilder::transpose(linalg::TransposeOp op) {
  ArrayRef<int64_t> permutation = op.getPermutation();
  auto type = cast<RankedTensorType>(op.getInit().getType());
  int64_t rank = permutation.size();
  bool swapsLast = rank >= 2 && permutation[rank - 1] == rank - 2 &&
                   permutation[rank - 2] == rank - 1;
  for (int64_t i = 0; i < rank - 2; ++i)
    swapsLast &= permutation[i] == i;
  if (!swapsLast)
    return op.emitOpError("expects the last two dimensions of a weight "
                          "exchanged");
  FailureOr<Reader> input = build(op.getInput());
  if (failed(input))
    return failure();
  return (makeTransposeReader(type.getShape(), *input));
}

FailureOr<Reader> ReaderBuilder::build(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto get = dyn_cast<GetWeightOp>(op))
    return build(SymbolTable::lookupNearestSymbolFrom<WeightOp>(
        get, get.getWeightAttr()));
  if (auto concatOp = dyn_cast<tensor::ConcatOp>(op))
    return concat(concatOp);
  if (auto transposeOp = dyn_cast<linalg::TransposeOp>(op))
    return transpose(transposeOp);
  if (op->getNumOperands() == 0)
    return op->emitOpError("cannot be evaluated in a weight");
  // Packing is the last step; integers are quantized as they are packed, from
  // the values before.
  if (auto pack = dyn_cast<PackWeightOp>(op)) {
    auto quantize = pack.getWeight().getDefiningOp<QuantizeOp>();
    bool packs =
        quantize && groupFormatOf(cast<RankedTensorType>(quantize.getType()));
    FailureOr<Reader> input =
        build(packs ? quantize.getWeight() : pack.getWeight());
    auto type = cast<RankedTensorType>(pack.getType());
    int64_t run = cast<PanelsAttr>(type.getEncoding()).getInterleave();
    if (failed(input) || run == 0)
      return input;
    return makeInterleavedReader(*input, run);
  }
  FailureOr<Reader> input = build(op->getOperand(0));
  if (failed(input))
    return failure();
  auto type = cast<RankedTensorType>(value.getType());
  return TypeSwitch<Operation *, FailureOr<Reader>>(op)
      .Case([&](tensor::ExtractSliceOp extract) {
        return slice(extract, *input);
      })
      .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
          [&](Operation *reshape) -> FailureOr<Reader> {
            if (type.getShape().back() != (*input)->rowSize())
              return reshape->emitOpError(
                  "expects a reshape that keeps the rows of a weight");
            return (makeReshapeReader(type.getShape(), *input));
          })
      .Case([&](arith::ExtFOp) -> FailureOr<Reader> { return *input; })
      .Case<arith::TruncFOp, DequantizeOp>(
          [&](Operation *) -> FailureOr<Reader> {
            if (type.getElementType().isF32())
              return *input;
            return (makeRoundReader(*input, type.getElementType()));
          })
      .Case([&](QuantizeOp quantize) -> FailureOr<Reader> {
        if (hasFp8Blocks(type.getEncoding()))
          return makeFp8Reader(*input);
        if (!groupFormatOf(type))
          return quantize.emitOpError("expects blocks of 128 x 128 of fp8");
        return (makeQuantizedReader(*input, *groupFormatOf(type)));
      })
      .Default([](Operation *other) -> FailureOr<Reader> {
        return other->emitOpError("cannot be evaluated in a weight");
      });
}

FailureOr<Reader> mlir::dsv2::makeRowReader(WeightOp weight,
                                            const TensorSource &source) {
  return ReaderBuilder(source).build(weight);
}
