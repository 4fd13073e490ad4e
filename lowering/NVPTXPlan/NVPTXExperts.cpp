//===- NVPTXExperts.cpp - Routing and experts on GPU kernels --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeRoute.h"
#include "lowering/NVPTX/MoeSlots.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;

FailureOr<bool> NVPTXProvider::route(RouteOp op, Builder &builder) {
  RouteSpec spec;
  std::optional<KernelCall> call = callOf(op, builder, spec);
  if (!call || spec.topK > 32 || spec.groups > 32)
    return false;
  return dispatchKernel(op, builder, *call, emitRoute, spec);
}

FailureOr<bool> NVPTXProvider::groupTokens(GroupTokensOp op, Builder &builder) {
  GroupTokensSpec spec;
  std::optional<KernelCall> call = callOf(op, builder, spec);
  if (!call)
    return false;
  return dispatchKernel(op, builder, *call, emitGroupTokens, spec);
}

FailureOr<bool> NVPTXProvider::combine(CombineExpertsOp op, Operation *at,
                                       Value result, Value addend,
                                       Builder &builder) {
  CombineSpec spec;
  std::optional<KernelCall> call = callOf(
      op, result, addend ? ValueRange(addend) : ValueRange(), builder, spec);
  if (!call || spec.depth % 4 != 0)
    return false;
  return dispatchKernel(at, builder, *call, emitCombine, spec);
}
