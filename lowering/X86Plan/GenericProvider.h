//===- GenericProvider.h - Model operations on generic kernels --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Kernels made of an operation's own decomposition to linalg: all of the
// reference target, and what other targets have no fast kernel for.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86PLAN_GENERICPROVIDER_H
#define DSV2_LOWERING_X86PLAN_GENERICPROVIDER_H

#include "lowering/Generic/GenericKernel.h"
#include "lowering/Plan/DispatchBuilder.h"

namespace mlir::dsv2 {

class GenericProvider : public plan::KernelProvider {
public:
  FailureOr<bool> dispatch(Operation *op,
                           plan::DispatchBuilder &builder) override;

private:
  /// Kernels emitted so far, by what their code depends on.
  struct Emitted {
    std::string name;
    GenericKernel kernel;
  };
  llvm::StringMap<Emitted> emitted;
  llvm::StringMap<unsigned> names;
};

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_X86PLAN_GENERICPROVIDER_H
