//===- FormGpuPrograms.cpp - Functions of a model to programs -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTXPlan/FormGpuPrograms.h"

#include "lowering/NVPTX/Fill.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"
#include "lowering/Plan/Passes.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace mlir::dsv2;

FailureOr<OwningOpRef<ModuleOp>>
mlir::dsv2::formGpuPrograms(ModuleOp model, const plan::StepLimits &limits,
                            bool fillsWeights) {
  // Emitters create operations directly, so no pass loads their dialects.
  model.getContext()
      ->loadDialect<LLVM::LLVMDialect, NVVM::NVVMDialect, arith::ArithDialect,
                    cf::ControlFlowDialect, math::MathDialect,
                    plan::PlanDialect, scf::SCFDialect>();
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(model.getLoc());
  nvptx::NVPTXProvider provider;
  plan::KernelProvider *providers[] = {&provider};
  plan::DispatchBuilder builder(*kernels, limits, providers);
  SmallVector<func::FuncOp> functions(model.getOps<func::FuncOp>());
  for (func::FuncOp function : functions) {
    if (failed(builder.build(function)))
      return failure();
    function.erase();
  }
  if (fillsWeights)
    nvptx::emitFill(*kernels);

  PassManager pm(model.getContext());
  pm.addNestedPass<plan::ProgramOp>(plan::createPlanMemoryPass());
  if (failed(pm.run(model)))
    return failure();
  return kernels;
}
