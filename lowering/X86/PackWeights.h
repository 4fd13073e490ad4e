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

/// Packs rows [32 * panel, 32 * panel + 32) into panelBytes(format, depth)
/// bytes. Panels are independent: threads may pack different ones.
void packPanel(WeightFormat format, ConstFloatMatrix matrix, int64_t panel,
               std::byte *out);

/// Packs every panel into packedWeightBytes(format, rows, depth) bytes.
void packWeights(WeightFormat format, ConstFloatMatrix matrix, std::byte *out);

/// The values packed weights stand for, as a dense [rows][depth] matrix.
void unpackWeights(WeightFormat format, const std::byte *packed, int64_t rows,
                   int64_t depth, float *out);

} // namespace dsv2::x86

#endif // DSV2_LOWERING_X86_PACKWEIGHTS_H
