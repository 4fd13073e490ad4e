//===- Codegen.cpp - Kernels to PTX and machine code ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Codegen.h"
#include "lowering/LLVM/Emission.h"

#include "lowering/NVPTX/EmitPtx.h"
#include "lowering/NVPTX/Kernel.h"

#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/IR/Threading.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"

namespace mlir::dsv2::nvptx {
namespace {

void buildLowerToNVVMPipeline(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertNVVMToLLVMPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// A module of its own for one kernel, with all it may refer to.
OwningOpRef<ModuleOp> isolate(ModuleOp kernels, LLVM::LLVMFuncOp kernel) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  for (Operation &op : *kernels.getBody())
    if (&op == kernel || !op.hasAttr(launchAttrName))
      module->push_back(op.clone());
  return module;
}

LogicalResult compile(ModuleOp kernels, LLVM::LLVMFuncOp kernel,
                      const CodegenOptions &options, CompiledKernel &result) {
  // LLVM aborts the process on others.
  if (!llvm::all_of(kernel.getSymName(),
                    [](char c) { return llvm::isAlnum(c) || c == '_'; }))
    return kernel.emitOpError("expects a name of letters, digits and _");
  OwningOpRef<ModuleOp> module = isolate(kernels, kernel);
  if (failed(checkOperations(*module, targetChip)))
    return failure();
  PassManager pm(module->getContext());
  buildLowerToNVVMPipeline(pm);
  if (failed(pm.run(*module)))
    return failure();
  FailureOr<std::string> ptx = emitPtx(*module, targetChip);
  if (failed(ptx))
    return failure();
  result.name = kernel.getSymName().str();
  result.ptx = std::move(*ptx);
  if (options.ptxas.empty())
    return success();
  std::string error;
  FailureOr<Assembly> assembly =
      assemble(options.ptxas, targetChip, result.ptx, error);
  if (failed(assembly))
    return kernel.emitOpError(error);
  result.assembly = std::move(*assembly);
  return success();
}

} // namespace

FailureOr<std::vector<CompiledKernel>>
compileKernels(ModuleOp kernels, const CodegenOptions &options) {
  MLIRContext &context = *kernels.getContext();
  preparePtxEmission(context);
  OpPassManager pipeline(ModuleOp::getOperationName());
  buildLowerToNVVMPipeline(pipeline);
  loadDialects(pipeline, context);

  SmallVector<LLVM::LLVMFuncOp> functions;
  for (auto function : kernels.getOps<LLVM::LLVMFuncOp>())
    if (function->hasAttr(launchAttrName))
      functions.push_back(function);
  std::vector<CompiledKernel> compiled(functions.size());
  if (failed(failableParallelForEachN(
          &context, 0, functions.size(), [&](size_t i) {
            return compile(kernels, functions[i], options, compiled[i]);
          })))
    return failure();
  return compiled;
}

} // namespace mlir::dsv2::nvptx
