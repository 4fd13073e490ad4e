//===- AttentionLatent.h - Attention over the latent cache ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Absorbed attention: all heads attend over the same cached rows [latent,
// rotated key]; the values are the latents. For each token t and head h
//
//   s[j] = scale * dot(query[t][h], cache[row of j])      j <= position of t
//   out[t][h] = sum over j of softmax(s)[j] * cache[row of j][:latent]
//
// Scores, softmax and sums are in float32; probabilities are rounded to bf16,
// and so are the products of a cache in fp8 with its scales. The context is
// taken in blocks of 64 tokens and in splits, both counted from position 0. How
// long splits are depends on the length of the sequence alone (ContextSplits),
// so that it gets the same bits in any batch. What blocks of the launch do is a
// function of the lengths alone.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONLATENT_H
#define DSV2_LOWERING_NVPTX_ATTENTIONLATENT_H

#include "lowering/NVPTX/AttentionLatentCombine.h"
#include "lowering/NVPTX/AttentionWork.h"
#include "lowering/NVPTX/Kernel.h"
#include "lowering/NVPTX/RowRope.h"

namespace mlir::dsv2::nvptx {

/// One plane of the paged cache: bf16 [rows][latent + rope], or rows of fp8 as
/// CacheRow lays them out.
struct CachePlane {
  int64_t latent = 512; ///< a multiple of 128, at most 512
  int64_t rope = 64;    ///< 64
  int64_t rows;
  int64_t pageSize = 64;                  ///< a multiple of 64
  int64_t pagesPerSequence;               ///< columns of the page table
  CacheFormat format = CacheFormat::bf16; ///< fp8 with a latent of 512

  int64_t width() const { return latent + rope; }
  CacheRow row() const { return {format, latent, rope}; }
};

struct LatentAttentionSpec {
  int64_t tokens;    ///< the most of a step
  int64_t sequences; ///< the most of a step, at most 512
  int64_t heads;
  CachePlane cache;
  float scale;               ///< positive
  int64_t splitTokens = 512; ///< at least; a multiple of 64
  int64_t maxSplits = 1024;  ///< of a context
  int64_t maxContext;

  ContextSplits contextSplits() const {
    return {splitTokens, maxSplits, maxContext};
  }
  /// Room for partial results of a row.
  int64_t splits() const {
    return std::min((maxContext + splitTokens - 1) / splitTokens, maxSplits);
  }
  /// Bytes of the partial results, and of their logarithms of sums.
  int64_t partialBytes() const {
    return tokens * heads * splits() * cache.latent * 4;
  }
  int64_t partialSumBytes() const { return tokens * heads * splits() * 4; }
};

/// Whether there is a kernel; on failure `error` says in one line why not.
LogicalResult checkLatentAttention(const LatentAttentionSpec &spec,
                                   std::string &error);

/// Bindings: the latent and the rotated part of the queries, bf16
/// [T][H][latent] and [T][H][rope], cache, queryOffsets i32 [B+1],
/// contextLengths i32 [B] (the new tokens included), pageTable i32
/// [B][pagesPerSequence], out bf16 [T][H][latent], partials f32
/// [T][H][splits][latent], partialSums f32 [T][H][splits]. The tokens of a
/// sequence are the last of its context. Rows of sequences of one split go to
/// out, others to the partials, for emitLatentCombine.
KernelInfo emitLatentAttention(ModuleOp module, StringRef name,
                               const LatentAttentionSpec &spec);

/// The rows of its output, for kernels that merge their splits.
SplitRows splitRowsOf(const LatentAttentionSpec &spec);

/// Bindings: partials, partialSums, positions i32 [T], tokenSequence i32 [T],
/// contextLengths, out. A block merges one head of a token.
KernelInfo emitLatentCombine(ModuleOp module, StringRef name,
                             const LatentAttentionSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONLATENT_H
