//===- MoeRouteGroup.h - Routing and sorting few tokens ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_MOEROUTEGROUP_H
#define DSV2_LOWERING_NVPTX_MOEROUTEGROUP_H

#include "lowering/Kernels/MoeSpecs.h"
#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// The most tokens that emitRouteGroup() takes: a warp routes each.
inline constexpr int64_t routeGroupTokens = 8;

/// Routes at most `routeGroupTokens` tokens and sorts their slots by expert, in
/// one block. The results are those of emitRoute() and emitGroupTokens(), to
/// the bit. Bindings: those of `spec`, then offsets, active, activeCount,
/// slotToken and tokenSlot of GroupTokensSpec, for the experts that are shared
/// too. At most 32 slots a token.
KernelInfo emitRouteGroup(ModuleOp module, StringRef name,
                          const RouteSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_MOEROUTEGROUP_H
