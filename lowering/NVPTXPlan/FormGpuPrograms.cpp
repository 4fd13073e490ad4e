//===- FormGpuPrograms.cpp - Functions of a model to programs -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTXPlan/FormGpuPrograms.h"

#include "lowering/NVPTX/Fill.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"
#include "lowering/NVPTXPlan/Passes.h"
#include "lowering/Plan/Passes.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/PassManager.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_FORMGPUPROGRAMSPASS
#include "lowering/NVPTXPlan/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

/// What emitters create operations of; no conversion loads it.
static void addKernelDialects(DialectRegistry &registry) {
  registry.insert<LLVM::LLVMDialect, NVVM::NVVMDialect, arith::ArithDialect,
                  cf::ControlFlowDialect, math::MathDialect, plan::PlanDialect,
                  scf::SCFDialect>();
}

/// Replaces the functions of `model` by programs of kernels in `kernels`.
static LogicalResult buildPrograms(ModuleOp model, ModuleOp kernels,
                                   const plan::StepLimits &limits) {
  nvptx::NVPTXProvider provider;
  plan::KernelProvider *providers[] = {&provider};
  plan::DispatchBuilder builder(kernels, limits, providers);
  return builder.buildAll(model);
}

FailureOr<OwningOpRef<ModuleOp>>
mlir::dsv2::formGpuPrograms(ModuleOp model, const plan::StepLimits &limits,
                            bool fillsWeights) {
  DialectRegistry registry;
  addKernelDialects(registry);
  model.getContext()->appendDialectRegistry(registry);
  for (StringRef name : registry.getDialectNames())
    model.getContext()->getOrLoadDialect(name);
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(model.getLoc());
  if (failed(buildPrograms(model, *kernels, limits)))
    return failure();
  if (fillsWeights)
    nvptx::emitFill(*kernels);
  PassManager pm(model.getContext());
  pm.addNestedPass<plan::ProgramOp>(plan::createPlanMemoryPass());
  if (failed(pm.run(model)))
    return failure();
  return kernels;
}

namespace {

struct FormGpuProgramsPass final
    : mlir::dsv2::impl::FormGpuProgramsPassBase<FormGpuProgramsPass> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    addKernelDialects(registry);
  }

  void runOnOperation() override {
    ModuleOp model = getOperation();
    auto kernels = ModuleOp::create(model.getLoc(), "kernels");
    plan::StepLimits limits{maxBatchTokens, maxSequences, maxContext,
                            maxBatchTokens};
    LogicalResult built = buildPrograms(model, kernels, limits);
    model.push_back(kernels);
    if (failed(built))
      signalPassFailure();
  }
};

} // namespace
