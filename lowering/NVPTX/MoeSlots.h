//===- MoeSlots.h - Grouping tokens by expert -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Each (token, choice) pair of the router is a slot. Slots are sorted by expert
// so that an expert computes consecutive rows, and their results are summed
// back per token.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_MOESLOTS_H
#define DSV2_LOWERING_NVPTX_MOESLOTS_H

#include "lowering/NVPTX/RowEmitter.h"

namespace mlir::dsv2::nvptx {

/// Sorts the slots by expert, then by token (then by choice). Bindings, all
/// i32: experts [T][topK], offsets [E+1] (slots of expert e are [offsets[e],
/// offsets[e+1])), active [E] (experts with slots, ascending; the rest is
/// undefined), activeCount [1], slotToken [T*topK], tokenSlot [T][topK].
/// A block places the slots of one expert; it counts all of them for itself, so
/// that no block waits for another.
struct GroupTokensSpec {
  int64_t experts; ///< at most 4096
  int64_t topK;
};
KernelInfo emitGroupTokens(ModuleOp module, StringRef name,
                           const GroupTokensSpec &spec);

/// out[t][:] = sum over k, in order, of weights[t][k] * y[tokenSlot[t][k]][:],
/// then + addend0[t][:] + addend1[t][:] ...
/// Bindings: y [T*topK][depth], weights f32 [T][topK], tokenSlot i32 [T][topK],
/// the addends f32 [T][depth], out f32 [T][depth] (may be one of the addends).
struct CombineSpec {
  int64_t topK;
  int64_t depth;
  int64_t addends = 1;
  bool bf16Slots = false; ///< y is bf16, else f32
};
KernelInfo emitCombine(ModuleOp module, StringRef name,
                       const CombineSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_MOESLOTS_H
