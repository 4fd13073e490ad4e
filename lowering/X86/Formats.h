//===- Formats.h - Packed activations and weights ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The memory formats that the kernels, the weight packers and the runtime
// share. N is the number of output rows of a weight, K its depth (the reduced
// dimension) and Kp is K rounded up to a multiple of 32.
//
// Weights are stored as panels of 32 output rows (N padded with zero rows, K
// with zeros), so that one workgroup reads one contiguous stream. A block is
// what one panel holds for 32 consecutive k:
//
//   f32   [N/32][Kp][32] float
//   bf16  [N/32][Kp/2][32][2] bf16: pairs of k adjacent, as vdpbf16ps wants
//   int8  [N/32][Kp/32] blocks of 1088 bytes: quants + 128 as
//         [8 quads][32 rows][4 k] u8, then 32 f16 scales
//   int4  [N/32][Kp/32] blocks of 576 bytes: 512 bytes of nibbles, then 32 f16
//         scales. Of quad pair i (0..3), row r and j (0..3), the byte at
//         i*128 + r*4 + j holds k = 8*i + j in its low nibble and
//         k = 8*i + 4 + j in its high one; value = (nibble - 8) * scale.
//
// Scales lie inside the stream: a separate array would be a second stream and
// cost bandwidth. Quantized weights are symmetric per row and group of 32 k;
// they are the unsigned operand of vpdpbusd, activations the signed one, and
// the zero point (128 or 8) is undone by starting each accumulator at
// -zero point * sum of the group's activations.
//
// Activations are rows that start where the previous one ends:
//
//   f32   K float
//   bf16  Kp bf16, zero tail
//   int8  Kp int8 quants, then Kp/32 float scales, then Kp/32 int32 sums of the
//         quants of each group, padded to a multiple of 64 bytes.
//         scale = max|x| / 127 over the group (0 when that is 0),
//         quant = x / scale to nearest even, in [-127, 127]; zero tail.
//
// Stacked weights ([experts or heads][N][K]) are packed matrices back to back.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_FORMATS_H
#define DSV2_LOWERING_X86_FORMATS_H

#include <cstdint>

namespace dsv2::x86 {

/// Output rows of a panel.
inline constexpr int64_t panelRows = 32;
/// Consecutive k that share a scale.
inline constexpr int64_t groupSize = 32;
/// What weight and activation buffers are aligned to.
inline constexpr int64_t bufferAlignment = 64;

enum class WeightFormat : uint8_t { f32, bf16, int8, int4 };
enum class RowFormat : uint8_t { f32, bf16, int8 };

inline constexpr int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
inline constexpr int64_t paddedDepth(int64_t depth) {
  return roundUp(depth, groupSize);
}
inline constexpr int64_t panelCount(int64_t rows) {
  return roundUp(rows, panelRows) / panelRows;
}

/// The activations a weight format is multiplied with.
inline constexpr RowFormat rowFormatOf(WeightFormat format) {
  return format == WeightFormat::f32    ? RowFormat::f32
         : format == WeightFormat::bf16 ? RowFormat::bf16
                                        : RowFormat::int8;
}

/// Bytes of one block: 32 rows by 32 k.
inline constexpr int64_t blockBytes(WeightFormat format) {
  switch (format) {
  case WeightFormat::f32:
    return 4096;
  case WeightFormat::bf16:
    return 2048;
  case WeightFormat::int8:
    return 1088;
  case WeightFormat::int4:
    return 576;
  }
  return 0;
}

inline constexpr int64_t panelBytes(WeightFormat format, int64_t depth) {
  return paddedDepth(depth) / groupSize * blockBytes(format);
}
inline constexpr int64_t packedWeightBytes(WeightFormat format, int64_t rows,
                                           int64_t depth) {
  return panelCount(rows) * panelBytes(format, depth);
}

/// Bytes from the start of the scales of an int8 row to its start.
inline constexpr int64_t scalesOffset(int64_t depth) {
  return paddedDepth(depth);
}
inline constexpr int64_t sumsOffset(int64_t depth) {
  return paddedDepth(depth) + paddedDepth(depth) / groupSize * 4;
}

/// Bytes from one activation row to the next.
inline constexpr int64_t rowBytes(RowFormat format, int64_t depth) {
  int64_t padded = paddedDepth(depth);
  switch (format) {
  case RowFormat::f32:
    return depth * 4;
  case RowFormat::bf16:
    return padded * 2;
  case RowFormat::int8:
    return roundUp(padded + padded / groupSize * 8, bufferAlignment);
  }
  return 0;
}

} // namespace dsv2::x86

namespace mlir::dsv2::x86 {
using namespace ::dsv2::x86;
} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_FORMATS_H
