//===- MoeSlots.h - Grouping tokens by expert -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_MOESLOTS_H
#define DSV2_LOWERING_NVPTX_MOESLOTS_H

#include "lowering/Kernels/MoeSpecs.h"
#include "lowering/NVPTX/RowEmitter.h"

namespace mlir::dsv2::nvptx {

/// A block places the slots of one expert, of at most 4096; it counts all of
/// them for itself, so that no block waits for another.
KernelInfo emitGroupTokens(ModuleOp module, StringRef name,
                           const GroupTokensSpec &spec);

KernelInfo emitCombine(ModuleOp module, StringRef name,
                       const CombineSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_MOESLOTS_H
