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
// The rotated keys are those that heads share. Scores, softmax and sums are in
// float32; probabilities are rounded to bf16. The context is taken in blocks of
// 128 positions of a sequence, counted from 0.
//
// Chunks. The rows of the context, through all sequences, are many more than
// memory has room for as keys and values of every head. Launch i of some is for
// the rows from F = i * chunkStep on, whose first chunkStep + 128 are expanded:
// it takes the blocks that begin in the first chunkStep of these, so that every
// block is whole in one launch. What a row has summed so far, and its softmax,
// are stored between launches as they are in registers, all in float32. Each
// row thus goes through the same operations in the same order wherever the
// context is cut: a sequence gets the same bits in any batch.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONEXPANDED_H
#define DSV2_LOWERING_NVPTX_ATTENTIONEXPANDED_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

struct ExpandedAttentionSpec {
  int64_t tokens;    ///< the most of a step
  int64_t sequences; ///< the most of a step, at most 512
  int64_t context;   ///< rows of all sequences, the most of a step
  int64_t heads;
  int64_t nope = 128;    ///< 128
  int64_t rope = 64;     ///< 64
  int64_t value = 128;   ///< 128
  int64_t chunkStep = 0; ///< a multiple of 128; 0: the context is one chunk
  float scale;           ///< positive

  static constexpr int64_t blockTokens = 128;
  /// Rows of keys and of values.
  int64_t rows() const { return chunkStep ? chunkStep + blockTokens : context; }
  /// Bytes of what lies between launches; none is used without chunks.
  int64_t sumBytes() const {
    return chunkStep ? tokens * heads * value * 4 : 16;
  }
  int64_t stateBytes() const { return chunkStep ? tokens * heads * 32 : 16; }
};

/// Whether there is a kernel; on failure `error` says in one line why not.
LogicalResult checkExpandedAttention(const ExpandedAttentionSpec &spec,
                                     std::string &error);

/// Bindings: qNope bf16 [T][H][nope], qRope bf16 [T][H][rope], keys bf16
/// [rows][H][nope], values bf16 [rows][H][value], rotated bf16 [rows][rope],
/// queryOffsets i32 [B+1], contextLengths i32 [B] (the new tokens included),
/// contextOffsets i32 [B+1] (where the rows of a sequence begin), out bf16
/// [T][H][value], sums f32 [T][H][value], states f32 [T][H][4][2] (of a row,
/// for the lanes that share it: the maximum, and the sum of powers). The tokens
/// of a sequence are the last of its context.
KernelInfo emitExpandedAttention(ModuleOp module, StringRef name,
                                 const ExpandedAttentionSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONEXPANDED_H
