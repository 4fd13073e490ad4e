//===- RowConversion.h - Checkpoint formats to float32 ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Bulk conversions, written so that the compiler vectorizes them. Each returns
// whether every value was finite. Sources need not be aligned.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_ROWCONVERSION_H
#define DSV2_MODELS_ROWCONVERSION_H

#include <cstddef>
#include <cstdint>

namespace dsv2 {

bool convertF32(const std::byte *source, int64_t count, float *out);
bool convertF16(const std::byte *source, int64_t count, float *out);
bool convertBf16(const std::byte *source, int64_t count, float *out);

/// e4m3 times one factor, which must be finite and at most 1e30 in magnitude.
bool convertE4m3(const std::byte *source, int64_t count, float scale,
                 float *out);

} // namespace dsv2

#endif // DSV2_MODELS_ROWCONVERSION_H
