//===- FormPrograms.h - Functions of a model to programs --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86PLAN_FORMPROGRAMS_H
#define DSV2_LOWERING_X86PLAN_FORMPROGRAMS_H

#include "lowering/Plan/TensorView.h"
#include "lowering/X86/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace mlir::dsv2 {

/// Replaces every function of `model` by a plan.program with placed buffers and
/// returns the module of the kernels they use. With an instruction set, kernels
/// are those of lowering/X86 where there is one; without, all are the
/// decompositions of their operations (the reference target).
FailureOr<OwningOpRef<ModuleOp>> formPrograms(ModuleOp model,
                                              const x86::InstructionSet *set,
                                              const plan::StepLimits &limits);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_X86PLAN_FORMPROGRAMS_H
