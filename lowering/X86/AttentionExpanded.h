//===- AttentionExpanded.h - Attention over expanded keys -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Attention for many queries. Per head, the latents of 64 context tokens at a
// time are expanded into keys and values, which all queries then attend to; the
// keys and values of the whole context never exist. For query token t of a
// sequence and head h
//
//   k[j] = bf16(W_UK[h] c[j]),  v[j] = bf16(W_UV[h] c[j])
//   s[j] = scale * (dot(qNope[t][h], k[j]) + dot(qRope[t][h], rotatedKey[j]))
//   out[t][h] = sum over j <= position of t of softmax(s)[j] * v[j]
//
// Scores, softmax and sums are in float32; probabilities are rounded to bf16.
// With a plane of int8, keys and values are expanded from its latents and from
// weights rounded to int8 (AttentionTile.h). It may be the cache, or what
// emitCacheTiles made of it.
//
// The weights are those of the absorbed form, in the same bf16 panels: the
// transposed W_UK that absorbs queries and the W_UV that expands outputs.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ATTENTIONEXPANDED_H
#define DSV2_LOWERING_X86_ATTENTIONEXPANDED_H

#include "lowering/X86/AttentionLatent.h"
#include "lowering/X86/RowRope.h"

namespace mlir::dsv2::x86 {

/// Bindings: qNope bf16, qRope bf16 (may be the same buffer), cache, W_UK
/// (stacked [H] panels of N = latent, K = nope), W_UV (stacked [H] panels of
/// N = value, K = latent), queryOffsets i32 [B+1], contextLengths i32 [B],
/// pageTable i32 [B][pagesPerSequence], out: one row of depth heads * value a
/// token. A workgroup computes one head of up to queryBlock() tokens of a
/// sequence.
struct ExpandedAttentionSpec {
  int64_t tokens;
  int64_t sequences;
  int64_t maxQueries; ///< of one sequence
  int64_t heads;
  int64_t nope;
  int64_t value;
  CachePlane cache;
  float scale;
  HeadSlices queryNope; ///< elements
  HeadSlices queryRope;
  RowFormat format = RowFormat::bf16; ///< f32 or bf16

  /// As many tokens as fit into a workgroup's scratch memory.
  int64_t queryBlock() const;
};

KernelInfo emitExpandedAttention(ModuleOp module, StringRef name,
                                 const InstructionSet &set,
                                 const ExpandedAttentionSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ATTENTIONEXPANDED_H
