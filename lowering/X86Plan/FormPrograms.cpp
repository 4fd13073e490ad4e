//===- FormPrograms.cpp - Functions of a model to programs ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86Plan/FormPrograms.h"

#include "lowering/Plan/DispatchBuilder.h"
#include "lowering/Plan/Passes.h"
#include "lowering/X86Plan/GenericProvider.h"
#include "lowering/X86Plan/Passes.h"
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

namespace mlir::dsv2 {
#define GEN_PASS_DEF_FORMX86PROGRAMSPASS
#include "lowering/X86Plan/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

/// What emitters create operations of; no conversion loads it.
static void addKernelDialects(DialectRegistry &registry) {
  registry
      .insert<LLVM::LLVMDialect, arith::ArithDialect,
              bufferization::BufferizationDialect, func::FuncDialect,
              linalg::LinalgDialect, math::MathDialect, memref::MemRefDialect,
              plan::PlanDialect, scf::SCFDialect, tensor::TensorDialect,
              vector::VectorDialect, x86vector::X86VectorDialect>();
}

/// Replaces the functions of `model` by programs of kernels in `kernels`.
static LogicalResult buildPrograms(ModuleOp model, ModuleOp kernels,
                                   const x86::InstructionSet *set,
                                   const plan::StepLimits &limits) {
  GenericProvider generic;
  std::optional<x86::X86Provider> fast;
  SmallVector<plan::KernelProvider *> providers;
  if (set)
    providers.push_back(&fast.emplace(*set));
  providers.push_back(&generic);
  plan::DispatchBuilder builder(kernels, limits, providers);
  return builder.buildAll(model);
}

FailureOr<OwningOpRef<ModuleOp>>
mlir::dsv2::formPrograms(ModuleOp model, const x86::InstructionSet *set,
                         const plan::StepLimits &limits) {
  DialectRegistry registry;
  addKernelDialects(registry);
  model.getContext()->appendDialectRegistry(registry);
  for (StringRef name : registry.getDialectNames())
    model.getContext()->getOrLoadDialect(name);
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(model.getLoc());
  if (failed(buildPrograms(model, *kernels, set, limits)))
    return failure();
  PassManager pm(model.getContext());
  pm.addNestedPass<plan::ProgramOp>(plan::createOrderDispatchesPass());
  pm.addNestedPass<plan::ProgramOp>(plan::createPlanMemoryPass());
  if (failed(pm.run(model)))
    return failure();
  return kernels;
}

namespace {

struct FormX86ProgramsPass final
    : mlir::dsv2::impl::FormX86ProgramsPassBase<FormX86ProgramsPass> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    addKernelDialects(registry);
  }

  void runOnOperation() override {
    const x86::InstructionSet *set = nullptr;
    for (const x86::InstructionSet &known : x86::allInstructionSets())
      if (known.name == instructionSet)
        set = &known;
    if (!set && instructionSet != "none") {
      emitError(getOperation().getLoc())
          << "unknown instruction-set '" << instructionSet
          << "'; expected amx, avx512-bf16-vnni, avx512, avx2 or none";
      return signalPassFailure();
    }
    ModuleOp model = getOperation();
    auto kernels = ModuleOp::create(model.getLoc(), "kernels");
    plan::StepLimits limits{maxBatchTokens, maxSequences, maxContext,
                            maxBatchTokens};
    LogicalResult built = buildPrograms(model, kernels, set, limits);
    model.push_back(kernels);
    if (failed(built))
      signalPassFailure();
  }
};

} // namespace
