//===- Codegen.h - Kernels to a shared object -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Compiles a module of kernels (Kernel.h) for one instruction set, in process:
// MLIR lowering, LLVM at O2 without fast-math, and ld.lld for the final link.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_CODEGEN_H
#define DSV2_LOWERING_X86_CODEGEN_H

#include "lowering/X86/Target.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>
#include <utility>
#include <vector>

namespace mlir::dsv2::x86 {

struct CodegenOptions {
  /// ld.lld; empty means the one found when dsv2 was configured.
  std::string linker;
  /// Kernels are compiled in this many independent parts, in parallel when the
  /// context has threads. The result does not depend on the threads.
  unsigned partitions = 2;
  /// Replaces exp, log, sin, ... of float32 by polynomials, which vectorize;
  /// otherwise they become calls of libm.
  bool approximateMath = true;
  /// Fill KernelLibrary::llvmIR and assembly.
  bool dump = false;
};

struct KernelLibrary {
  /// An ELF shared object that exports each kernel.
  std::vector<char> object;
  /// Kernel symbol and bytes of machine code, in the order of the module.
  std::vector<std::pair<std::string, uint64_t>> codeBytes;
  std::string llvmIR; ///< optimized
  std::string assembly;
};

/// Compiles every func.func with the attribute dsv2.kernel. `kernels` is left
/// unchanged; other functions in it may be called by kernels. Emits diagnostics
/// on failure.
FailureOr<KernelLibrary> compileKernels(ModuleOp kernels,
                                        const InstructionSet &set,
                                        const CodegenOptions &options = {});

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_CODEGEN_H
