//===- LowerToLLVM.h - Kernels to the LLVM dialect --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_LOWERTOLLVM_H
#define DSV2_LOWERING_X86_LOWERTOLLVM_H

#include "lowering/X86/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace mlir::dsv2::x86 {

/// Adds the passes that take kernels to the LLVM dialect, where memrefs with
/// static shapes are bare pointers.
void buildLowerToLLVMPipeline(OpPassManager &pm, const InstructionSet &set,
                              bool approximateMath);

/// Makes every lowered kernel private and always inlined, and adds the function
/// with the C signature of Kernel.h that takes its symbol and calls it.
LogicalResult addExportedWrappers(ModuleOp module);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_LOWERTOLLVM_H
