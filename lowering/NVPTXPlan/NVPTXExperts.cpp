//===- NVPTXExperts.cpp - Routing and experts on GPU kernels --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeRoute.h"
#include "lowering/NVPTX/MoeRouteGroup.h"
#include "lowering/NVPTX/MoeSlots.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;

FailureOr<bool> NVPTXProvider::route(RouteOp op, Builder &builder) {
  RouteSpec spec;
  std::optional<KernelCall> call = callOf(op, builder, spec);
  if (!call || !fitsIntoWarp(op))
    return false;
  return dispatchKernel(op, builder, *call, emitRoute, spec);
}

FailureOr<bool> NVPTXProvider::groupTokens(GroupTokensOp op, Builder &builder) {
  GroupTokensSpec spec;
  std::optional<KernelCall> call = callOf(op, builder, spec);
  if (!call)
    return false;
  auto router = op.getExperts().getDefiningOp<RouteOp>();
  if (!router || !sortsFewSlots(router))
    return dispatchKernel(op, builder, *call, emitGroupTokens, spec);

  // One launch for a few tokens, two for more.
  RouteSpec routeSpec;
  std::optional<KernelCall> chooses = callOf(router, builder, routeSpec);
  if (!chooses)
    return false;
  KernelCall both = *chooses;
  both.name += "_group";
  llvm::append_range(both.bindings, ArrayRef(call->bindings).drop_front());
  both.range.last = routeGroupTokens;
  if (failed(dispatchKernel(op, builder, both, emitRouteGroup, routeSpec)))
    return failure();
  if (builder.programTokens() <= routeGroupTokens)
    return true;
  chooses->range.first = call->range.first = routeGroupTokens + 1;
  if (failed(dispatchKernel(router, builder, *chooses, emitRoute, routeSpec)))
    return failure();
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
