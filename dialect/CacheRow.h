//===- CacheRow.h - A row of the latent cache -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What a plane of the cache (dsv2.cache_rows) holds of a token. f32 and bf16:
// the latent, then the key. i8, all bytes, little endian:
//
//   quants of the latent, padded to a multiple of 4
//   the key in bf16
//   an f32 scale for each 128 of the latent: max|x| / 127
//
// f8E4M3FN, all bytes:
//
//   e4m3 of the latent, padded to a multiple of 4
//   an f32 scale for each 128 of the latent: max(max|x|, 1e-4) / 448
//   the key in bf16
//
// A target may put the bytes of a page into another order.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_CACHEROW_H
#define DSV2_DIALECT_CACHEROW_H

#include "dialect/DSV2Dialect.h"

namespace mlir::dsv2 {

/// On an operation that expands keys and values from the cache: latents and
/// weights may be rounded to int8 for these products, in groups as above and
/// with a scale for each row of a head.
inline constexpr llvm::StringLiteral int8ExpansionAttrName =
    "dsv2.int8_expansion";

struct CacheRow {
  /// Elements of the latent that share a scale in i8.
  static constexpr int64_t group = 128;

  explicit CacheRow(LatentCacheType cache)
      : latent(cache.getLatent()), rope(cache.getRope()),
        element(cache.getElementType()) {}

  int64_t latent, rope;
  Type element;

  bool isInt8() const { return element.isInteger(8); }
  bool isFp8() const { return isa<Float8E4M3FNType>(element); }
  /// Whether a row is bytes: quants, their scales and the key.
  bool hasScales() const { return isInt8() || isFp8(); }
  int64_t groups() const { return (latent + group - 1) / group; }
  /// Of i8 and fp8: the bytes where the key and the scales start.
  int64_t keyStart() const {
    return quantsEnd() + (isFp8() ? 4 * groups() : 0);
  }
  int64_t scaleStart() const { return quantsEnd() + (isFp8() ? 0 : 2 * rope); }
  /// Elements of the plane, bytes of memory.
  int64_t width() const {
    return hasScales() ? quantsEnd() + 2 * rope + 4 * groups() : latent + rope;
  }
  int64_t bytes() const {
    return width() * element.getIntOrFloatBitWidth() / 8;
  }
  RankedTensorType planeType() const {
    Type type =
        isFp8() ? Type(IntegerType::get(element.getContext(), 8)) : element;
    return RankedTensorType::get({ShapedType::kDynamic, width()}, type);
  }

private:
  int64_t quantsEnd() const { return (latent + 3) / 4 * 4; }
};

} // namespace mlir::dsv2

#endif // DSV2_DIALECT_CACHEROW_H
