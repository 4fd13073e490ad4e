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
  int64_t groups() const { return (latent + group - 1) / group; }
  /// Of i8: the bytes where the key and the scales start.
  int64_t keyStart() const { return (latent + 3) / 4 * 4; }
  int64_t scaleStart() const { return keyStart() + 2 * rope; }
  /// Elements of the plane, bytes of memory.
  int64_t width() const {
    return isInt8() ? scaleStart() + 4 * groups() : latent + rope;
  }
  int64_t bytes() const {
    return width() * element.getIntOrFloatBitWidth() / 8;
  }
  RankedTensorType planeType() const {
    return RankedTensorType::get({ShapedType::kDynamic, width()}, element);
  }
};

} // namespace mlir::dsv2

#endif // DSV2_DIALECT_CACHEROW_H
