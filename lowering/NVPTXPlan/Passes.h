//===- Passes.h - Preparing model IR for NVIDIA GPUs ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTXPLAN_PASSES_H
#define DSV2_LOWERING_NVPTXPLAN_PASSES_H

#include "dialect/DSV2Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::dsv2 {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "lowering/NVPTXPlan/Passes.h.inc"

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_NVPTXPLAN_PASSES_H
