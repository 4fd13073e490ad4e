//===- X86Experts.cpp - Routing and experts on x86 kernels ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/MoeRoute.h"
#include "lowering/X86/MoeSlots.h"
#include "lowering/X86Plan/X86Provider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::x86;

FailureOr<bool> X86Provider::route(RouteOp op, Builder &builder) {
  RouteSpec spec;
  std::optional<KernelCall> call = callOf(op, builder, spec);
  if (!call || spec.shared)
    return false;
  return dispatchKernel(op, builder, *call, emitRoute, spec);
}

FailureOr<bool> X86Provider::groupTokens(GroupTokensOp op, Builder &builder) {
  GroupTokensSpec spec;
  std::optional<KernelCall> call = callOf(op, builder, spec);
  if (!call)
    return false;
  return dispatchKernel(op, builder, *call, emitGroupTokens, spec);
}

FailureOr<bool> X86Provider::combine(CombineExpertsOp op, Operation *at,
                                     Value result, ValueRange addends,
                                     Builder &builder) {
  CombineSpec spec;
  std::optional<KernelCall> call = callOf(op, result, addends, builder, spec);
  if (!call || spec.bf16Slots)
    return false;
  return dispatchKernel(at, builder, *call, emitCombine, spec);
}
