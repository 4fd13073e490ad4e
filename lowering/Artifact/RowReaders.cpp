//===- RowReaders.cpp - Weight expressions as readers of rows -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/WeightEvaluator.h"
#include "lowering/X86/PackWeights.h"
#include "runtime/base/NumberFormats.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include <mutex>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Status;
using ::dsv2::TensorSource;

using Reader = std::shared_ptr<const RowReader>;

int64_t RowReader::rowCount() const {
  int64_t count = 1;
  for (int64_t size : ArrayRef(shape).drop_back(shape.empty() ? 0 : 1))
    count *= size;
  return count;
}

namespace {

/// A checkpoint tensor, or a stack of them: `*` in the name is the index of
/// the first dimension.
class SourceReader final : public RowReader {
public:
  SourceReader(ArrayRef<int64_t> shape, StringRef name,
               const TensorSource &source)
      : RowReader(shape), source(source), name(name) {
    star = this->name.find('*');
    rowsEach = rowCount();
    if (star != std::string::npos)
      rowsEach /= this->shape.front();
  }

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    if (star == std::string::npos)
      return source.readRows(name, firstRow, rows, out);
    while (rows > 0) {
      int64_t index = firstRow / rowsEach, first = firstRow % rowsEach;
      int64_t count = std::min(rows, rowsEach - first);
      std::string one = name;
      one.replace(star, 1, std::to_string(index));
      DSV2_RETURN_IF_ERROR(source.readRows(one, first, count, out));
      firstRow += count;
      rows -= count;
      out += count * rowSize();
    }
    return Status();
  }

private:
  const TensorSource &source;
  std::string name;
  size_t star;
  int64_t rowsEach;
};

/// The same rows under another shape with the same last dimension.
class ReshapeReader final : public RowReader {
public:
  ReshapeReader(ArrayRef<int64_t> shape, Reader input)
      : RowReader(shape), input(std::move(input)) {}
  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    return input->read(firstRow, rows, out);
  }

private:
  Reader input;
};

/// A box of the input.
class SliceReader final : public RowReader {
public:
  SliceReader(ArrayRef<int64_t> shape, ArrayRef<int64_t> offsets, Reader input)
      : RowReader(shape), offsets(offsets), input(std::move(input)) {}

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    bool wholeRows = rowSize() == input->rowSize();
    std::vector<float> buffer(wholeRows ? 0 : input->rowSize());
    while (rows > 0) {
      // Rows that are consecutive here and there: along the last row dimension.
      int64_t run = 1;
      if (shape.size() >= 2) {
        int64_t inner = shape[shape.size() - 2];
        run = std::min(rows, inner - firstRow % inner);
      }
      int64_t from = inputRow(firstRow);
      if (wholeRows) {
        DSV2_RETURN_IF_ERROR(input->read(from, run, out));
      } else {
        for (int64_t r = 0; r < run; ++r) {
          DSV2_RETURN_IF_ERROR(input->read(from + r, 1, buffer.data()));
          std::copy_n(buffer.data() + offsets.back(), rowSize(),
                      out + r * rowSize());
        }
      }
      firstRow += run;
      rows -= run;
      out += run * rowSize();
    }
    return Status();
  }

private:
  int64_t inputRow(int64_t row) const {
    int64_t result = 0, scale = 1;
    for (size_t i = shape.size() - 1; i-- > 0;) {
      result += (row % shape[i] + offsets[i]) * scale;
      row /= shape[i];
      scale *= input->shape[i];
    }
    return result;
  }

  SmallVector<int64_t> offsets;
  Reader input;
};

/// Concatenation along a dimension of rows.
class ConcatReader final : public RowReader {
public:
  ConcatReader(ArrayRef<int64_t> shape, unsigned dim,
               SmallVector<Reader> inputs)
      : RowReader(shape), inputs(std::move(inputs)) {
    for (const Reader &input : this->inputs) {
      int64_t rows = 1;
      for (size_t i = dim; i + 1 < input->shape.size(); ++i)
        rows *= input->shape[i];
      rowsEach.push_back(rows);
    }
  }

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    int64_t period = 0;
    for (int64_t each : rowsEach)
      period += each;
    while (rows > 0) {
      int64_t outer = firstRow / period, inner = firstRow % period;
      size_t part = 0;
      while (inner >= rowsEach[part])
        inner -= rowsEach[part++];
      int64_t run = std::min(rows, rowsEach[part] - inner);
      DSV2_RETURN_IF_ERROR(
          inputs[part]->read(outer * rowsEach[part] + inner, run, out));
      firstRow += run;
      rows -= run;
      out += run * rowSize();
    }
    return Status();
  }

private:
  SmallVector<Reader> inputs;
  SmallVector<int64_t> rowsEach; ///< of each input in one outer step
};

/// The last two dimensions exchanged. Reads one matrix of the input at a time
/// and keeps the last one, since rows are asked for in order.
class TransposeReader final : public RowReader {
public:
  TransposeReader(ArrayRef<int64_t> shape, Reader input)
      : RowReader(shape), input(std::move(input)) {}

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    int64_t rowsEach = shape[shape.size() - 2], width = rowSize();
    std::lock_guard<std::mutex> lock(mutex);
    for (int64_t r = 0; r < rows; ++r, out += width) {
      int64_t index = (firstRow + r) / rowsEach,
              row = (firstRow + r) % rowsEach;
      if (index != matrixIndex) {
        matrix.resize(width * rowsEach);
        matrixIndex = -1;
        DSV2_RETURN_IF_ERROR(input->read(index * width, width, matrix.data()));
        matrixIndex = index;
      }
      for (int64_t i = 0; i < width; ++i)
        out[i] = matrix[i * rowsEach + row];
    }
    return Status();
  }

private:
  Reader input;
  mutable std::mutex mutex;
  mutable std::vector<float> matrix;
  mutable int64_t matrixIndex = -1;
};

/// Values rounded to a narrower format.
class RoundReader final : public RowReader {
public:
  RoundReader(Reader input, Type element)
      : RowReader(input->shape), input(std::move(input)), element(element) {}

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    DSV2_RETURN_IF_ERROR(input->read(firstRow, rows, out));
    int64_t count = rows * rowSize();
    if (element.isBF16())
      for (int64_t i = 0; i < count; ++i)
        out[i] = ::dsv2::bf16ToFloat(::dsv2::floatToBf16(out[i]));
    else if (element.isF16())
      for (int64_t i = 0; i < count; ++i)
        out[i] = ::dsv2::f16ToFloat(::dsv2::floatToF16(out[i]));
    return Status();
  }

private:
  Reader input;
  Type element;
};

/// The values that quantized weights stand for: through the packed format, so
/// that every target computes with the same ones.
class QuantizedReader final : public RowReader {
public:
  QuantizedReader(Reader input, x86::WeightFormat format)
      : RowReader(input->shape), input(std::move(input)), format(format) {}

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    DSV2_RETURN_IF_ERROR(input->read(firstRow, rows, out));
    std::vector<std::byte> packed(
        x86::packedWeightBytes(format, rows, rowSize()));
    x86::packWeights(format, {out, rows, rowSize(), rowSize()}, packed.data());
    x86::unpackWeights(format, packed.data(), rows, rowSize(), out);
    return Status();
  }

private:
  Reader input;
  x86::WeightFormat format;
};

/// Translates one expression.
class ReaderBuilder {
public:
  explicit ReaderBuilder(const TensorSource &source) : source(source) {}

  FailureOr<Reader> build(WeightOp weight) {
    if (std::optional<StringRef> name = weight.getSource())
      return Reader(std::make_shared<SourceReader>(
          weight.getWeightType().getShape(), *name, source));
    return build(weight.getYielded());
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
  return Reader(std::make_shared<SliceReader>(
      op.getType().getShape(), op.getStaticOffsets(), std::move(input)));
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
  return Reader(std::make_shared<ConcatReader>(op.getResultType().getShape(),
                                               op.getDim(), std::move(inputs)));
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
  return Reader(std::make_shared<TransposeReader>(type.getShape(), *input));
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
  // Packing is the last step and quantizes as it packs, from the values before.
  if (auto pack = dyn_cast<PackWeightOp>(op)) {
    auto quantize = pack.getWeight().getDefiningOp<QuantizeOp>();
    return build(quantize ? quantize.getWeight() : pack.getWeight());
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
            return Reader(
                std::make_shared<ReshapeReader>(type.getShape(), *input));
          })
      .Case([&](arith::ExtFOp) -> FailureOr<Reader> { return *input; })
      .Case<arith::TruncFOp, DequantizeOp>(
          [&](Operation *) -> FailureOr<Reader> {
            if (type.getElementType().isF32())
              return *input;
            return Reader(
                std::make_shared<RoundReader>(*input, type.getElementType()));
          })
      .Case([&](QuantizeOp) -> FailureOr<Reader> {
        return Reader(std::make_shared<QuantizedReader>(
            *input, type.getElementType().isInteger(8)
                        ? x86::WeightFormat::int8
                        : x86::WeightFormat::int4));
      })
      .Default([](Operation *other) -> FailureOr<Reader> {
        return other->emitOpError("cannot be evaluated in a weight");
      });
}

FailureOr<Reader> mlir::dsv2::makeRowReader(WeightOp weight,
                                            const TensorSource &source) {
  return ReaderBuilder(source).build(weight);
}
