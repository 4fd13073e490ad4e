//===- Passes.h - Passes on plans -------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_PASSES_H
#define DSV2_LOWERING_PLAN_PASSES_H

#include "lowering/Plan/PlanDialect.h"

#include "mlir/Pass/Pass.h"

namespace mlir::dsv2::plan {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "lowering/Plan/Passes.h.inc"

/// Offsets of buffers and bindings keep this alignment, in bytes.
inline constexpr int64_t bufferAlignment = 64;

/// Bytes of the arena that the placed buffers of `program` need.
int64_t arenaBytes(ProgramOp program);

/// What two bindings must have in common for dispatches to depend on each
/// other; null when nothing ever writes it.
Attribute placeOf(BindingAttr binding);

} // namespace mlir::dsv2::plan

#endif // DSV2_LOWERING_PLAN_PASSES_H
