//===- LowerToBuffers.cpp - From tensors to loops over memory -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Generic/LowerToBuffers.h"
#include "lowering/DSV2ToLinalg/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"

namespace mlir::dsv2 {
namespace {

LogicalResult runPasses(func::FuncOp func,
                        llvm::function_ref<void(OpPassManager &)> build) {
  PassManager pm(func.getContext(), func::FuncOp::getOperationName());
  build(pm);
  return pm.run(func);
}

/// Temporaries never leave the block they are made in: bufferization makes
/// loops yield the memory they were given.
void freeTemporaries(func::FuncOp func) {
  func.walk([](memref::AllocOp alloc) {
    OpBuilder b(alloc->getBlock()->getTerminator());
    memref::DeallocOp::create(b, alloc.getLoc(), alloc);
  });
}

LogicalResult lowerGenericOps(func::FuncOp func) {
  IRRewriter rewriter(func.getContext());
  SmallVector<Operation *> worklist;
  func.walk([&](Operation *op) {
    if (isa<memref::CopyOp, linalg::LinalgOp>(op))
      worklist.push_back(op);
  });
  for (Operation *op : worklist) {
    rewriter.setInsertionPoint(op);
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      // The standard lowering would call a runtime library for strided copies.
      op = linalg::makeMemRefCopyOp(rewriter, copy.getLoc(), copy.getSource(),
                                    copy.getTarget());
      rewriter.eraseOp(copy);
    }
    auto named = cast<linalg::LinalgOp>(op);
    FailureOr<linalg::GenericOp> generic =
        isa<linalg::GenericOp>(op)
            ? FailureOr<linalg::GenericOp>(cast<linalg::GenericOp>(op))
            : linalg::generalizeNamedOp(rewriter, named);
    if (failed(generic) || failed(lowerToLoops(rewriter, *generic)))
      return op->emitError("expects an operation with one result in memory");
  }
  return success();
}

/// Rounds to bf16 by integer arithmetic: LLVM would call compiler-rt where the
/// instruction set cannot.
LogicalResult expandBFloat16(func::FuncOp func) {
  RewritePatternSet patterns(func.getContext());
  arith::populateExpandBFloat16Patterns(patterns);
  return applyPatternsGreedily(func, std::move(patterns));
}

} // namespace

void loadGenericKernelDialects(MLIRContext &context) {
  DialectRegistry registry;
  registerDSV2ToLinalgDialects(registry);
  registry.insert<affine::AffineDialect, bufferization::BufferizationDialect,
                  func::FuncDialect, memref::MemRefDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerSubsetOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  tensor::registerSubsetOpInterfaceExternalModels(registry);
  context.appendDialectRegistry(registry);
  for (StringRef name : registry.getDialectNames())
    context.getOrLoadDialect(name);
}

LogicalResult lowerToBuffers(func::FuncOp func) {
  if (failed(runPasses(func, [](OpPassManager &pm) {
        pm.addPass(createCanonicalizerPass());
        pm.addPass(createCSEPass());
        pm.addPass(bufferization::createEmptyTensorEliminationPass());
      })))
    return failure();

  bufferization::OneShotBufferizationOptions options;
  bufferization::BufferizationState state;
  if (failed(bufferization::runOneShotBufferize(func, options, state)))
    return failure();

  // Canonicalization sees that a plane updated in place is copied to itself.
  if (failed(runPasses(func,
                       [](OpPassManager &pm) {
                         pm.addPass(createCanonicalizerPass());
                         pm.addPass(createCSEPass());
                       })) ||
      failed(lowerGenericOps(func)) || failed(expandBFloat16(func)))
    return failure();
  freeTemporaries(func);
  return runPasses(func, [](OpPassManager &pm) {
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  });
}

} // namespace mlir::dsv2
