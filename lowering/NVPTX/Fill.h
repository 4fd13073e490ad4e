//===- Fill.h - Numbers for weights that a file does not have ---*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_FILL_H
#define DSV2_LOWERING_NVPTX_FILL_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

inline constexpr llvm::StringLiteral fillKernelName = "dsv2_fill";

/// Writes pseudo-random bits that are small finite numbers in every format of
/// weights: bf16, f16, f32, e4m3, integers with scales. What a speed
/// measurement needs, routing included. One binding; %dims[0] is the number of
/// 16-byte units in it.
KernelInfo emitFill(ModuleOp module);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_FILL_H
