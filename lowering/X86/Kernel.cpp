//===- Kernel.cpp - The form of an x86-64 kernel --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/Kernel.h"
#include "lowering/X86/Formats.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::dsv2::x86 {

KernelBuilder::KernelBuilder(ModuleOp module, StringRef name,
                             ArrayRef<MemRefType> bindings,
                             const InstructionSet &set)
    : VectorEmitter(NameLoc::get(StringAttr::get(module.getContext(), name)),
                    OpBuilder::atBlockEnd(module.getBody()), set),
      bindingCount(bindings.size()) {
  SmallVector<Type> arguments(bindings.begin(), bindings.end());
  arguments.append(5, getIndexType()); // T, B, S, R and the workgroup
  func = func::FuncOp::create(*this, name,
                              FunctionType::get(getContext(), arguments, {}));
  func->setAttr(kernelAttrName, getUnitAttr());
  setInsertionPointToStart(func.addEntryBlock());
}

Value KernelBuilder::dim(Dim dim) {
  if (dim == Dim::one)
    return index(1);
  return func.getArgument(bindingCount + static_cast<unsigned>(dim) - 1);
}

Value KernelBuilder::workgroup() { return func.getArgument(bindingCount + 4); }

Value KernelBuilder::scratch(ArrayRef<int64_t> shape, Type element) {
  InsertionGuard guard(*this);
  setInsertionPointToStart(&func.front());
  return memref::AllocaOp::create(*this, MemRefType::get(shape, element),
                                  getI64IntegerAttr(bufferAlignment));
}

KernelInfo KernelBuilder::finish(Workgroups workgroups) {
  func::ReturnOp::create(*this);
  return {func, workgroups};
}

} // namespace mlir::dsv2::x86
