//===- MoeRoute.h - Choosing the experts of each token ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_MOEROUTE_H
#define DSV2_LOWERING_X86_MOEROUTE_H

#include "lowering/Kernels/MoeSpecs.h"
#include "lowering/X86/RowEmitter.h"

namespace mlir::dsv2::x86 {

/// A workgroup routes one token.
KernelInfo emitRoute(ModuleOp module, StringRef name, const InstructionSet &set,
                     const RouteSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_MOEROUTE_H
