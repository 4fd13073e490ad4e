//===- MoeSlots.h - Grouping tokens by expert -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_MOESLOTS_H
#define DSV2_LOWERING_X86_MOESLOTS_H

#include "lowering/Kernels/MoeSpecs.h"
#include "lowering/X86/RowEmitter.h"

namespace mlir::dsv2::x86 {

/// One workgroup.
KernelInfo emitGroupTokens(ModuleOp module, StringRef name,
                           const InstructionSet &set,
                           const GroupTokensSpec &spec);

/// Slots are f32.
KernelInfo emitCombine(ModuleOp module, StringRef name,
                       const InstructionSet &set, const CombineSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_MOESLOTS_H
