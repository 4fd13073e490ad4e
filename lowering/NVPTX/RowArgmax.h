//===- RowArgmax.h - Greedy sampling ----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ROWARGMAX_H
#define DSV2_LOWERING_NVPTX_ROWARGMAX_H

#include "lowering/NVPTX/RowEmitter.h"

namespace mlir::dsv2::nvptx {

/// best[r] = the column of the largest of logits[r][:], the lowest of equals;
/// NaN is never preferred. Bindings: logits f32 [R][depth], best i32 [R]. A
/// block looks at one row.
struct ArgmaxSpec {
  int64_t depth; ///< a multiple of 4
};
KernelInfo emitArgmax(ModuleOp module, StringRef name, const ArgmaxSpec &spec);

/// An i32 whose unsigned order is that of f32: negative zero is below zero, and
/// NaN is as negative infinity. The smallest key of a number is 0x007fffff.
Value orderedKey(PtxBuilder &b, Value value);
/// The largest (smallest) of an unsigned i32 over the warp, in all lanes.
Value warpUnsignedMax(PtxBuilder &b, Value value);
Value warpUnsignedMin(PtxBuilder &b, Value value);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ROWARGMAX_H
