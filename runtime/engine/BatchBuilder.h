//===- BatchBuilder.h - The arrays that describe a ragged batch -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Fills the arrays of schema::BatchField from the tokens of some sequences and
// their pages. The arrays are allocated once, for the largest batch.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ENGINE_BATCHBUILDER_H
#define DSV2_RUNTIME_ENGINE_BATCHBUILDER_H

#include "runtime/drivers/cpu/Executor.h"
#include "runtime/drivers/cpu/LargeBuffer.h"
#include "runtime/engine/PagedCache.h"

#include <array>
#include <cstdint>
#include <span>

namespace dsv2 {

namespace schema {
struct Limits;
} // namespace schema

/// Which logits of a sequence's new tokens are wanted.
enum class LogitsMode { none, last, all };

/// The new tokens of one sequence.
struct SequenceInput {
  SequenceId sequence = -1;
  std::span<const int32_t> tokens;
  LogitsMode logits = LogitsMode::last;

  int64_t logitRows() const {
    return logits == LogitsMode::none   ? 0
           : logits == LogitsMode::last ? 1
                                        : static_cast<int64_t>(tokens.size());
  }
};

class BatchBuilder {
public:
  static Result<BatchBuilder> create(const schema::Limits &limits,
                                     int64_t pageSize);

  /// By schema::BatchField; they stay in place.
  const std::array<int32_t *, batchFieldCount> &arrays() const {
    return fields;
  }

  /// Elements of each array, at most.
  const std::array<int64_t, batchFieldCount> &sizes() const {
    return capacities;
  }

  /// Fills the arrays for inputs that fit the limits, after the cache has grown
  /// by their tokens. The arrays with one element for each token of context are
  /// filled only when `needContext` says that a kernel reads them.
  StepSizes build(std::span<const SequenceInput> inputs,
                  const PagedCache &cache, bool needContext);

private:
  void addContext(const PagedCache::Sequence &sequence, int32_t index,
                  int64_t pageSize, int64_t first);

  LargeBuffer memory;
  std::array<int32_t *, batchFieldCount> fields = {};
  std::array<int64_t, batchFieldCount> capacities = {};
  int64_t pagesPerSequence = 0;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ENGINE_BATCHBUILDER_H
