//===- DSV2ToLinalg.cpp - Reference lowering ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/DSV2ToLinalg/Decompose.h"
#include "lowering/DSV2ToLinalg/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::dsv2 {

#define GEN_PASS_DEF_DSV2TOLINALGPASS
#include "lowering/DSV2ToLinalg/Passes.h.inc"

namespace {

bool isOpaque(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.getEncoding())
    return false;
  // bf16 rows hold their elements and nothing else.
  return !isa<RowsAttr>(tensor.getEncoding()) ||
         !tensor.getElementType().isBF16();
}

/// The values of an operation without opaque formats, of its result types.
template <typename OpTy>
Results decomposed(OpTy op, OpBuilder &builder) {
  LinalgBuilder b(op.getLoc(), builder);
  Results results = decompose(b, op);
  for (auto [result, original] : llvm::zip_equal(results, op->getResults()))
    if (result.getType() != original.getType())
      result = tensor::CastOp::create(b, original.getType(), result);
  return results;
}

/// What the dialect states in terms of upstream operations.
template <typename OpTy>
struct Decompose final : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (Type type = findOpaqueFormat(op))
      return rewriter.notifyMatchFailure(op, [&](Diagnostic &diagnostic) {
        diagnostic << "has an opaque format: " << type;
      });
    rewriter.replaceOp(op, decomposed(op, rewriter));
    return success();
  }
};

/// The same for transform.structured.decompose_interface.
template <typename OpTy>
struct DecomposeModel final
    : linalg::AggregatedOpInterface::ExternalModel<DecomposeModel<OpTy>, OpTy> {
  FailureOr<SmallVector<Value>> decomposeOperation(Operation *op,
                                                   OpBuilder &builder) const {
    if (Type type = findOpaqueFormat(op))
      return op->emitOpError("has no decomposition: expects f32 or bf16 rows "
                             "and plain weights, found ")
             << type;
    return decomposed(cast<OpTy>(op), builder);
  }
};

/// The operations that have a decomposition.
template <typename... OpTys>
struct OpList {
  static void addPatterns(RewritePatternSet &patterns) {
    patterns.add<Decompose<OpTys>...>(patterns.getContext());
  }
  static void attachModels(MLIRContext &context) {
    (OpTys::template attachInterface<DecomposeModel<OpTys>>(context), ...);
  }
};
using DecomposableOps =
    OpList<EmbedOp, SelectRowsOp, RMSNormOp, LinearOp, HeadProjectOp, RopeOp,
           SwigluOp, PackRowsOp, CacheAppendOp, LatentAppendOp, CacheGatherOp,
           AttentionOp, LatentAttentionOp, ExpandedAttentionOp, RouteOp,
           ExpertsOp, GroupTokensOp, GroupedLinearOp, CombineExpertsOp>;

/// Operations that are meant to be left: accessors and the weight side.
bool isLeft(Operation *op) {
  return isa<BatchGetOp, CacheRowsOp, CacheUpdateOp, GetWeightOp, WeightOp,
             YieldOp, QuantizeOp, DequantizeOp, PackWeightOp>(op);
}

struct DSV2ToLinalgPass final : impl::DSV2ToLinalgPassBase<DSV2ToLinalgPass> {
  void getDependentDialects(DialectRegistry &registry) const override {
    registerDSV2ToLinalgDialects(registry);
  }

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateDSV2ToLinalgPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();

    WalkResult result = getOperation()->walk([](Operation *op) {
      if (!isa_and_nonnull<DSV2Dialect>(op->getDialect()) || isLeft(op))
        return WalkResult::advance();
      op->emitOpError(
          "has no decomposition: expects f32 or bf16 rows and plain "
          "weights, found ")
          << findOpaqueFormat(op);
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace

Type findOpaqueFormat(Operation *op) {
  for (Type type : op->getOperandTypes())
    if (isOpaque(type))
      return type;
  for (Type type : op->getResultTypes())
    if (isOpaque(type))
      return type;
  return {};
}

void populateDSV2ToLinalgPatterns(RewritePatternSet &patterns) {
  DecomposableOps::addPatterns(patterns);
}

void registerDecompositionExternalModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, DSV2Dialect *) {
    context->loadDialect<arith::ArithDialect, linalg::LinalgDialect,
                         math::MathDialect, scf::SCFDialect,
                         tensor::TensorDialect>();
    DecomposableOps::attachModels(*context);
  });
}

void registerDSV2ToLinalgDialects(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, linalg::LinalgDialect, math::MathDialect,
                  scf::SCFDialect, tensor::TensorDialect>();
}

} // namespace mlir::dsv2
