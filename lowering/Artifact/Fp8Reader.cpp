//===- Fp8Reader.cpp - Weights rounded to e4m3 in blocks ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/RowReaders.h"
#include "runtime/base/NumberFormats.h"

#include <algorithm>
#include <array>
#include <cmath>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::fp8BlockSize;
using ::dsv2::Status;

/// The value of each e4m3.
static const float *e4m3Values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> all;
    for (int bits = 0; bits < 256; ++bits)
      all[bits] = ::dsv2::e4m3ToFloat(static_cast<uint8_t>(bits));
    return all;
  }();
  return values.data();
}

namespace {

/// Blocks are counted from the first row of each matrix, so rows are read with
/// all others of their blocks.
class Fp8Reader final : public RowReader {
public:
  explicit Fp8Reader(RowReaderPtr input)
      : RowReader(input->shape), input(std::move(input)) {
    matrixRows = shape.size() < 2 ? 1 : shape[shape.size() - 2];
  }

  bool hasFp8() const override { return true; }

  Status readFp8(int64_t firstRow, int64_t rows, uint8_t *quants,
                 float *scales) const override {
    int64_t blocks = fp8Blocks(rowSize());
    return forBlocks(
        firstRow, rows, [&](const Block &block, int64_t row, int64_t done) {
          std::copy_n(&block.quants[row * rowSize()], rowSize(),
                      quants + done * rowSize());
          std::copy_n(block.scales.data(), blocks, scales + done * blocks);
        });
  }

  Status read(int64_t firstRow, int64_t rows, float *out) const override {
    const float *values = e4m3Values();
    return forBlocks(
        firstRow, rows, [&](const Block &block, int64_t row, int64_t done) {
          const uint8_t *quants = &block.quants[row * rowSize()];
          float *to = out + done * rowSize();
          for (int64_t i = 0; i < rowSize(); ++i)
            to[i] = values[quants[i]] * block.scales[i / fp8BlockSize];
        });
  }

private:
  /// Up to 128 rows of a matrix, and the scale of each 128 columns.
  struct Block {
    std::vector<uint8_t> quants;
    std::vector<float> scales;
  };

  Status readBlock(int64_t firstRow, int64_t rows, Block &block) const {
    int64_t depth = rowSize();
    std::vector<float> values(rows * depth);
    DSV2_RETURN_IF_ERROR(input->read(firstRow, rows, values.data()));
    block.quants.resize(rows * depth);
    block.scales.resize(fp8Blocks(depth));
    for (int64_t first = 0; first < depth; first += fp8BlockSize) {
      int64_t end = std::min(first + fp8BlockSize, depth);
      float largest = 1e-30f; // so that zeros have a scale
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = first; i < end; ++i)
          largest = std::max(largest, std::fabs(values[row * depth + i]));
      float inverse = 448.0f / largest;
      block.scales[first / fp8BlockSize] = largest / 448.0f;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = first; i < end; ++i)
          block.quants[row * depth + i] =
              ::dsv2::floatToE4m3(values[row * depth + i] * inverse);
    }
    return Status();
  }

  /// Calls use(block, row of it, rows before) for each of the rows.
  template <typename Use>
  Status forBlocks(int64_t firstRow, int64_t rows, Use use) const {
    Block block;
    for (int64_t done = 0; done < rows;) {
      int64_t row = firstRow + done, within = row % matrixRows;
      int64_t first = within / fp8BlockSize * fp8BlockSize;
      int64_t count = std::min(fp8BlockSize, matrixRows - first);
      DSV2_RETURN_IF_ERROR(readBlock(row - within + first, count, block));
      for (int64_t i = within - first; i < count && done < rows; ++i, ++done)
        use(block, i, done);
    }
    return Status();
  }

  RowReaderPtr input;
  int64_t matrixRows;
};

} // namespace

RowReaderPtr mlir::dsv2::makeFp8Reader(RowReaderPtr input) {
  return std::make_shared<Fp8Reader>(std::move(input));
}
