//===- PagedCache.h - Which cache rows belong to which sequence -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Hands out the pages of the latent cache. A page holds the rows of `pageSize`
// consecutive tokens of one sequence, in every layer; a sequence owns as many
// as its tokens need. The rows themselves are the session's memory.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ENGINE_PAGEDCACHE_H
#define DSV2_RUNTIME_ENGINE_PAGEDCACHE_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <vector>

namespace dsv2 {

/// Names a sequence of one cache. A number is not used twice within the first
/// 2^31 sequences of a slot, so that a released one is recognized.
using SequenceId = int64_t;

class PagedCache {
public:
  /// A sequence may have at most `maxContext` tokens.
  PagedCache(int64_t pages, int64_t pageSize, int64_t maxContext);

  SequenceId create();
  Status release(SequenceId sequence);
  /// Forgets the tokens from `length` on.
  Status truncate(SequenceId sequence, int64_t length);
  Result<int64_t> length(SequenceId sequence) const;

  int64_t pageSize() const { return tokensPerPage; }
  int64_t pageCount() const { return totalPages; }
  int64_t freePages() const { return static_cast<int64_t>(available.size()); }
  int64_t maxContext() const { return longestContext; }

  /// One sequence, for building a batch.
  struct Sequence {
    std::vector<int32_t> pages;
    int64_t length = 0;
    int64_t mark = 0; ///< of the last batch that it was found in
    int32_t generation = 0;
    bool inUse = false;
  };

  /// Null when there is no such sequence. Valid until the next create().
  Sequence *find(SequenceId sequence);
  const Sequence *find(SequenceId sequence) const;
  /// Pages to be taken before `tokens` more tokens fit.
  int64_t pagesNeeded(const Sequence &sequence, int64_t tokens) const;
  /// Appends tokens; pagesNeeded() must not exceed freePages().
  void grow(Sequence &sequence, int64_t tokens);

private:
  int64_t pagesFor(int64_t tokens) const {
    return (tokens + tokensPerPage - 1) / tokensPerPage;
  }
  void shrink(Sequence &sequence, int64_t length);

  const int64_t totalPages, tokensPerPage, longestContext;
  std::vector<int32_t> available; ///< a stack: the last one is taken first
  std::vector<Sequence> sequences;
  std::vector<int32_t> unused; ///< slots of released sequences
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ENGINE_PAGEDCACHE_H
