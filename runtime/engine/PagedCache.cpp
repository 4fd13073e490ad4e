//===- PagedCache.cpp - Which cache rows belong to which sequence ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/PagedCache.h"

#include <string>
#include <utility>

using namespace dsv2;

static Status noSequence(SequenceId sequence) {
  return Status(StatusCode::invalidArgument,
                "sequence " + std::to_string(sequence) +
                    " does not exist in this session; create one first");
}

PagedCache::PagedCache(int64_t pages, int64_t pageSize, int64_t maxContext)
    : totalPages(pages), tokensPerPage(pageSize), longestContext(maxContext) {
  available.reserve(pages);
  for (int64_t page = pages; page-- > 0;)
    available.push_back(static_cast<int32_t>(page));
}

SequenceId PagedCache::create() {
  int32_t slot;
  if (unused.empty()) {
    slot = static_cast<int32_t>(sequences.size());
    sequences.emplace_back();
  } else {
    slot = unused.back();
    unused.pop_back();
  }
  Sequence &sequence = sequences[slot];
  sequence.inUse = true;
  // Steps never allocate.
  sequence.pages.reserve(pagesFor(longestContext));
  return (int64_t(sequence.generation) << 32) | slot;
}

const PagedCache::Sequence *PagedCache::find(SequenceId sequence) const {
  uint64_t slot = static_cast<uint64_t>(sequence) & UINT32_MAX;
  if (sequence < 0 || slot >= sequences.size())
    return nullptr;
  const Sequence &found = sequences[slot];
  return found.inUse && found.generation == sequence >> 32 ? &found : nullptr;
}

PagedCache::Sequence *PagedCache::find(SequenceId sequence) {
  return const_cast<Sequence *>(std::as_const(*this).find(sequence));
}

Status PagedCache::release(SequenceId id) {
  Sequence *sequence = find(id);
  if (!sequence)
    return noSequence(id);
  shrink(*sequence, 0);
  sequence->inUse = false;
  sequence->generation =
      static_cast<int32_t>((uint32_t(sequence->generation) + 1) & INT32_MAX);
  unused.push_back(static_cast<int32_t>(id & UINT32_MAX));
  return Status();
}

Status PagedCache::truncate(SequenceId id, int64_t length) {
  Sequence *sequence = find(id);
  if (!sequence)
    return noSequence(id);
  if (length < 0 || length > sequence->length)
    return Status(StatusCode::invalidArgument,
                  "cannot truncate sequence " + std::to_string(id) + " to " +
                      std::to_string(length) + " tokens, expected 0 to " +
                      std::to_string(sequence->length));
  shrink(*sequence, length);
  return Status();
}

Result<int64_t> PagedCache::length(SequenceId id) const {
  const Sequence *sequence = find(id);
  if (!sequence)
    return noSequence(id);
  return sequence->length;
}

int64_t PagedCache::pagesNeeded(const Sequence &sequence,
                                int64_t tokens) const {
  return pagesFor(sequence.length + tokens) -
         static_cast<int64_t>(sequence.pages.size());
}

void PagedCache::grow(Sequence &sequence, int64_t tokens) {
  for (int64_t count = pagesNeeded(sequence, tokens); count > 0; --count) {
    sequence.pages.push_back(available.back());
    available.pop_back();
  }
  sequence.length += tokens;
}

void PagedCache::shrink(Sequence &sequence, int64_t length) {
  sequence.length = length;
  while (static_cast<int64_t>(sequence.pages.size()) > pagesFor(length)) {
    available.push_back(sequence.pages.back());
    sequence.pages.pop_back();
  }
}
