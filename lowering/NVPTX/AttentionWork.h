//===- AttentionWork.h - What each block of attention computes --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The rows of a sequence are its (new token, head) pairs, in tiles of 64. An
// item is a tile and a split of the context; items are numbered by sequence,
// then split, then tile, so that items that read the same rows of the cache are
// neighbors. A prefix sum over sequences, made by every block for itself, turns
// a number into an item.
//
// The arithmetic is a template, so that tests run with integers what kernels
// run with IR values.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONWORK_H
#define DSV2_LOWERING_NVPTX_ATTENTIONWORK_H

#include <cstdint>

namespace mlir::dsv2::nvptx {

inline constexpr int64_t attentionTileRows = 64;
inline constexpr int64_t attentionBlockTokens = 64;

/// How a context is divided: in splits of `tokens`, or of the least power of
/// two times as many with which there are at most `most`. That depends on its
/// own length alone.
struct ContextSplits {
  int64_t tokens, most;
  int64_t maxContext; ///< the longest

  int64_t doublings() const {
    int64_t count = 0;
    while ((maxContext - 1) / (tokens << count) >= most)
      ++count;
    return count;
  }
};

/// The tokens of a split.
template <typename Math, typename Int>
Int splitTokensOf(Math &math, Int context, const ContextSplits &splits) {
  Int tokens = math.constantLike(context, splits.tokens);
  Int units = math.ceilDiv(context, splits.tokens * splits.most);
  for (int64_t i = 0; i < splits.doublings(); ++i) {
    Int isMore = math.min(math.max(math.sub(units, int64_t(1) << i), 0), 1);
    tokens = math.mul(tokens, math.add(isMore, 1));
  }
  return tokens;
}
template <typename Math, typename Int>
Int splitsOf(Math &math, Int context, Int splitTokens) {
  return math.div(math.add(context, math.sub(splitTokens, 1)), splitTokens);
}

/// Items of a sequence with so many new tokens and so long a context.
template <typename Math, typename Int>
Int countItems(Math &math, Int tokens, Int context, int64_t heads,
               const ContextSplits &splits) {
  Int tiles = math.ceilDiv(math.mul(tokens, heads), attentionTileRows);
  Int splitTokens = splitTokensOf(math, context, splits);
  return math.mul(tiles, splitsOf(math, context, splitTokens));
}

template <typename Int>
struct AttentionItem {
  Int firstRow; ///< of the tile, in the sequence
  Int rows;     ///< of the sequence
  Int split;
  Int splits; ///< of the sequence
  Int begin;  ///< first position of the split
  Int blocks; ///< of 64 positions that some row of the tile sees
};

/// The item `index` of a sequence.
template <typename Math, typename Int>
AttentionItem<Int> itemOf(Math &math, Int index, Int tokens, Int context,
                          int64_t heads, const ContextSplits &splits) {
  AttentionItem<Int> item;
  Int splitTokens = splitTokensOf(math, context, splits);
  item.rows = math.mul(tokens, heads);
  Int tiles = math.ceilDiv(item.rows, attentionTileRows);
  item.split = math.div(index, tiles);
  Int tile = math.sub(index, math.mul(item.split, tiles));
  item.firstRow = math.mul(tile, attentionTileRows);
  item.splits = splitsOf(math, context, splitTokens);
  item.begin = math.mul(item.split, splitTokens);
  // The last row of the tile sees the most: up to its own position.
  Int lastRow = math.min(math.add(item.firstRow, attentionTileRows - 1),
                         math.add(item.rows, -1));
  Int before = math.sub(context, tokens);
  Int visible = math.add(math.add(before, math.div(lastRow, heads)), 1);
  Int end = math.min(visible, math.add(item.begin, splitTokens));
  Int count = math.max(math.sub(end, item.begin), 0);
  item.blocks = math.ceilDiv(count, attentionBlockTokens);
  return item;
}

/// Of attention over expanded heads, an item is a tile of tokens and a head.
template <typename Int>
struct ExpandedItem {
  Int head;
  Int firstToken; ///< of the tile, in the sequence
  Int blocks;     ///< of 128 positions that some token of the tile sees
};

/// The item `index` of a sequence. A tile sees the more the later it is, so
/// that the last comes first: by tile and then head, which balances best, or
/// with so many heads that their keys and values at a time exceed L2 by head.
template <typename Math, typename Int>
ExpandedItem<Int> expandedItemOf(Math &math, Int index, Int tokens, Int context,
                                 int64_t heads) {
  constexpr int64_t rows = 128, headsAtATime = 32;
  ExpandedItem<Int> item;
  Int tiles = math.ceilDiv(tokens, rows), before;
  if (heads <= headsAtATime) {
    before = math.div(index, heads);
    item.head = math.sub(index, math.mul(before, heads));
  } else {
    item.head = math.div(index, tiles);
    before = math.sub(index, math.mul(item.head, tiles));
  }
  Int tile = math.sub(math.add(tiles, -1), before);
  item.firstToken = math.mul(tile, rows);
  Int end = math.min(math.add(item.firstToken, rows), tokens);
  Int visible = math.add(math.sub(context, tokens), end);
  item.blocks = math.ceilDiv(visible, rows);
  return item;
}

/// The item that one of `blocks` takes in the round of items from `base` on:
/// odd rounds run backwards, so that who had the longest item of a round has
/// the shortest of the next. It may be behind the last.
template <typename Math, typename Int>
Int itemOfRound(Math &math, Int base, Int block, Int blocks) {
  Int round = math.div(base, blocks);
  Int isOdd = math.sub(round, math.mul(math.div(round, 2), 2));
  Int mirrored = math.sub(math.sub(blocks, 1), block);
  Int place = math.add(block, math.mul(isOdd, math.sub(mirrored, block)));
  return math.add(base, place);
}

/// The blocks of 128 positions, of the first `blocks` of a sequence, that a
/// chunk of the context has: those that begin in its `step` rows. `start` is
/// where the sequence begins, counted from the chunk's first row.
template <typename Int>
struct ChunkBlocks {
  Int begin, end; ///< none when begin is not less than end
};
template <typename Math, typename Int>
ChunkBlocks<Int> chunkBlocksOf(Math &math, Int start, Int blocks,
                               int64_t step) {
  constexpr int64_t rows = 128;
  Int before = math.mul(start, -1);
  Int end = math.ceilDiv(math.max(math.add(before, step), 0), rows);
  return {math.ceilDiv(math.max(before, 0), rows), math.min(end, blocks)};
}

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONWORK_H
