//===- RowReaders.cpp - Readers of rows -----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/RowReaders.h"
#include "runtime/base/NumberFormats.h"

#include "llvm/ADT/STLExtras.h"

#include <mutex>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Status;
using ::dsv2::TensorSource;

using Reader = RowReaderPtr;

int64_t RowReader::rowCount() const {
  int64_t count = 1;
  for (int64_t size : ArrayRef(shape).drop_back(shape.empty() ? 0 : 1))
    count *= size;
  return count;
}

Status RowReader::readGroups(int64_t, int64_t, int8_t *, uint16_t *) const {
  return Status(::dsv2::StatusCode::internal,
                "a weight is read in groups that has none");
}

Status RowReader::readFp8(int64_t, int64_t, uint8_t *, float *) const {
  return Status(::dsv2::StatusCode::internal,
                "a weight is read as e4m3 that is not");
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
    return forTensors(firstRow, rows,
                      [&](const std::string &tensor, int64_t first,
                          int64_t count, int64_t done) {
                        return source.readRows(tensor, first, count,
                                               out + done * rowSize());
                      });
  }

  bool hasGroups() const override {
    auto info = source.info(tensorAt(0));
    return info.ok() && info->hasGroups;
  }

  Status readGroups(int64_t firstRow, int64_t rows, int8_t *quants,
                    uint16_t *scales) const override {
    return forTensors(firstRow, rows,
                      [&](const std::string &tensor, int64_t first,
                          int64_t count, int64_t done) {
                        return source.readGroups(
                            tensor, first, count, quants + done * rowSize(),
                            scales + done * x86::groupCount(rowSize()));
                      });
  }

  bool hasFp8() const override {
    auto info = source.info(tensorAt(0));
    return info.ok() && info->hasFp8;
  }

  Status readFp8(int64_t firstRow, int64_t rows, uint8_t *quants,
                 float *scales) const override {
    return forTensors(firstRow, rows,
                      [&](const std::string &tensor, int64_t first,
                          int64_t count, int64_t done) {
                        return source.readFp8(
                            tensor, first, count, quants + done * rowSize(),
                            scales + done * fp8Blocks(rowSize()));
                      });
  }

private:
  std::string tensorAt(int64_t index) const {
    std::string one = name;
    if (star != std::string::npos)
      one.replace(star, 1, std::to_string(index));
    return one;
  }

  /// Calls read(tensor, first row, rows, rows before these) for each tensor
  /// that has some of the rows.
  template <typename Read>
  Status forTensors(int64_t firstRow, int64_t rows, Read read) const {
    for (int64_t done = 0; done < rows;) {
      int64_t row = firstRow + done;
      int64_t count = std::min(rows - done, rowsEach - row % rowsEach);
      DSV2_RETURN_IF_ERROR(
          read(tensorAt(row / rowsEach), row % rowsEach, count, done));
      done += count;
    }
    return Status();
  }

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
  bool hasGroups() const override { return input->hasGroups(); }
  Status readGroups(int64_t firstRow, int64_t rows, int8_t *quants,
                    uint16_t *scales) const override {
    return input->readGroups(firstRow, rows, quants, scales);
  }
  bool hasFp8() const override { return input->hasFp8(); }
  Status readFp8(int64_t firstRow, int64_t rows, uint8_t *quants,
                 float *scales) const override {
    return input->readFp8(firstRow, rows, quants, scales);
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
    std::vector<float> buffer(input->rowSize());
    return forRuns(
        firstRow, rows, [&](int64_t from, int64_t count, int64_t done) {
          float *to = out + done * rowSize();
          if (wholeRows())
            return input->read(from, count, to);
          for (int64_t r = 0; r < count; ++r) {
            DSV2_RETURN_IF_ERROR(input->read(from + r, 1, buffer.data()));
            std::copy_n(buffer.data() + offsets.back(), rowSize(),
                        to + r * rowSize());
          }
          return Status();
        });
  }

  /// Of whole groups, so that their scales are kept.
  bool hasGroups() const override {
    return input->hasGroups() && endsWithGroup(x86::groupSize);
  }
  Status readGroups(int64_t firstRow, int64_t rows, int8_t *quants,
                    uint16_t *scales) const override {
    return readParts(firstRow, rows, quants, scales, x86::groupSize,
                     [&](int64_t row, int8_t *rowQuants, uint16_t *rowScales) {
                       return input->readGroups(row, 1, rowQuants, rowScales);
                     });
  }
  bool hasFp8() const override {
    return input->hasFp8() && endsWithGroup(::dsv2::fp8BlockSize);
  }
  Status readFp8(int64_t firstRow, int64_t rows, uint8_t *quants,
                 float *scales) const override {
    return readParts(firstRow, rows, quants, scales, ::dsv2::fp8BlockSize,
                     [&](int64_t row, uint8_t *rowQuants, float *rowScales) {
                       return input->readFp8(row, 1, rowQuants, rowScales);
                     });
  }

private:
  bool wholeRows() const { return rowSize() == input->rowSize(); }
  bool endsWithGroup(int64_t columns) const {
    return wholeRows() ||
           (offsets.back() % columns == 0 && rowSize() % columns == 0);
  }

  /// Calls read(row of the input, rows, rows before these) for each run of
  /// rows that are consecutive here and there: along the last row dimension.
  template <typename Read>
  Status forRuns(int64_t firstRow, int64_t rows, Read read) const {
    for (int64_t done = 0; done < rows;) {
      int64_t row = firstRow + done, run = 1;
      if (shape.size() >= 2) {
        int64_t inner = shape[shape.size() - 2];
        run = std::min(rows - done, inner - row % inner);
      }
      DSV2_RETURN_IF_ERROR(read(inputRow(row), run, done));
      done += run;
    }
    return Status();
  }

  /// Quants and the scales of groups of `columns`, row by row.
  template <typename Quant, typename Scale, typename Read>
  Status readParts(int64_t firstRow, int64_t rows, Quant *quants, Scale *scales,
                   int64_t columns, Read read) const {
    auto groups = [&](int64_t size) { return (size + columns - 1) / columns; };
    int64_t width = input->rowSize(), scalesOfRow = groups(rowSize());
    std::vector<Quant> rowQuants(width);
    std::vector<Scale> rowScales(groups(width));
    return forRuns(
        firstRow, rows, [&](int64_t from, int64_t count, int64_t done) {
          for (int64_t r = 0; r < count; ++r) {
            DSV2_RETURN_IF_ERROR(
                read(from + r, rowQuants.data(), rowScales.data()));
            std::copy_n(rowQuants.data() + offsets.back(), rowSize(),
                        quants + (done + r) * rowSize());
            std::copy_n(rowScales.data() + offsets.back() / columns,
                        scalesOfRow, scales + (done + r) * scalesOfRow);
          }
          return Status();
        });
  }

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
    return forInputs(firstRow, rows,
                     [&](const RowReader &input, int64_t first, int64_t count,
                         int64_t done) {
                       return input.read(first, count, out + done * rowSize());
                     });
  }

  bool hasGroups() const override {
    return llvm::all_of(inputs,
                        [](const Reader &input) { return input->hasGroups(); });
  }

  Status readGroups(int64_t firstRow, int64_t rows, int8_t *quants,
                    uint16_t *scales) const override {
    return forInputs(firstRow, rows,
                     [&](const RowReader &input, int64_t first, int64_t count,
                         int64_t done) {
                       return input.readGroups(
                           first, count, quants + done * rowSize(),
                           scales + done * x86::groupCount(rowSize()));
                     });
  }

  bool hasFp8() const override {
    return llvm::all_of(inputs,
                        [](const Reader &input) { return input->hasFp8(); });
  }

  Status readFp8(int64_t firstRow, int64_t rows, uint8_t *quants,
                 float *scales) const override {
    return forInputs(firstRow, rows,
                     [&](const RowReader &input, int64_t first, int64_t count,
                         int64_t done) {
                       return input.readFp8(
                           first, count, quants + done * rowSize(),
                           scales + done * fp8Blocks(rowSize()));
                     });
  }

private:
  /// Calls read(input, first row, rows, rows before these) for each run of
  /// rows of one input.
  template <typename Read>
  Status forInputs(int64_t firstRow, int64_t rows, Read read) const {
    int64_t period = 0;
    for (int64_t each : rowsEach)
      period += each;
    for (int64_t done = 0; done < rows;) {
      int64_t outer = (firstRow + done) / period;
      int64_t inner = (firstRow + done) % period;
      size_t part = 0;
      while (inner >= rowsEach[part])
        inner -= rowsEach[part++];
      int64_t count = std::min(rows - done, rowsEach[part] - inner);
      DSV2_RETURN_IF_ERROR(
          read(*inputs[part], outer * rowsEach[part] + inner, count, done));
      done += count;
    }
    return Status();
  }

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

  bool hasGroups() const override { return true; }

  Status readGroups(int64_t firstRow, int64_t rows, int8_t *quants,
                    uint16_t *scales) const override {
    std::vector<float> values(rows * rowSize());
    DSV2_RETURN_IF_ERROR(input->read(firstRow, rows, values.data()));
    x86::quantizeGroups(format, {values.data(), rows, rowSize(), rowSize()},
                        quants, scales);
    return Status();
  }

private:
  Reader input;
  x86::WeightFormat format;
};

} // namespace

Reader mlir::dsv2::makeSourceReader(ArrayRef<int64_t> shape, StringRef name,
                                    const TensorSource &source) {
  return std::make_shared<SourceReader>(shape, name, source);
}

Reader mlir::dsv2::makeReshapeReader(ArrayRef<int64_t> shape, Reader input) {
  return std::make_shared<ReshapeReader>(shape, std::move(input));
}

Reader mlir::dsv2::makeSliceReader(ArrayRef<int64_t> shape,
                                   ArrayRef<int64_t> offsets, Reader input) {
  return std::make_shared<SliceReader>(shape, offsets, std::move(input));
}

Reader mlir::dsv2::makeConcatReader(ArrayRef<int64_t> shape, unsigned dim,
                                    SmallVector<Reader> inputs) {
  return std::make_shared<ConcatReader>(shape, dim, std::move(inputs));
}

Reader mlir::dsv2::makeTransposeReader(ArrayRef<int64_t> shape, Reader input) {
  return std::make_shared<TransposeReader>(shape, std::move(input));
}

Reader mlir::dsv2::makeRoundReader(Reader input, Type element) {
  return std::make_shared<RoundReader>(std::move(input), element);
}

Reader mlir::dsv2::makeQuantizedReader(Reader input, x86::WeightFormat format) {
  return std::make_shared<QuantizedReader>(std::move(input), format);
}
