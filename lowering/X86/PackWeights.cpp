//===- PackWeights.cpp - Float rows to panels and back --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/PackWeights.h"
#include "lowering/X86/QuantizeTile.h"
#include "runtime/base/NumberFormats.h"

#include <algorithm>
#include <cstring>

namespace dsv2::x86 {
namespace {

constexpr int64_t quads = groupSize / 4;

/// Where the quants of int4 and int8 blocks end and the scales start.
int64_t scalesOfBlock(WeightFormat format) {
  return blockBytes(format) - panelRows * 2;
}

void loadTile(ConstFloatMatrix matrix, int64_t firstRow, int64_t firstK,
              WeightTile &tile) {
  int64_t rows = std::min(panelRows, matrix.rows - firstRow);
  int64_t depth = std::min(groupSize, matrix.depth - firstK);
  if (rows < panelRows || depth < groupSize)
    std::memset(&tile, 0, sizeof(tile));
  for (int64_t r = 0; r < rows; ++r) {
    const float *source = matrix.data + (firstRow + r) * matrix.stride + firstK;
    for (int64_t k = 0; k < depth; ++k)
      tile.values[k][r] = source[k];
  }
}

void packBf16(const WeightTile &tile, std::byte *out) {
  uint16_t block[groupSize / 2][panelRows][2];
  for (int64_t k = 0; k < groupSize; ++k)
    for (int64_t r = 0; r < panelRows; ++r)
      block[k / 2][r][k % 2] = floatToBf16(tile.values[k][r]);
  std::memcpy(out, block, sizeof(block));
}

void quantize(WeightFormat format, const WeightTile &tile,
              QuantizedTile &quantized) {
  if (format == WeightFormat::int8)
    quantizeInt8(tile, quantized);
  else
    quantizeInt4(tile, quantized);
}

void layOutInt8(const QuantizedTile &quantized, std::byte *out) {
  uint8_t block[quads][panelRows][4];
  for (int64_t quad = 0; quad < quads; ++quad)
    for (int64_t r = 0; r < panelRows; ++r)
      for (int64_t j = 0; j < 4; ++j)
        block[quad][r][j] = quantized.quants[4 * quad + j][r];
  std::memcpy(out, block, sizeof(block));
  std::memcpy(out + sizeof(block), quantized.scales, sizeof(quantized.scales));
}

void layOutInt4(const QuantizedTile &quantized, std::byte *out) {
  uint8_t block[quads / 2][panelRows][4];
  for (int64_t pair = 0; pair < quads / 2; ++pair)
    for (int64_t r = 0; r < panelRows; ++r)
      for (int64_t j = 0; j < 4; ++j)
        block[pair][r][j] =
            static_cast<uint8_t>(quantized.quants[8 * pair + j][r] |
                                 quantized.quants[8 * pair + 4 + j][r] << 4);
  std::memcpy(out, block, sizeof(block));
  std::memcpy(out + sizeof(block), quantized.scales, sizeof(quantized.scales));
}

void layOut(WeightFormat format, const QuantizedTile &quantized,
            std::byte *out) {
  if (format == WeightFormat::int8)
    layOutInt8(quantized, out);
  else
    layOutInt4(quantized, out);
}

int zeroPointOf(WeightFormat format) {
  return format == WeightFormat::int8 ? 128 : 8;
}

/// One group of each row of a panel.
void loadTile(WeightFormat format, ConstGroupMatrix matrix, int64_t firstRow,
              int64_t firstK, QuantizedTile &tile) {
  int zeroPoint = zeroPointOf(format);
  int64_t rows = std::min(panelRows, matrix.rows - firstRow);
  int64_t depth = std::min(groupSize, matrix.depth - firstK);
  std::memset(tile.quants, zeroPoint, sizeof(tile.quants));
  std::memset(tile.scales, 0, sizeof(tile.scales));
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t *source =
        matrix.quants + (firstRow + r) * matrix.depth + firstK;
    for (int64_t k = 0; k < depth; ++k)
      tile.quants[k][r] = static_cast<uint8_t>(source[k] + zeroPoint);
    tile.scales[r] = matrix.scales[(firstRow + r) * groupCount(matrix.depth) +
                                   firstK / groupSize];
  }
}

/// The value at row r and k of a packed block.
float valueAt(WeightFormat format, const std::byte *block, int64_t r,
              int64_t k) {
  auto read16 = [](const std::byte *at) {
    uint16_t bits;
    std::memcpy(&bits, at, sizeof(bits));
    return bits;
  };
  auto byteAt = [&](int64_t offset) { return static_cast<int>(block[offset]); };
  switch (format) {
  case WeightFormat::f32: {
    float value;
    std::memcpy(&value, block + (k * panelRows + r) * 4, sizeof(value));
    return value;
  }
  case WeightFormat::bf16:
    return bf16ToFloat(
        read16(block + ((k / 2 * panelRows + r) * 2 + k % 2) * 2));
  case WeightFormat::int8: {
    float scale = f16ToFloat(read16(block + scalesOfBlock(format) + r * 2));
    int quant = byteAt(k / 4 * panelRows * 4 + r * 4 + k % 4);
    return static_cast<float>(quant - 128) * scale;
  }
  case WeightFormat::int4: {
    float scale = f16ToFloat(read16(block + scalesOfBlock(format) + r * 2));
    int both = byteAt(k / 8 * panelRows * 4 + r * 4 + k % 4);
    int quant = k % 8 < 4 ? both & 15 : both >> 4;
    return static_cast<float>(quant - 8) * scale;
  }
  }
  return 0.0f;
}

} // namespace

void packPanel(WeightFormat format, ConstFloatMatrix matrix, int64_t panel,
               std::byte *out) {
  WeightTile tile;
  QuantizedTile quantized;
  for (int64_t k = 0; k < paddedDepth(matrix.depth); k += groupSize) {
    loadTile(matrix, panel * panelRows, k, tile);
    switch (format) {
    case WeightFormat::f32:
      std::memcpy(out, &tile, sizeof(tile));
      break;
    case WeightFormat::bf16:
      packBf16(tile, out);
      break;
    case WeightFormat::int8:
    case WeightFormat::int4:
      quantize(format, tile, quantized);
      layOut(format, quantized, out);
      break;
    }
    out += blockBytes(format);
  }
}

void packWeights(WeightFormat format, ConstFloatMatrix matrix, std::byte *out) {
  for (int64_t panel = 0; panel < panelCount(matrix.rows); ++panel)
    packPanel(format, matrix, panel,
              out + panel * panelBytes(format, matrix.depth));
}

void packGroups(WeightFormat format, ConstGroupMatrix matrix, std::byte *out) {
  QuantizedTile tile;
  for (int64_t row = 0; row < matrix.rows; row += panelRows)
    for (int64_t k = 0; k < matrix.depth; k += groupSize) {
      loadTile(format, matrix, row, k, tile);
      layOut(format, tile, out);
      out += blockBytes(format);
    }
}

void quantizeGroups(WeightFormat format, ConstFloatMatrix matrix,
                    int8_t *quants, uint16_t *scales) {
  WeightTile tile;
  QuantizedTile quantized;
  int zeroPoint = zeroPointOf(format);
  for (int64_t row = 0; row < matrix.rows; row += panelRows)
    for (int64_t k = 0; k < matrix.depth; k += groupSize) {
      loadTile(matrix, row, k, tile);
      quantize(format, tile, quantized);
      int64_t rows = std::min(panelRows, matrix.rows - row);
      int64_t depth = std::min(groupSize, matrix.depth - k);
      for (int64_t r = 0; r < rows; ++r) {
        int8_t *out = quants + (row + r) * matrix.depth + k;
        for (int64_t i = 0; i < depth; ++i)
          out[i] = static_cast<int8_t>(quantized.quants[i][r] - zeroPoint);
        scales[(row + r) * groupCount(matrix.depth) + k / groupSize] =
            quantized.scales[r];
      }
    }
}

void unpackWeights(WeightFormat format, const std::byte *packed, int64_t rows,
                   int64_t depth, float *out) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < depth; ++k) {
      const std::byte *block = packed +
                               r / panelRows * panelBytes(format, depth) +
                               k / groupSize * blockBytes(format);
      out[r * depth + k] = valueAt(format, block, r % panelRows, k % groupSize);
    }
}

} // namespace dsv2::x86
