//===- EmitObject.h - LLVM dialect to machine code --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_EMITOBJECT_H
#define DSV2_LOWERING_X86_EMITOBJECT_H

#include "lowering/X86/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"

#include <string>
#include <utility>
#include <vector>

namespace mlir::dsv2::x86 {

/// One compiled part of a kernel library.
struct ObjectFile {
  llvm::SmallVector<char, 0> bytes; ///< relocatable ELF
  std::string llvmIR;
  std::string assembly;
};

/// Makes LLVM's x86 back end and the translation of `context`'s dialects
/// available.
void prepareObjectEmission(MLIRContext &context);

/// Translates a module of the LLVM dialect, optimizes it at O2 and emits it.
FailureOr<ObjectFile> emitObject(ModuleOp module, const InstructionSet &set,
                                 bool dump);

/// Links relocatable objects into a shared one with `linker`. On failure
/// `error` holds one line for the user.
FailureOr<std::vector<char>>
linkSharedObject(llvm::ArrayRef<llvm::StringRef> objects,
                 llvm::StringRef linker, std::string &error);

/// The functions an ELF object defines and their sizes in bytes. Fails when it
/// needs a function that is in neither libc nor libm; then `error` holds one
/// line for the user.
FailureOr<std::vector<std::pair<std::string, uint64_t>>>
functionSizes(llvm::StringRef object, std::string &error);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_EMITOBJECT_H
