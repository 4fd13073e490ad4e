//===- Formats.h - Packed weights of GPU kernels ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The formats of weights that kernels and weight packers share. N is the number
// of rows of a weight, K its depth and Kp is K rounded up to a multiple of 128.
//
//   bf16  [N][K] bf16, as in a checkpoint: for TMA and for 16-byte loads alike
//   fp8   [N][K] e4m3, as in a checkpoint, of all matrices of a stack; then
//         [N/128][K/128] f32 scales of all of them, [N/128][2][K/128] where
//         rows alternate: those of gate, then those of up
//   int8  [N][Kp] quants, then [N][Kp/32] f16 scales
//   int4  [N][Kp/2] pairs of quants, then [N][Kp/32] f16 scales
//
// A warp product of m16n8k32 is one group of 32 k. Lane 4 * r + t of a warp
// multiplies k = 8 * t to 8 * t + 7 of each group of row r (and r + 8), and
// loads 16 bytes of a row at once. int8 rows are thus blocks of 64 bytes: byte
// 16 * t + 8 * g + j holds k = 64 * block + 32 * g + 8 * t + j. int4 rows are
// blocks of 64 bytes too: byte 16 * t + 4 * g + i holds
// k = 128 * block + 32 * g + 8 * t + i in its low half and the k four further
// in its high half, in two's complement. Shifted to the high half of a byte, a
// quant is 16 times itself as int8.
//
// Matrices of a stack (experts, heads) are packed one after the other.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_FORMATS_H
#define DSV2_LOWERING_NVPTX_FORMATS_H

#include <cstdint>

namespace dsv2::nvptx {

enum class WeightFormat : uint8_t { bf16, fp8, int8, int4 };

/// Consecutive k that share a scale of int8 and int4.
inline constexpr int64_t groupSize = 32;

/// Rows and columns of a weight that share a scale of fp8.
inline constexpr int64_t fp8BlockSize = 128;

inline constexpr int64_t paddedDepth(int64_t depth) {
  return (depth + 127) / 128 * 128;
}

inline constexpr bool hasGroups(WeightFormat format) {
  return format == WeightFormat::int8 || format == WeightFormat::int4;
}

/// Bytes of the quants (elements) of a row.
inline constexpr int64_t rowBytes(WeightFormat format, int64_t depth) {
  switch (format) {
  case WeightFormat::bf16:
    return 2 * depth;
  case WeightFormat::fp8:
    return depth;
  case WeightFormat::int8:
    return paddedDepth(depth);
  case WeightFormat::int4:
    return paddedDepth(depth) / 2;
  }
  return 0;
}

/// Bytes of the f16 scales of a row.
inline constexpr int64_t scaleBytes(WeightFormat format, int64_t depth) {
  return hasGroups(format) ? paddedDepth(depth) / groupSize * 2 : 0;
}

/// Bytes of a matrix; its scales begin at rows * rowBytes.
inline constexpr int64_t matrixBytes(WeightFormat format, int64_t rows,
                                     int64_t depth) {
  return rows * (rowBytes(format, depth) + scaleBytes(format, depth));
}

/// The byte of an int8 or int4 row that holds element k, and whether it is the
/// high half of it.
struct QuantPlace {
  int64_t byte;
  bool high;
};
inline constexpr QuantPlace placeOfQuant(WeightFormat format, int64_t k) {
  int64_t lane = k % 32 / 8, within = k % 8;
  if (format == WeightFormat::int8)
    return {k / 64 * 64 + 16 * lane + k % 64 / 32 * 8 + within, false};
  return {k / 128 * 64 + 16 * lane + k % 128 / 32 * 4 + within % 4,
          within >= 4};
}

/// With swiglu, rows of gate and up alternate by so many.
inline constexpr int64_t interleavedRows = 8;

/// Where row `row` of the gate (up) projection lies among both.
inline constexpr int64_t interleavedRow(int64_t row, bool up) {
  return row / 8 * 16 + (up ? 8 : 0) + row % 8;
}

} // namespace dsv2::nvptx

namespace mlir::dsv2::nvptx {
using namespace ::dsv2::nvptx;
} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_FORMATS_H
