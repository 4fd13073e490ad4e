//===- PackWeights.h - Quants to the rows of GPU kernels --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_PACKWEIGHTS_H
#define DSV2_LOWERING_NVPTX_PACKWEIGHTS_H

#include "lowering/NVPTX/Formats.h"

#include <cstddef>

namespace dsv2::nvptx {

/// Writes one row of int8 or int4 in the order of Formats.h: rowBytes() bytes
/// of the `depth` quants, which have no zero point, and scaleBytes() bytes of
/// the f16 scales of their groups of 32. What pads the row is zero.
void packRow(WeightFormat format, const int8_t *quants, const uint16_t *scales,
             int64_t depth, std::byte *outQuants, std::byte *outScales);

} // namespace dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_PACKWEIGHTS_H
