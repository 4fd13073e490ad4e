//===- AttentionEmitter.h - What attention kernels share --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONEMITTER_H
#define DSV2_LOWERING_NVPTX_ATTENTIONEMITTER_H

#include "lowering/NVPTX/AttentionSoftmax.h"

namespace mlir::dsv2::nvptx {

class AttentionEmitter : public HopperBuilder {
public:
  AttentionEmitter(ModuleOp module, StringRef name, unsigned bindings,
                   const Launch &launch, ArrayRef<TensorMap> maps,
                   int64_t maxSequences)
      : HopperBuilder(module, name, bindings, launch, maps),
        maxSequences(maxSequences) {}

protected:
  /// Element `index` of an i32 binding.
  Value number(unsigned binding, Value index) {
    return load(getI32Type(),
                element(this->binding(binding), getI32Type(), index));
  }

  /// Reserves the prefix sum of the items of all sequences.
  void reserveWork();
  /// One warp: fills it, 32 sequences at a time. A barrier must follow.
  void countWork(function_ref<Value(Value sequence)> itemsOf);
  /// All items of the step.
  Value totalItems();
  /// The sequence of an item, and the item's number in it.
  std::pair<Value, Value> sequenceOf(Value index);

  /// Arrives once for each warp that comes here.
  void arriveByWarps(Value barrier);

  /// Sets rows [from, rows) of `tiles` consecutive swizzled tiles of `rows`
  /// rows to zero, by a warpgroup.
  void clearRows(Value address, int64_t tiles, int64_t rows, Value from);

  /// Starts the products of rows of `a` with rows of `b`, which are descriptors
  /// of `tiles` consecutive swizzled tiles of `tileBytes` each; a thread holds
  /// `count` sums.
  SmallVector<Value> scoreTiles(Value a, Value b, int64_t tiles,
                                int64_t tileBytes, int64_t count);

  /// The first of the two rows that the thread holds of its warpgroup's 64.
  Value threadRow();

private:
  int64_t maxSequences;
  Value itemsBefore;
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONEMITTER_H
