//===- AttentionLatent.h - Attention over the latent cache ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Absorbed attention: all heads attend over the same cached rows [latent,
// rotated key]; the values are the latents. For each token t and head h
//
//   s[j] = scale * dot(query[t][h], cache[row of j])      j <= positions[t]
//   out[t][h] = sum over j of softmax(s)[j] * cache[row of j][:latent]
//
// Scores, softmax and sums are in float32; probabilities are rounded to bf16,
// or to 8 bits of the largest in a block when the cache is of int8, and so are
// queries then.
// The context is taken in blocks of 64 tokens (fewer when pages are smaller)
// and in splits of `splitTokens`, both counted from position 0, whose results
// are merged in order. Splits are the same whether one workgroup computes all
// of them (emitLatentAttention) or each its own (emitLatentSplits and
// emitLatentCombine, for few tokens and many threads): the bits are the same.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ATTENTIONLATENT_H
#define DSV2_LOWERING_X86_ATTENTIONLATENT_H

#include "lowering/X86/CachePlane.h"

namespace mlir::dsv2::x86 {

struct LatentAttentionSpec {
  int64_t tokens;
  int64_t sequences;
  int64_t heads;
  CachePlane cache;
  float scale;
  int64_t queryStride = 0;   ///< elements from head to head; 0: latent + rope
  int64_t splitTokens = 256; ///< a multiple of 64
  int64_t maxContext;
  RowFormat format = RowFormat::bf16; ///< f32 or bf16 rows of depth latent

  int64_t splits() const {
    return (maxContext + splitTokens - 1) / splitTokens;
  }
};

/// Bindings: query bf16 [T][H][queryStride] (latent part, then rotated part),
/// cache, positions i32 [T], tokenSequence i32 [T], pageTable i32
/// [B][pagesPerSequence], out rows [T][H].
KernelInfo emitLatentAttention(ModuleOp module, StringRef name,
                               const InstructionSet &set,
                               const LatentAttentionSpec &spec);

/// The same with partials f32 (latentPartialElements) instead of out; one
/// workgroup for each token, group of heads and split.
KernelInfo emitLatentSplits(ModuleOp module, StringRef name,
                            const InstructionSet &set,
                            const LatentAttentionSpec &spec);

/// Bindings: partials, positions, out. A workgroup merges one head of a token.
KernelInfo emitLatentCombine(ModuleOp module, StringRef name,
                             const InstructionSet &set,
                             const LatentAttentionSpec &spec);

/// Floats of the partials of spec.tokens tokens.
int64_t latentPartialElements(const LatentAttentionSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ATTENTIONLATENT_H
