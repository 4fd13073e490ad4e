//===- AttentionExpandedEmitter.h - Attention over keys ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A block computes items of 128 tokens of a sequence and one head. One thread
// of the first warpgroup loads; each of the two others has 64 of the tokens:
//
//   S(i+1) = Q K(i+1) is issued, O is rescaled, O += P(i) V(i) is issued; the
//   softmax of i+1 overlaps the latter, and products of the other warpgroup.
//
// Barriers, all of which Ring's invariants hold for:
//   queries       one stage; empty: a lane of each of the eight consumer warps
//   keys, values  two stages each, filled and consumed in the same order;
//                 empty: the eight consumer warps
// Both consumer warpgroups walk all blocks of the item in the chunk, also where
// their rows see nothing, so that every side takes the same number of rounds.
//
// Rows behind the end of the context hold anything. Their scores are masked,
// and their values are set to zero by both warpgroups together before the last
// product: 0 * NaN would be NaN.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONEXPANDEDEMITTER_H
#define DSV2_LOWERING_NVPTX_ATTENTIONEXPANDEDEMITTER_H

#include "lowering/NVPTX/AttentionEmitter.h"
#include "lowering/NVPTX/AttentionExpanded.h"
#include "lowering/NVPTX/AttentionWork.h"

namespace mlir::dsv2::nvptx {

class ExpandedEmitter : public AttentionEmitter {
public:
  enum Binding : unsigned {
    nopeQueries,
    ropeQueries,
    keys,
    values,
    rotatedKeys,
    queryOffsets,
    contextLengths,
    contextOffsets,
    output,
    partialSums,
    partialStates,
  };

  /// Rows of a tile of queries, keys and values.
  static constexpr int64_t rows = ExpandedAttentionSpec::blockTokens;

  ExpandedEmitter(ModuleOp module, StringRef name,
                  const ExpandedAttentionSpec &spec, const Launch &launch,
                  ArrayRef<TensorMap> maps)
      : AttentionEmitter(module, name, 11, launch, maps, spec.sequences),
        spec(spec) {}

  void emit();

private:
  static constexpr int64_t tileBytes = rows * swizzleRowBytes;
  static constexpr int64_t keyTiles = 3; ///< two of nope, one of rope
  static constexpr int64_t valueTiles = 2;
  static constexpr int64_t stages = 2;
  static constexpr int64_t scoreCount = rows / 2, sumCount = 64,
                           pairCount = rows / 4;

  const ExpandedAttentionSpec &spec;
  Value query, key, value;
  Ring queryRing, keyRing, valueRing;
  Value total;

  struct Item : ExpandedItem<Value> {
    Value sequence, firstRow, tokens, context;
    Value begin, end; ///< blocks of the chunk
    /// The context row of position 0, counted from the chunk's first.
    Value start;
  };
  Item itemAt(Value index);
  /// Where the rows of a sequence begin, counted from the chunk's first.
  Value startOf(Value sequence);
  /// body(item, state) for the items that have blocks in the chunk.
  void forEachItem(ValueRange state,
                   function_ref<SmallVector<Value>(const Item &, ValueRange)>);

  void produce();
  void produceKeys(const Item &item, Value block, const RingState &at);
  void produceValues(const Item &item, Value block, const RingState &at);
  SmallVector<Value> produceItem(const Item &item, ValueRange state);

  void consume();
  SmallVector<Value> consumeItem(const Item &item, ValueRange state);
  /// The scores of the next block, in flight.
  SmallVector<Value> startScores(const RingState &at);
  Powers attend(ValueRange scores, const Item &item, Value block,
                SoftmaxState &softmax);
  /// The sums with P V of a block added, in flight.
  SmallVector<Value> addValues(ValueRange sums, ArrayRef<Value> pairs,
                               const RingState &at);
  void clearBehind(const Item &item, Value block, const RingState &at);
  void storeRows(const Item &item, ValueRange sums, const RowPair &inverses);

  /// The sums and softmax that an item begins with, and those it leaves to the
  /// launch for the next chunk.
  SmallVector<Value> loadState(const Item &item);
  void storeState(const Item &item, ValueRange sums,
                  const SoftmaxState &softmax);
  Value stateAddress(Value row);
  /// body(r, row): for each of the thread's two rows, counted through tokens
  /// and heads, that exists.
  void forRows(const Item &item, function_ref<void(int64_t, Value)> body);
  /// Which 64 of the tile's rows this warpgroup has.
  Value half() { return sub(warpgroup(), 1); }
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONEXPANDEDEMITTER_H
