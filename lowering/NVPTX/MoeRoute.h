//===- MoeRoute.h - Choosing the experts of each token ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_MOEROUTE_H
#define DSV2_LOWERING_NVPTX_MOEROUTE_H

#include "lowering/Kernels/MoeSpecs.h"
#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// A warp routes one token; `topK + shared` and `groups` are at most 32.
KernelInfo emitRoute(ModuleOp module, StringRef name, const RouteSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_MOEROUTE_H
