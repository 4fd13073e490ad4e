//===- AttentionExpanded.h - Attention over expanded keys -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Attention for many queries, over the keys and values of each head that
// matrix products have expanded from the latents of the context. For token t of
// a sequence and head h
//
//   s[j] = scale * (dot(qNope[t][h], key[j][h]) + dot(qRope[t][h], rotated[j]))
//   out[t][h] = sum over j <= position of t of softmax(s)[j] * value[j][h]
//
// The rotated keys, which heads share, are read from the cache. Scores, softmax
// and sums are in float32; probabilities are rounded to bf16. The context is
// taken in blocks of 128 positions, counted from 0.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONEXPANDED_H
#define DSV2_LOWERING_NVPTX_ATTENTIONEXPANDED_H

#include "lowering/NVPTX/AttentionLatent.h"

namespace mlir::dsv2::nvptx {

struct ExpandedAttentionSpec {
  int64_t tokens;    ///< the most of a step
  int64_t sequences; ///< the most of a step, at most 512
  int64_t context;   ///< rows of keys and of values
  int64_t heads;
  int64_t nope = 128;  ///< 128
  int64_t value = 128; ///< 128
  CachePlane cache;
  float scale; ///< positive
};

/// Whether there is a kernel; on failure `error` says in one line why not.
LogicalResult checkExpandedAttention(const ExpandedAttentionSpec &spec,
                                     std::string &error);

/// Bindings: qNope bf16 [T][H][nope], qRope bf16 [T][H][rope], keys bf16
/// [S][H][nope], values bf16 [S][H][value], cache, queryOffsets i32 [B+1],
/// contextLengths i32 [B] (the new tokens included), contextOffsets i32 [B+1]
/// (where the rows of a sequence begin in keys and values), pageTable i32
/// [B][pagesPerSequence], out bf16 [T][H][value]. The tokens of a sequence are
/// the last of its context.
KernelInfo emitExpandedAttention(ModuleOp module, StringRef name,
                                 const ExpandedAttentionSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONEXPANDED_H
