//===- PackWeights.cpp - Quants to the rows of GPU kernels ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/PackWeights.h"

#include <cstring>

namespace dsv2::nvptx {

void packRow(WeightFormat format, const int8_t *quants, const uint16_t *scales,
             int64_t depth, std::byte *outQuants, std::byte *outScales) {
  std::memset(outQuants, 0, rowBytes(format, depth));
  std::memset(outScales, 0, scaleBytes(format, depth));
  bool four = format == WeightFormat::int4;
  for (int64_t k = 0; k < depth; ++k) {
    QuantPlace place = placeOfQuant(format, k);
    auto bits = static_cast<std::byte>(quants[k]);
    outQuants[place.byte] |=
        four ? (bits & std::byte(15)) << (place.high ? 4 : 0) : bits;
  }
  std::memcpy(outScales, scales, (depth + groupSize - 1) / groupSize * 2);
}

} // namespace dsv2::nvptx
