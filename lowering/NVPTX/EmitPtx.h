//===- EmitPtx.h - LLVM dialect to PTX --------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_EMITPTX_H
#define DSV2_LOWERING_NVPTX_EMITPTX_H

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace mlir::dsv2::nvptx {

/// Makes LLVM's NVPTX back end and the translation of `context`'s dialects
/// available.
void preparePtxEmission(MLIRContext &context);

/// Refuses operations that the chip lacks: LLVM would abort the process.
LogicalResult checkOperations(ModuleOp module, StringRef chip);

/// Translates a module of the LLVM and NVVM dialects, optimizes it at O3 and
/// prints it as PTX.
FailureOr<std::string> emitPtx(ModuleOp module, StringRef chip);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_EMITPTX_H
