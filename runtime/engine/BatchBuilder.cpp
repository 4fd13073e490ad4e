//===- BatchBuilder.cpp - The arrays that describe a ragged batch ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/BatchBuilder.h"

#include "runtime/schema/artifact_generated.h"

#include <algorithm>

using namespace dsv2;
using schema::BatchField;

Result<BatchBuilder> BatchBuilder::create(const schema::Limits &limits,
                                          int64_t pageSize) {
  BatchBuilder builder;
  const int64_t tokens = limits.max_batch_tokens();
  const int64_t sequences = limits.max_sequences();
  const int64_t context = sequences * limits.max_context();
  builder.pagesPerSequence = (limits.max_context() + pageSize - 1) / pageSize;

  std::array<int64_t, batchFieldCount> &sizes = builder.capacities;
  auto size = [&](BatchField field) -> int64_t & {
    return sizes[static_cast<size_t>(field)];
  };
  size(BatchField::tokens) = tokens;
  size(BatchField::positions) = tokens;
  size(BatchField::token_sequence) = tokens;
  size(BatchField::cache_rows) = tokens;
  size(BatchField::query_offsets) = sequences + 1;
  size(BatchField::context_lengths) = sequences;
  size(BatchField::context_offsets) = sequences + 1;
  size(BatchField::page_table) = sequences * builder.pagesPerSequence;
  size(BatchField::context_rows) = context;
  size(BatchField::context_sequence) = context;
  size(BatchField::context_position) = context;
  size(BatchField::logit_rows) = limits.max_logit_rows();

  // Each array starts a cache line and has one more behind it, so that kernels
  // may read whole vectors.
  constexpr int64_t line = cacheLine / sizeof(int32_t);
  auto padded = [](int64_t count) { return (count / line + 2) * line; };
  int64_t total = 0;
  for (int64_t count : sizes)
    total += padded(count);
  Result<LargeBuffer> memory =
      LargeBuffer::allocate(total * sizeof(int32_t), "the batch arrays");
  if (!memory.ok())
    return memory.status();
  builder.memory = *std::move(memory);
  auto *at = reinterpret_cast<int32_t *>(builder.memory.data());
  for (size_t field = 0; field < batchFieldCount; ++field) {
    builder.fields[field] = at;
    at += padded(sizes[field]);
  }
  return builder;
}

StepSizes BatchBuilder::build(std::span<const SequenceInput> inputs,
                              const PagedCache &cache, bool needContext) {
  auto array = [&](BatchField field) {
    return fields[static_cast<size_t>(field)];
  };
  int32_t *tokens = array(BatchField::tokens);
  int32_t *positions = array(BatchField::positions);
  int32_t *tokenSequence = array(BatchField::token_sequence);
  int32_t *cacheRows = array(BatchField::cache_rows);
  int32_t *queryOffsets = array(BatchField::query_offsets);
  int32_t *contextLengths = array(BatchField::context_lengths);
  int32_t *contextOffsets = array(BatchField::context_offsets);
  int32_t *pageTable = array(BatchField::page_table);
  int32_t *logitRows = array(BatchField::logit_rows);

  const int64_t pageSize = cache.pageSize();
  StepSizes sizes;
  queryOffsets[0] = contextOffsets[0] = 0;
  for (const SequenceInput &input : inputs) {
    const PagedCache::Sequence &sequence = *cache.find(input.sequence);
    const int64_t count = static_cast<int64_t>(input.tokens.size());
    const int32_t index = static_cast<int32_t>(sizes.sequences);

    std::copy(input.tokens.begin(), input.tokens.end(), tokens + sizes.tokens);
    int64_t position = sequence.length - count;
    for (int64_t token = 0; token < count; ++token, ++position) {
      int64_t at = sizes.tokens + token;
      positions[at] = static_cast<int32_t>(position);
      tokenSequence[at] = index;
      cacheRows[at] = static_cast<int32_t>(
          sequence.pages[position / pageSize] * pageSize + position % pageSize);
    }
    for (int64_t row = count - input.logitRows(); row < count; ++row)
      logitRows[sizes.logitRows++] = static_cast<int32_t>(sizes.tokens + row);
    std::copy(sequence.pages.begin(), sequence.pages.end(),
              pageTable + index * pagesPerSequence);
    contextLengths[index] = static_cast<int32_t>(sequence.length);
    if (needContext)
      addContext(sequence, index, pageSize, sizes.context);

    sizes.tokens += count;
    sizes.context += sequence.length;
    ++sizes.sequences;
    queryOffsets[sizes.sequences] = static_cast<int32_t>(sizes.tokens);
    contextOffsets[sizes.sequences] = static_cast<int32_t>(sizes.context);
  }
  return sizes;
}

void BatchBuilder::addContext(const PagedCache::Sequence &sequence,
                              int32_t index, int64_t pageSize, int64_t first) {
  auto array = [&](BatchField field) {
    return fields[static_cast<size_t>(field)] + first;
  };
  int32_t *rows = array(BatchField::context_rows);
  int32_t *sequences = array(BatchField::context_sequence);
  int32_t *positions = array(BatchField::context_position);
  std::fill_n(sequences, sequence.length, index);
  for (int64_t begin = 0; begin < sequence.length; begin += pageSize) {
    int64_t end = std::min(begin + pageSize, sequence.length);
    int64_t row = sequence.pages[begin / pageSize] * pageSize;
    for (int64_t position = begin; position < end; ++position, ++row) {
      rows[position] = static_cast<int32_t>(row);
      positions[position] = static_cast<int32_t>(position);
    }
  }
}
