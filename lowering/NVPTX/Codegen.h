//===- Codegen.h - Kernels to PTX and machine code --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Compiles a module of kernels (Kernel.h) for sm_90a in process: MLIR lowering,
// LLVM at O3 without fast-math, PTX. When there is a ptxas it makes a cubin of
// each and says what it costs; without, the driver compiles the PTX when it is
// loaded.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_CODEGEN_H
#define DSV2_LOWERING_NVPTX_CODEGEN_H

#include "lowering/NVPTX/Ptxas.h"

#include "mlir/IR/BuiltinOps.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::dsv2::nvptx {

/// The one architecture there are kernels for.
inline constexpr llvm::StringLiteral targetChip = "sm_90a";

struct CodegenOptions {
  /// The program to assemble with; empty: do not assemble.
  std::string ptxas = defaultPtxas();
};

struct CompiledKernel {
  std::string name;
  std::string ptx;                  ///< a module with this entry alone
  std::optional<Assembly> assembly; ///< absent without ptxas
};

/// Compiles every llvm.func with the attribute dsv2.launch, in the order of the
/// module; in parallel when the context has threads. `kernels` is left
/// unchanged; other functions in it may be called by kernels. Emits diagnostics
/// on failure.
FailureOr<std::vector<CompiledKernel>>
compileKernels(ModuleOp kernels, const CodegenOptions &options = {});

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_CODEGEN_H
