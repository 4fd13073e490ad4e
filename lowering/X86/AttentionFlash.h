//===- AttentionFlash.h - Queries against one tile of keys ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The inner part of attention over expanded keys: a block of queries of one
// head against the tile that ExpandedTile holds, with a running softmax.
//
// bf16 keys are multiplied with the queries as they are. With int8 keys the
// part without positions is multiplied in int8, queries with a scale for each
// row; the rotated part stays bf16. Softmax takes as many rows at once as a
// vector has lanes, so that maxima and factors are vectors too.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ATTENTIONFLASH_H
#define DSV2_LOWERING_X86_ATTENTIONFLASH_H

#include "lowering/X86/AttentionTile.h"

namespace mlir::dsv2::x86 {

/// Queries first, first + 1, ... of one head of a sequence.
struct Queries {
  Value first;    ///< token
  Value count;    ///< at least 1
  Value position; ///< of the first
  Value head;
};

class FlashAttention {
public:
  /// Queries whose scores exist at the same time: with a tile of keys or of
  /// values they fit into the first-level cache.
  static constexpr int64_t rowBlock = 32;

  FlashAttention(RowEmitter &k, const ExpandedAttentionSpec &spec,
                 const ExpandedTile &tile, int64_t rows);

  /// Begins with no context; rounds the queries to int8 where keys are.
  void start(const Queries &queries);
  /// Attends to the tile, whose first token is at `position`.
  void update(const Queries &queries, Value position);
  void store(const Queries &queries, Value out);

private:
  void quantize(const Queries &queries);
  void scores(const Queries &queries, Value row, Value place);
  SmallVector<Value> nopeScores(Value row, ArrayRef<Value> starts, Value token,
                                int64_t vectors, Value last);
  void softmax(const Queries &queries, Value row, Value place, Value position,
               bool isMasked);
  void weigh(Value row, Value place);

  RowEmitter &k;
  const ExpandedAttentionSpec &spec;
  const ExpandedTile &tile;
  int64_t rows, width; ///< width: padded columns of the output
  int64_t nopePadded;
  Value output, maxima, sums, factors;
  Value score, probability; ///< of rowBlock queries
  Value partialSums;        ///< [lane][lane], of rows that softmax is at
  // Of int8.
  Value quants;  ///< i8 [row][nopePadded]
  Value scales;  ///< [row]
  Value offsets; ///< i32 [row]: undo the zero point of keys
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ATTENTIONFLASH_H
