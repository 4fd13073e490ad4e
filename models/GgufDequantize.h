//===- GgufDequantize.h - GGUF rows as numbers ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Sources need not be aligned. `count` is a number of elements and, like where
// a source begins, a whole number of blocks.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_GGUFDEQUANTIZE_H
#define DSV2_MODELS_GGUFDEQUANTIZE_H

#include "models/GgufType.h"

#include <cstddef>

namespace dsv2 {

/// The values that stored elements stand for; false if one is not finite.
bool dequantizeGguf(GgufType type, const std::byte *source, int64_t count,
                    float *out);

/// The quants and the f16 scales of a type whose format of groups is exact, one
/// scale for 32 quants; false if a scale is not finite.
bool readGgufGroups(GgufType type, const std::byte *source, int64_t count,
                    int8_t *quants, uint16_t *scales);

} // namespace dsv2

#endif // DSV2_MODELS_GGUFDEQUANTIZE_H
