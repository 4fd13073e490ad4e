//===- PackWeights.h - Float rows to panels and back ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Packs weights into the formats of Formats.h. The result depends on the
// values alone: not on the CPU, and not on which panels are packed together.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_PACKWEIGHTS_H
#define DSV2_LOWERING_X86_PACKWEIGHTS_H

#include "lowering/X86/Formats.h"

#include <cstddef>

namespace dsv2::x86 {

/// A row-major matrix of float32.
struct ConstFloatMatrix {
  const float *data;
  int64_t rows;
  int64_t depth;
  int64_t stride; ///< floats from one row to the next
};

/// Row-major quants of int8 or int4, without zero point, and the f16 scales of
/// the groups of 32 of each row; the last group of a row may be shorter.
struct ConstGroupMatrix {
  const int8_t *quants;
  const uint16_t *scales;
  int64_t rows;
  int64_t depth;
};

/// Groups of a row of `depth` elements.
inline constexpr int64_t groupCount(int64_t depth) {
  return paddedDepth(depth) / groupSize;
}

/// Packs rows [32 * panel, 32 * panel + 32) into panelBytes(format, depth)
/// bytes. Panels are independent: threads may pack different ones.
void packPanel(WeightFormat format, ConstFloatMatrix matrix, int64_t panel,
               std::byte *out);

/// Packs every panel into packedWeightBytes(format, rows, depth) bytes.
void packWeights(WeightFormat format, ConstFloatMatrix matrix, std::byte *out);

/// Packs weights that are quantized already, as they are, into int8 or int4.
void packGroups(WeightFormat format, ConstGroupMatrix matrix, std::byte *out);

/// Quantizes to int8 or int4 as packWeights() does: writes `rows * depth`
/// quants and `rows * groupCount(depth)` scales.
void quantizeGroups(WeightFormat format, ConstFloatMatrix matrix,
                    int8_t *quants, uint16_t *scales);

/// The values packed weights stand for, as a dense [rows][depth] matrix.
void unpackWeights(WeightFormat format, const std::byte *packed, int64_t rows,
                   int64_t depth, float *out);

} // namespace dsv2::x86

#endif // DSV2_LOWERING_X86_PACKWEIGHTS_H
