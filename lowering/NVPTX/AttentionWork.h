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

/// Items of a sequence with so many new tokens and so long a context.
template <typename Math, typename Int>
Int countItems(Math &math, Int tokens, Int context, int64_t heads,
               int64_t splitTokens) {
  Int tiles = math.ceilDiv(math.mul(tokens, heads), attentionTileRows);
  return math.mul(tiles, math.ceilDiv(context, splitTokens));
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
                          int64_t heads, int64_t splitTokens) {
  AttentionItem<Int> item;
  item.rows = math.mul(tokens, heads);
  Int tiles = math.ceilDiv(item.rows, attentionTileRows);
  item.split = math.div(index, tiles);
  Int tile = math.sub(index, math.mul(item.split, tiles));
  item.firstRow = math.mul(tile, attentionTileRows);
  item.splits = math.ceilDiv(context, splitTokens);
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

/// The item `index` of a sequence: by head, and the last tile, which sees the
/// most, first.
template <typename Math, typename Int>
ExpandedItem<Int> expandedItemOf(Math &math, Int index, Int tokens,
                                 Int context) {
  constexpr int64_t rows = 128;
  ExpandedItem<Int> item;
  Int tiles = math.ceilDiv(tokens, rows);
  item.head = math.div(index, tiles);
  Int before = math.sub(index, math.mul(item.head, tiles));
  Int tile = math.sub(math.add(tiles, -1), before);
  item.firstToken = math.mul(tile, rows);
  Int end = math.min(math.add(item.firstToken, rows), tokens);
  Int visible = math.add(math.sub(context, tokens), end);
  item.blocks = math.ceilDiv(visible, rows);
  return item;
}

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONWORK_H
