//===- Passes.h - Preparing model IR for x86-64 -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86PLAN_PASSES_H
#define DSV2_LOWERING_X86PLAN_PASSES_H

#include "dialect/DSV2Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"

namespace mlir::dsv2 {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "lowering/X86Plan/Passes.h.inc"

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_X86PLAN_PASSES_H
