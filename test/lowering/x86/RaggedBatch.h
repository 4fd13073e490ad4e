//===- RaggedBatch.h - Random batches over a paged cache --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_X86_RAGGEDBATCH_H
#define DSV2_TEST_LOWERING_X86_RAGGEDBATCH_H

#include "test/lowering/x86/RunKernel.h"

#include <algorithm>
#include <numeric>

namespace dsv2::test {

/// New tokens at the end of a context that includes them.
struct Sequence {
  int64_t context, queries;
};

/// The arrays of a step and one plane of the cache. Pages are shuffled; every
/// row that no sequence owns is NaN.
struct RaggedBatch {
  int64_t pageSize, pagesPerSequence, width;
  std::vector<Sequence> sequences;
  std::vector<int32_t> positions, tokenSequence, queryOffsets{0},
      contextLengths, pageTable;
  std::vector<uint16_t> cache;
  int64_t rows;

  RaggedBatch(std::vector<Sequence> list, int64_t width, int64_t pageSize,
              int64_t maxContext, Random &random)
      : pageSize(pageSize),
        pagesPerSequence((maxContext + pageSize - 1) / pageSize), width(width),
        sequences(std::move(list)) {
    int64_t pages = sequences.size() * pagesPerSequence + 2;
    std::vector<int32_t> order(pages);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random.engine);
    rows = pages * pageSize;
    cache.assign(rows * width, 0x7fc0);
    for (size_t b = 0; b < sequences.size(); ++b) {
      auto [context, queries] = sequences[b];
      for (int64_t i = 0; i < pagesPerSequence; ++i)
        pageTable.push_back(order[b * pagesPerSequence + i]);
      for (int64_t i = context - queries; i < context; ++i) {
        positions.push_back(i);
        tokenSequence.push_back(b);
      }
      queryOffsets.push_back(positions.size());
      contextLengths.push_back(context);
      for (int64_t i = 0; i < context; ++i)
        for (int64_t j = 0; j < width; ++j)
          cache[rowOf(b, i) * width + j] = toBf16(random.uniform());
    }
  }

  int64_t tokens() const { return positions.size(); }
  Dims dims() const {
    int64_t context =
        std::accumulate(contextLengths.begin(), contextLengths.end(), 0);
    return {tokens(), static_cast<int64_t>(sequences.size()), context, 1};
  }
  int64_t rowOf(int64_t sequence, int64_t position) const {
    int64_t page = pageTable[sequence * pagesPerSequence + position / pageSize];
    return page * pageSize + position % pageSize;
  }
  const uint16_t *row(int64_t sequence, int64_t position) const {
    return cache.data() + rowOf(sequence, position) * width;
  }
  double value(int64_t sequence, int64_t position, int64_t column) const {
    return fromBf16(row(sequence, position)[column]);
  }

  /// Queries [from, to) of sequence `b` alone, over the same cache.
  RaggedBatch slice(int64_t b, int64_t from, int64_t to) const {
    RaggedBatch one = *this;
    int64_t context = sequences[b].context - sequences[b].queries + to;
    one.sequences = {{context, to - from}};
    auto first = positions.begin() + queryOffsets[b];
    one.positions.assign(first + from, first + to);
    one.tokenSequence.assign(to - from, 0);
    one.queryOffsets = {0, static_cast<int32_t>(to - from)};
    one.contextLengths = {static_cast<int32_t>(context)};
    one.pageTable.assign(pageTable.begin() + b * pagesPerSequence,
                         pageTable.begin() + (b + 1) * pagesPerSequence);
    return one;
  }
};

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_X86_RAGGEDBATCH_H
