//===- Passes.h - Reference lowering ----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_DSV2TOLINALG_PASSES_H
#define DSV2_LOWERING_DSV2TOLINALG_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir {
class RewritePatternSet;
} // namespace mlir

namespace mlir::dsv2 {

#define GEN_PASS_DECL
#include "lowering/DSV2ToLinalg/Passes.h.inc"

/// Adds the decomposition of every operation that has one.
void populateDSV2ToLinalgPatterns(RewritePatternSet &patterns);

/// Registers the dialects that the patterns create operations of.
void registerDSV2ToLinalgDialects(DialectRegistry &registry);

/// Lets `transform.structured.decompose_interface` decompose the operations of
/// the dialect: attaches AggregatedOpInterface when it is loaded.
void registerDecompositionExternalModels(DialectRegistry &registry);

/// The first type of an operand or result of `op` whose format a tensor type
/// does not spell out, so that `op` has no decomposition; null if none.
Type findOpaqueFormat(Operation *op);

#define GEN_PASS_REGISTRATION
#include "lowering/DSV2ToLinalg/Passes.h.inc"

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_DSV2TOLINALG_PASSES_H
