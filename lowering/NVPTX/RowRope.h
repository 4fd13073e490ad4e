//===- RowRope.h - Rotary embedding and the cache ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Adjacent elements are the real and imaginary part of one rotated number. The
// table holds (cos, sin) of every position and frequency as f32
// [positions][rope / 2][2], the magnitude of YaRN included.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ROWROPE_H
#define DSV2_LOWERING_NVPTX_ROWROPE_H

#include "lowering/NVPTX/RowEmitter.h"

#include <optional>

namespace mlir::dsv2::nvptx {

/// Where [T][H][n] slices lie in a wider buffer; all in elements.
struct HeadSlices {
  int64_t tokenStride;
  int64_t headStride;
  int64_t offset = 0;
};

/// y[t][h] = x[t][h] rotated to positions[t], in float32, rounded once.
/// Bindings: x, positions i32 [T], table f32, y. A block rotates all heads of
/// one token.
struct RopeSpec {
  int64_t heads;
  int64_t rope; ///< a multiple of 4
  HeadSlices input;
  HeadSlices output;
  bool bf16Input = false; ///< else f32
  bool bf16Output = true;
};
KernelInfo emitRope(ModuleOp module, StringRef name, const RopeSpec &spec);

/// How a row of the cache is stored.
enum class CacheFormat : uint8_t {
  f32,
  bf16,
  /// The latent as e4m3, then an f32 scale for each 128 of it, then the rotated
  /// key as bf16: 656 bytes for 512 + 64. The latent is a multiple of 128.
  fp8,
};
/// Bytes of the parts of a row.
struct CacheRow {
  CacheFormat format;
  int64_t latent, rope;

  int64_t scaleBytes() const {
    return format == CacheFormat::fp8 ? latent / scaleColumns * 4 : 0;
  }
  int64_t keyOffset() const {
    switch (format) {
    case CacheFormat::f32:
      return latent * 4;
    case CacheFormat::bf16:
      return latent * 2;
    case CacheFormat::fp8:
      return latent + scaleBytes();
    }
    return 0;
  }
  int64_t bytes() const {
    return keyOffset() + rope * (format == CacheFormat::f32 ? 4 : 2);
  }
};

/// Writes the cache row of each token: the normalized latent, then the rotated
/// key. cache[cacheRows[t]] = [norm(kv[t][:latent]) * gamma,
///                             rotate(kv[t][latent:], positions[t])].
/// Bindings: kv, gamma f32 [latent], positions i32 [T], table f32, cacheRows
/// i32 [T], cache. A block writes one row. With `queries` other blocks of the
/// launch rotate those, and their x and y of RopeSpec are bound behind.
struct CacheAppendSpec {
  int64_t latent;
  int64_t rope;       ///< a multiple of 4
  int64_t stride;     ///< elements between rows of kv
  int64_t offset = 0; ///< where the latent starts in a row of kv
  float epsilon;
  bool bf16Input = false; ///< else f32
  CacheFormat format = CacheFormat::bf16;
  std::optional<RopeSpec> queries; ///< of the same `rope`
};
KernelInfo emitCacheAppend(ModuleOp module, StringRef name,
                           const CacheAppendSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ROWROPE_H
