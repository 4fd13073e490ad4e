//===- AttentionRows.h - Latent attention of any shape ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONROWS_H
#define DSV2_LOWERING_NVPTX_ATTENTIONROWS_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// Attention of each head of each token over the rows of its sequence in the
/// latent cache, on the ordinary cores, for shapes that the tensor cores do not
/// take. A warp has a head of a token to itself and goes through the context
/// from position 0 on, with the softmax kept up to date; all in f32.
///
///   s[j] = scale * dot(query[t][h], cache[row of j])      j <= position of t
///   out[t][h] = sum over j of softmax(s)[j] * cache[row of j][:latent]
///
/// where query[t][h] is its latent part, then its rotated part.
///
/// Bindings: the latent and the rotated part of the queries, bf16
/// [T][H][latent] and [T][H][rope], cache bf16 [rows][latent + rope], positions
/// i32 [T], tokenSequence i32 [T], pageTable i32 [B][pagesPerSequence], out f32
/// or bf16 [T][H][latent].
struct RowAttentionSpec {
  int64_t heads;
  int64_t latent;
  int64_t rope;
  int64_t pageSize;
  int64_t pagesPerSequence;
  float scale;
  bool bf16Output = true;
};
KernelInfo emitRowAttention(ModuleOp module, StringRef name,
                            const RowAttentionSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONROWS_H
