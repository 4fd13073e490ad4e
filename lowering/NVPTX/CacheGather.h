//===- CacheGather.h - Rows of the context, side by side --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_CACHEGATHER_H
#define DSV2_LOWERING_NVPTX_CACHEGATHER_H

#include "lowering/NVPTX/AttentionLatent.h"

namespace mlir::dsv2::nvptx {

struct CacheGatherSpec {
  int64_t sequences; ///< the most of a step
  CachePlane cache;
};

/// latents[r] and rotated[r] are those of context row F + r: rows are counted
/// through the sequences, each from position 0 on. Latents in fp8 are
/// multiplied with their scales. A warp has a row.
///
/// Bindings: cache, contextOffsets i32 [B+1], pageTable i32
/// [B][pagesPerSequence], latents bf16 [S][latent], rotated bf16 [S][rope].
KernelInfo emitCacheGather(ModuleOp module, StringRef name,
                           const CacheGatherSpec &spec);

/// Eight e4m3, the bytes of two i32, times a scale: 16 bytes of bf16.
Value widenEight(PtxBuilder &b, Value low, Value high, Value scale);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_CACHEGATHER_H
