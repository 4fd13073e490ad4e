//===- FormPrograms.cpp - Functions of a model to programs ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86Plan/FormPrograms.h"

#include "lowering/Plan/DispatchBuilder.h"
#include "lowering/Plan/Passes.h"
#include "lowering/X86Plan/GenericProvider.h"
#include "lowering/X86Plan/X86Provider.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace mlir::dsv2;

FailureOr<OwningOpRef<ModuleOp>>
mlir::dsv2::formPrograms(ModuleOp model, const x86::InstructionSet *set,
                         const plan::StepLimits &limits) {
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(model.getLoc());
  GenericProvider generic;
  std::optional<x86::X86Provider> fast;
  SmallVector<plan::KernelProvider *> providers;
  if (set)
    providers.push_back(&fast.emplace(*set));
  providers.push_back(&generic);

  // Emitters create operations directly, so no pass loads their dialects.
  model.getContext()
      ->loadDialect<LLVM::LLVMDialect, arith::ArithDialect,
                    bufferization::BufferizationDialect, func::FuncDialect,
                    linalg::LinalgDialect, math::MathDialect,
                    memref::MemRefDialect, plan::PlanDialect, scf::SCFDialect,
                    tensor::TensorDialect, vector::VectorDialect,
                    x86vector::X86VectorDialect>();
  plan::DispatchBuilder builder(*kernels, limits, providers);
  SmallVector<func::FuncOp> functions(model.getOps<func::FuncOp>());
  for (func::FuncOp function : functions) {
    if (failed(builder.build(function)))
      return failure();
    function.erase();
  }

  PassManager pm(model.getContext());
  pm.addNestedPass<plan::ProgramOp>(plan::createOrderDispatchesPass());
  pm.addNestedPass<plan::ProgramOp>(plan::createPlanMemoryPass());
  if (failed(pm.run(model)))
    return failure();
  return kernels;
}
