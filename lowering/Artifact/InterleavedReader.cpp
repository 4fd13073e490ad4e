//===- InterleavedReader.cpp - Rows of two halves in turn -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/RowReaders.h"

#include <algorithm>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Status;

namespace {

class InterleavedReader final : public RowReader {
public:
  InterleavedReader(RowReaderPtr input, int64_t run)
      : RowReader(input->shape), input(std::move(input)), run(run),
        matrixRows(shape[shape.size() - 2]) {}

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    std::vector<float> buffer(rows * rowSize());
    return forHalves(firstRow, rows, [&](const Half &half) {
      DSV2_RETURN_IF_ERROR(input->read(half.first, half.rows, buffer.data()));
      spread(half, rowSize(), buffer.data(), out);
      return Status();
    });
  }

  bool hasGroups() const override { return input->hasGroups(); }

  Status readGroups(int64_t firstRow, int64_t rows, int8_t *quants,
                    uint16_t *scales) const override {
    int64_t groups = x86::groupCount(rowSize());
    std::vector<int8_t> quantBuffer(rows * rowSize());
    std::vector<uint16_t> scaleBuffer(rows * groups);
    return forHalves(firstRow, rows, [&](const Half &half) {
      DSV2_RETURN_IF_ERROR(input->readGroups(
          half.first, half.rows, quantBuffer.data(), scaleBuffer.data()));
      spread(half, rowSize(), quantBuffer.data(), quants);
      spread(half, groups, scaleBuffer.data(), scales);
      return Status();
    });
  }

  bool hasFp8() const override { return input->hasFp8(); }

  Status readFp8(int64_t firstRow, int64_t rows, uint8_t *quants,
                 float *scales) const override {
    int64_t blocks = fp8Blocks(rowSize());
    std::vector<uint8_t> quantBuffer(rows * rowSize());
    std::vector<float> scaleBuffer(rows * blocks);
    return forHalves(firstRow, rows, [&](const Half &half) {
      DSV2_RETURN_IF_ERROR(input->readFp8(
          half.first, half.rows, quantBuffer.data(), scaleBuffer.data()));
      spread(half, rowSize(), quantBuffer.data(), quants);
      spread(half, blocks, scaleBuffer.data(), scales);
      return Status();
    });
  }

private:
  /// Consecutive rows of the first or second half of a matrix, and the place of
  /// each among the rows that are read.
  struct Half {
    int64_t first = 0, rows = 0;
    SmallVector<int64_t> places;
  };

  template <typename Read>
  Status forHalves(int64_t firstRow, int64_t rows, Read readHalf) const {
    for (int64_t done = 0; done < rows;) {
      int64_t row = firstRow + done, matrix = row / matrixRows;
      int64_t count = std::min(rows - done, (matrix + 1) * matrixRows - row);
      Half halves[2];
      for (int64_t i = 0; i < count; ++i) {
        int64_t within = (row + i) % matrixRows, at = within % (2 * run);
        Half &half = halves[at / run];
        int64_t source = matrix * matrixRows + at / run * (matrixRows / 2) +
                         within / (2 * run) * run + at % run;
        if (half.places.empty())
          half.first = source;
        half.rows = source + 1 - half.first;
        half.places.push_back(done + i);
      }
      for (const Half &half : halves)
        if (half.rows > 0)
          DSV2_RETURN_IF_ERROR(readHalf(half));
      done += count;
    }
    return Status();
  }

  template <typename T>
  static void spread(const Half &half, int64_t width, const T *from, T *to) {
    for (auto [i, place] : llvm::enumerate(half.places))
      std::copy_n(from + static_cast<int64_t>(i) * width, width,
                  to + place * width);
  }

  RowReaderPtr input;
  int64_t run, matrixRows;
};

} // namespace

RowReaderPtr mlir::dsv2::makeInterleavedReader(RowReaderPtr input,
                                               int64_t run) {
  return std::make_shared<InterleavedReader>(std::move(input), run);
}
