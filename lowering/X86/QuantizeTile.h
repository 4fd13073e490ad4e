//===- QuantizeTile.h - int8 and int4 groups of weights ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_QUANTIZETILE_H
#define DSV2_LOWERING_X86_QUANTIZETILE_H

#include "lowering/X86/Formats.h"

namespace dsv2::x86 {

/// One group of each of the 32 rows of a panel. Rows are innermost, so that
/// every lane of a vector works on its own row.
struct WeightTile {
  float values[groupSize][panelRows];
};

struct QuantizedTile {
  uint8_t quants[groupSize][panelRows]; ///< zero point included
  uint16_t scales[panelRows];           ///< f16
};

/// Searches a few scales from max|x| / 127 up for the least squared error.
void quantizeInt8(const WeightTile &tile, QuantizedTile &out);

/// Searches a few scales around max|x| / 8 for the least squared error.
void quantizeInt4(const WeightTile &tile, QuantizedTile &out);

} // namespace dsv2::x86

#endif // DSV2_LOWERING_X86_QUANTIZETILE_H
