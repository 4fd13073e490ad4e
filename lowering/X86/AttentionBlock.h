//===- AttentionBlock.h - One block of latent attention ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The inner part of latent attention: a group of at most 16 heads of one token
// against one split of the context, block by block.
//
// Scores are dot products along the rows of the cache, so nothing is
// transposed: a tile of heads x tokens keeps one accumulator per pair and sums
// across lanes at the end. Values take two tokens at a time, interleaved in
// registers; this leaves the latent permuted within 2 * lanes columns, which
// unpermute() undoes once at the end.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ATTENTIONBLOCK_H
#define DSV2_LOWERING_X86_ATTENTIONBLOCK_H

#include "lowering/X86/AttentionLatent.h"

namespace mlir::dsv2::x86 {

/// How heads are divided among workgroups.
struct HeadGroups {
  explicit HeadGroups(int64_t heads);
  int64_t count; ///< groups
  int64_t heads; ///< of a group; the last one may have fewer
  int64_t padded;
};

/// Running softmax state of a head: output [padded latent], maximum, sum.
struct HeadState {
  Value memref;
  Value output; ///< offset of the first head's output
  Value maxima; ///< offset of the first head's maximum
  Value sums;
};

class LatentBlocks {
public:
  LatentBlocks(RowEmitter &k, const LatentAttentionSpec &spec, Value query,
               Value cache, Value pageTable);

  /// Brings the queries of heads [group * heads, ...) into scratch.
  void loadQueries(Value token, Value group);
  /// Attends to positions [first, end) of `sequence` from a fresh state;
  /// prefetches ahead, but not beyond `contextEnd`.
  void attend(const HeadState &state, Value sequence, Value first, Value end,
              Value contextEnd);

  const HeadGroups groups;
  const int64_t latentPadded;

  /// Offset of a head's output from the first head's.
  Value outputOf(const HeadState &state, Value head) const;

private:
  void scores(Value base, Value next, Value valid);
  void scoreTile(Value base, Value next, Value token, Value head);
  Value sumAcross(SmallVector<Value> accumulators);
  void softmax(const HeadState &state, Value valid);
  void values(const HeadState &state, Value base, Value valid);
  Value blockBase(Value sequence, Value position);

  RowEmitter &k;
  const LatentAttentionSpec &spec;
  const CachePlane &plane;
  int64_t width;      ///< latent + rope
  int64_t queryWidth; ///< padded for whole vectors
  int64_t block;      ///< tokens
  int64_t tileHeads, tileTokens;
  Value queryIn, cache, pageTable;
  Value query, score, probability;
};

/// The two vectors of consecutive columns of two permuted ones.
std::pair<Value, Value> unpermute(RowEmitter &k, Value low, Value high);

/// Merges the state (m, l, o) of a further split into the total; all
/// offsets of one head.
struct SplitState {
  Value memref, output, maximum, sum;
};
void mergeSplit(RowEmitter &k, const SplitState &total, const SplitState &split,
                int64_t latentPadded);

/// out[row] = o / l.
void storeLatentRow(RowEmitter &k, const LatentAttentionSpec &spec,
                    const SplitState &state, Value out, Value row);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ATTENTIONBLOCK_H
