//===- Emission.h - What every LLVM back end needs --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_LLVM_EMISSION_H
#define DSV2_LOWERING_LLVM_EMISSION_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Passes/OptimizationLevel.h"
#include "llvm/Support/CodeGen.h"

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace mlir::dsv2 {

/// Loads what the passes need while no other thread uses the context.
void loadDialects(const OpPassManager &pm, MLIRContext &context);

/// Turns LLVM's errors into diagnostics of `source`; LLVM would print them and
/// exit. `subject` is what LLVM is to accept.
void forwardErrors(llvm::LLVMContext &context, ModuleOp source,
                   StringRef subject);

void optimize(llvm::Module &module, llvm::TargetMachine &machine,
              llvm::OptimizationLevel level);

/// Whether the target can write files of this type.
bool emitFile(llvm::Module &module, llvm::TargetMachine &machine,
              llvm::CodeGenFileType type, llvm::SmallVectorImpl<char> &bytes);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_LLVM_EMISSION_H
