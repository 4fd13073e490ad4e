//===- LowerToLLVM.cpp - Kernels to the LLVM dialect ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/LowerToLLVM.h"
#include "lowering/X86/Kernel.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"

namespace mlir::dsv2::x86 {
namespace {

/// math.exp and the like of f32 -> polynomials.
struct ApproximateMath final
    : PassWrapper<ApproximateMath, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ApproximateMath)

  StringRef getArgument() const override { return "dsv2-x86-approximate-math"; }
  StringRef getDescription() const override {
    return "Replace transcendental functions of f32 by polynomials";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<math::MathDialect, vector::VectorDialect>();
  }
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    // Without AVX2's approximate rsqrt, whose low accuracy is not repaired.
    populateMathPolynomialApproximationPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

void buildLowerToLLVMPipeline(OpPassManager &pm, const InstructionSet &set,
                              bool approximateMath) {
  OpPassManager &funcs = pm.nest<func::FuncOp>();
  funcs.addPass(createConvertLinalgToLoopsPass());
  if (approximateMath)
    funcs.addPass(std::make_unique<ApproximateMath>());
  if (!set.hasBf16Dot) {
    // LLVM would call a library function to round to bf16.
    arith::ArithExpandOpsPassOptions expandOptions;
    expandOptions.includeBf16 = true;
    funcs.addPass(arith::createArithExpandOpsPass(expandOptions));
  }
  funcs.addPass(createConvertVectorToSCFPass(
      VectorTransferToSCFOptions().enableFullUnroll()));
  funcs.addPass(createCanonicalizerPass());
  funcs.addPass(createCSEPass());
  // Subviews before affine: the other order leaves affine.apply behind.
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createCanonicalizerPass());
  ConvertVectorToLLVMPassOptions vectorOptions;
  vectorOptions.x86Vector = true;
  pm.addPass(createConvertVectorToLLVMPass(vectorOptions));
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  ConvertFuncToLLVMPassOptions funcOptions;
  funcOptions.useBarePtrCallConv = true;
  pm.addPass(createConvertFuncToLLVMPass(funcOptions));
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

static LogicalResult addWrapper(LLVM::LLVMFuncOp kernel) {
  std::string name = kernel.getSymName().str();
  auto type = kernel.getFunctionType();
  unsigned bindings = 0;
  while (bindings < type.getNumParams() &&
         isa<LLVM::LLVMPointerType>(type.getParamType(bindings)))
    ++bindings;
  if (type.getNumParams() != bindings + 5)
    return kernel.emitError("expects a kernel to take memrefs and then five "
                            "indices, found the lowered type ")
           << type;

  ImplicitLocOpBuilder b(kernel.getLoc(), kernel.getContext());
  b.setInsertionPoint(kernel);
  kernel.setSymName(name + ".body");
  kernel.setVisibility(SymbolTable::Visibility::Private);
  kernel.setLinkage(LLVM::Linkage::Internal);
  kernel.setAlwaysInline(true);
  kernel->removeAttr(kernelAttrName);

  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Type i64 = b.getI64Type();
  auto wrapperType = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(b.getContext()), {pointer, pointer, i64});
  auto wrapper = LLVM::LLVMFuncOp::create(b, name, wrapperType);
  Block *entry = wrapper.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  SmallVector<Value> arguments;
  auto loadFrom = [&](unsigned array, unsigned element, Type elementType) {
    Value address =
        LLVM::GEPOp::create(b, pointer, elementType, entry->getArgument(array),
                            ArrayRef<LLVM::GEPArg>{static_cast<int>(element)});
    arguments.push_back(LLVM::LoadOp::create(b, elementType, address));
  };
  for (unsigned i = 0; i < bindings; ++i)
    loadFrom(0, i, pointer);
  for (unsigned i = 0; i < 4; ++i)
    loadFrom(1, i, i64);
  arguments.push_back(entry->getArgument(2));
  LLVM::CallOp::create(b, kernel, arguments);
  LLVM::ReturnOp::create(b, ValueRange{});
  return success();
}

LogicalResult addExportedWrappers(ModuleOp module) {
  for (auto func :
       llvm::make_early_inc_range(module.getOps<LLVM::LLVMFuncOp>()))
    if (func->hasAttr(kernelAttrName) && failed(addWrapper(func)))
      return failure();
  return success();
}

} // namespace mlir::dsv2::x86
