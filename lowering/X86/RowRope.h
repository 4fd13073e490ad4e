//===- RowRope.h - Rotary embedding and the cache ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Adjacent elements are the real and imaginary part of one rotated number. The
// table holds (cos, sin) of every position and frequency as f32
// [positions][rope / 2][2], the magnitude of YaRN included.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ROWROPE_H
#define DSV2_LOWERING_X86_ROWROPE_H

#include "lowering/X86/CachePlane.h"

namespace mlir::dsv2::x86 {

/// Where [T][H][n] slices lie in a wider buffer; all in elements.
struct HeadSlices {
  int64_t tokenStride;
  int64_t headStride;
  int64_t offset = 0;

  Value at(RowEmitter &k, Value token, Value head) const {
    return k.at(k.add(k.mul(token, tokenStride), k.mul(head, headStride)),
                offset);
  }
};

/// y[t][h] = x[t][h] rotated to positions[t], in float32, rounded once.
/// Bindings: x f32, positions i32 [T], table f32, y (bf16 or f32). A workgroup
/// rotates all heads of one token.
struct RopeSpec {
  int64_t tokens;
  int64_t heads;
  int64_t rope; ///< even
  int64_t positions;
  HeadSlices input;
  HeadSlices output;
  bool bf16Output = true;
};
KernelInfo emitRope(ModuleOp module, StringRef name, const InstructionSet &set,
                    const RopeSpec &spec);

/// Writes the cache row of each token: the normalized latent, then the rotated
/// key. cache[cacheRows[t]] = [norm(kv[t][:latent]) * gamma,
///                             rotate(kv[t][latent:], positions[t])].
/// In int8 the latent is rounded in groups (CachePlane.h).
/// Bindings: kv f32, gamma f32 [latent], positions i32 [T], table f32,
/// cacheRows i32 [T], cache.
struct CacheAppendSpec {
  int64_t tokens;
  CachePlane cache;
  int64_t positions;
  int64_t stride;     ///< elements between rows of kv
  int64_t offset = 0; ///< where the latent starts in a row of kv
  float epsilon;
};
KernelInfo emitCacheAppend(ModuleOp module, StringRef name,
                           const InstructionSet &set,
                           const CacheAppendSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ROWROPE_H
