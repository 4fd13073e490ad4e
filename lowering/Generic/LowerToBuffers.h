//===- LowerToBuffers.h - From tensors to loops over memory -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_GENERIC_LOWERTOBUFFERS_H
#define DSV2_LOWERING_GENERIC_LOWERTOBUFFERS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::dsv2 {

/// Loads the dialects and bufferization models that generic kernels need.
void loadGenericKernelDialects(MLIRContext &context);

/// Replaces the tensors in the body of `func` by memory and its generic
/// operations by loops. Temporaries are allocated and freed in the body. Only
/// bufferization.to_tensor and materialize_in_destination may connect tensors
/// and memory.
LogicalResult lowerToBuffers(func::FuncOp func);

/// Replaces `op`, which works on memory and has one result, by loops that carry
/// the sums of trailing reductions in registers. Sums over dimensions of static
/// size may be reassociated, so that they vectorize.
LogicalResult lowerToLoops(RewriterBase &rewriter, linalg::GenericOp op);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_GENERIC_LOWERTOBUFFERS_H
