//===- OrderedKey.h - Numbers as integers of the same order -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ORDEREDKEY_H
#define DSV2_LOWERING_NVPTX_ORDEREDKEY_H

#include "lowering/NVPTX/PtxBuilder.h"

namespace mlir::dsv2::nvptx {

/// An i32 whose unsigned order is that of f32: negative zero is below zero, and
/// NaN is as negative infinity. The smallest key of a number is 0x007fffff.
Value orderedKey(PtxBuilder &b, Value value);
/// The largest (smallest) of an unsigned i32 over the warp, in all lanes.
Value warpUnsignedMax(PtxBuilder &b, Value value);
Value warpUnsignedMin(PtxBuilder &b, Value value);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ORDEREDKEY_H
