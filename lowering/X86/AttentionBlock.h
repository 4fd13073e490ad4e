//===- AttentionBlock.h - One block of latent attention ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The inner part of latent attention: a group of at most 16 heads of one token
// against one split of the context, block by block.
//
// bf16 (AttentionBlock.cpp): scores are dot products along the rows of the
// cache, so nothing is transposed: a tile of heads x tokens keeps one
// accumulator per pair and sums across lanes at the end. Values take two tokens
// at a time, interleaved in registers; this leaves the latent permuted within
// 2 * lanes columns, which unpermute() undoes once at the end.
//
// int8 (AttentionBlockInt8.cpp): a vector of the cache is 4 columns of as many
// tokens as it has lanes, which gives scores directly. Queries are rounded to
// int8, a scale for each head. For values, 4 x 4 bytes are transposed in
// registers, for all heads at once; the weight of a token times the scale of
// its latent is rounded to u8, relative to the largest of its block.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ATTENTIONBLOCK_H
#define DSV2_LOWERING_X86_ATTENTIONBLOCK_H

#include "lowering/X86/AttentionLatent.h"

#include <memory>

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

/// Attention of a group of heads to blocks of the context, for one format of
/// the cache.
class LatentBlocks {
public:
  LatentBlocks(RowEmitter &k, const LatentAttentionSpec &spec, Value query,
               Value cache, Value pageTable);
  virtual ~LatentBlocks() = default;
  static std::unique_ptr<LatentBlocks> create(RowEmitter &k,
                                              const LatentAttentionSpec &spec,
                                              Value query, Value cache,
                                              Value pageTable);

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

protected:
  /// Copies the query at element `from` to row `head` of scratch.
  virtual void loadQuery(Value from, Value head) = 0;
  /// Heads from `first` on pad a tile: their results are never used.
  virtual void clearQueries(Value first) = 0;
  /// The scores of the block at `base`; the one at `next` comes later.
  virtual void scores(Value base, Value next, Value valid) = 0;
  virtual void softmax(const HeadState &state, Value base, Value valid) = 0;
  virtual void values(const HeadState &state, Value base, Value valid) = 0;

  /// The scores of a head, masked, and which of them exist.
  struct HeadScores {
    SmallVector<Value> scores, exists;
    Value largest;
  };
  HeadScores loadScores(Value row, Value valid);
  /// Moves the state of a head to a new maximum and adds `sum`, which is of
  /// exponents relative to that maximum times `factor`.
  void raiseMaximum(const HeadState &state, Value head, Value before,
                    Value maximum, Value sum);

  RowEmitter &k;
  const LatentAttentionSpec &spec;
  const CachePlane &plane;
  int64_t block; ///< tokens
  Value queryIn, cache, pageTable;
  Value score; ///< [head][block]
};

std::unique_ptr<LatentBlocks> createInt8Blocks(RowEmitter &k,
                                               const LatentAttentionSpec &spec,
                                               Value query, Value cache,
                                               Value pageTable);

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
