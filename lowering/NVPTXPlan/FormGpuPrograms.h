//===- FormGpuPrograms.h - Functions of a model to programs -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTXPLAN_FORMGPUPROGRAMS_H
#define DSV2_LOWERING_NVPTXPLAN_FORMGPUPROGRAMS_H

#include "lowering/Plan/TensorView.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace mlir::dsv2 {

/// Replaces every function of `model` by a plan.program with placed buffers and
/// returns the module of the GPU kernels they use. With `fillsWeights` it has
/// the kernel that makes up for weights the artifact does not have.
FailureOr<OwningOpRef<ModuleOp>> formGpuPrograms(ModuleOp model,
                                                 const plan::StepLimits &limits,
                                                 bool fillsWeights);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_NVPTXPLAN_FORMGPUPROGRAMS_H
