//===- AttentionLatentEmitter.h - Attention over the cache ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A block has three warpgroups. One thread of the first loads: the blocks of 64
// cached rows of an item into a ring of two stages, and its 64 queries once.
// Rows in fp8 are loaded and widened to bf16 by the whole first warpgroup.
// The second ("left") computes the scores and their softmax, and the left half
// of the output's columns; the third ("right") the right half. Half of a 64 x
// 512 tile of f32 is what the registers of a warpgroup hold.
//
//   left:  S(i+1) is issued right after P(i) V(i), so that the tensor cores
//          have work while the softmax of i+1 is about to begin
//   right: P(i) and the factors of its rows come through shared memory
//
// Barriers, besides the ring of the cache (full: one arrival and the bytes, or
// all 128 threads that have widened rows, one arrival and the bytes of the
// rotated keys; empty: a lane of each of the eight
// consumer warps):
//   queries       full: one arrival and the bytes; empty: the four left warps,
//                 when the last scores of an item are there
//   probabilities full: all 128 left threads, each after its own writes and
//                 their proxy fence; empty: the four right warps, when their
//                 product has been waited for. After the last block of an item
//                 one more round brings the inverse sums.
// Each side flips its phase once a round (Ring's invariants), and both sides of
// a ring take the same number of rounds, a function of the item alone.
//
// Rows of the last block behind the end of the context hold anything. Their
// scores are masked, and each half of their values is set to zero, by the
// warpgroup that reads it and after the scores have been computed: 0 * NaN
// would be NaN.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONLATENTEMITTER_H
#define DSV2_LOWERING_NVPTX_ATTENTIONLATENTEMITTER_H

#include "lowering/NVPTX/AttentionEmitter.h"
#include "lowering/NVPTX/AttentionLatent.h"
#include "lowering/NVPTX/AttentionWork.h"

namespace mlir::dsv2::nvptx {

class LatentEmitter : public AttentionEmitter {
public:
  enum Binding : unsigned {
    latentQueries,
    rotatedQueries,
    cacheRows,
    queryOffsets,
    contextLengths,
    pageTable,
    output,
    partials,
    partialSums,
  };

  LatentEmitter(ModuleOp module, StringRef name,
                const LatentAttentionSpec &spec, const Launch &launch,
                ArrayRef<TensorMap> maps)
      : AttentionEmitter(module, name, 9, launch, maps, spec.sequences),
        spec(spec), latent(spec.cache.latent), tiles(latent / 64 + 1) {}

  void emit();

private:
  static constexpr int64_t tileBytes = 64 * swizzleRowBytes;
  static constexpr int64_t stages = 2;

  const LatentAttentionSpec &spec;
  int64_t latent, tiles;
  Value query, kv, probabilities, factors;
  Ring kvRing, queryRing, probabilityRing;
  Value total;

  struct Item : AttentionItem<Value> {
    Value sequence, tokens, context, firstToken;
  };

  int64_t blockBytes() const { return tiles * tileBytes; }
  Item itemAt(Value index);
  void forEachItem(ValueRange state,
                   function_ref<SmallVector<Value>(const Item &, ValueRange)>);
  Value stageAddress(Value stage) { return add(kv, mul(stage, blockBytes())); }
  /// Whether the cache holds what products read.
  bool copiesRows() const { return spec.cache.format == CacheFormat::bf16; }

  void produce();
  void loadQueries(const Item &item, Value phase);
  /// The row of the cache where a block of the item begins.
  Value cacheRowOf(const Item &item, Value block);
  void copyRows(Value row, const RingState &at);
  /// Asks L2 for a block of the item, if it has that.
  void prefetchRows(const Item &item, Value block);
  SmallVector<Value> copyItem(const Item &item, Value queryPhase,
                              const RingState &begin);
  /// The same of rows in fp8.
  SmallVector<Value> widenItem(const Item &item, Value queryPhase,
                               const RingState &begin);
  /// Widens a block. `quants` are the thread's first row of it, and what the
  /// thread has of its first two in registers; returned are those of the next
  /// block, where the row is `following`.
  SmallVector<Value> widenRows(Value following, ValueRange quants,
                               const RingState &at);
  /// Which row of a block the thread widens first, and which eighth of a fourth
  /// of a row.
  Value rowOfThread();
  Value partOfThread();
  /// Appends the thread's 16 bytes of a fourth of its row `first` (0 to 3) or
  /// of the one that is four further (4 to 7), and their scale.
  void loadFourth(Value first, int64_t fourth, SmallVectorImpl<Value> &quants);
  /// The thread, read where it is used: what follows from it is not kept in
  /// registers from round to round.
  Value threadHere();

  void consumeLeft();
  void consumeRight();
  SmallVector<Value> leftItem(const Item &item, ValueRange state);
  SmallVector<Value> rightItem(const Item &item, ValueRange state);

  SmallVector<Value> startScores(const RingState &state);
  SmallVector<Value> hideScores(ValueRange scores, const Item &item,
                                Value block);
  void publish(const Probabilities &p, Value phase);
  void publishFactors(const RowPair &values);
  RowPair readFactors();
  void clearBehind(const Item &item, Value stageBase, int64_t half,
                   int64_t barrierId);
  Value valueDescriptor(Value stageBase, int64_t half) {
    return descriptor(add(stageBase, half * (latent / 2) / 64 * tileBytes),
                      mnMajorDescriptor(tileBytes));
  }
  void storeRows(const Item &item, ValueRange sums, const RowPair &inverses,
                 int64_t half);
  void storeLogSums(const Item &item, const RowPair &values);
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONLATENTEMITTER_H
