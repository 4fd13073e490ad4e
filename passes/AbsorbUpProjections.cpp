//===- AbsorbUpProjections.cpp - Attend over the latent cache -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/CacheRow.h"
#include "passes/AttentionCost.h"
#include "passes/LatentContext.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_ABSORBUPPROJECTIONSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// The transpose of each matrix of the stack `weight`.
Value transposeMatrices(TypedValue<RankedTensorType> weight, Location loc,
                        RewriterBase &rewriter) {
  ArrayRef<int64_t> shape = weight.getType().getShape();
  Value init = tensor::EmptyOp::create(
      rewriter, loc, ArrayRef<int64_t>{shape[0], shape[2], shape[1]},
      weight.getType().getElementType());
  return linalg::TransposeOp::create(rewriter, loc, weight, init,
                                     ArrayRef<int64_t>{0, 2, 1})
      ->getResult(0);
}

/// The most query tokens of a sequence in the function around `op`, or
/// `unbounded` where no bound is stated.
int64_t maxQueryTokens(Operation *op, int64_t unbounded) {
  auto function = op->getParentOfType<FunctionOpInterface>();
  DSV2Dialect::MaxQueryTokensAttrHelper helper(op->getContext());
  if (!function || !helper.isAttrPresent(function))
    return unbounded;
  return helper.getAttr(function).getInt();
}

/// attention(qn, qr, (head_project(gather.latent, uk), gather.key),
///           head_project(gather.latent, uv))
///   -> head_project(latent_attention(head_project(qn, transpose(uk)), qr), uv)
struct AbsorbProjections final : OpRewritePattern<AttentionOp> {
  AbsorbProjections(MLIRContext *context, AttentionForm form,
                    AttentionMachine machine, int64_t past, bool int8Expansion,
                    Pass::Statistic &numAbsorbed)
      : OpRewritePattern(context), form(form), machine(machine), past(past),
        int8Expansion(int8Expansion), numAbsorbed(numAbsorbed) {}

  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<LatentContext> context = matchLatentContext(op, rewriter);
    if (failed(context))
      return failure();
    RankedTensorType keyWeight = context->keyWeight.getType();
    if (keyWeight.getEncoding())
      return rewriter.notifyMatchFailure(
          op, "the key projection has a number format");
    if (!keyWeight.hasStaticShape() ||
        !context->valueWeight.getType().hasStaticShape())
      return rewriter.notifyMatchFailure(
          op, "the projections have no static shape");
    if (!isLatentChosen(op, *context))
      return rewriter.notifyMatchFailure(op, "the expanded form is chosen");

    CacheGatherOp gather = context->gather;
    RankedTensorType queryType = op.getQNope().getType();
    auto latentType =
        RankedTensorType::get({queryType.getDimSize(0), queryType.getDimSize(1),
                               gather.getCache().getType().getLatent()},
                              queryType.getElementType());
    Location loc = op.getLoc();
    Value transposed = transposeMatrices(context->keyWeight, loc, rewriter);
    Value query = HeadProjectOp::create(rewriter, loc, latentType,
                                        op.getQNope(), transposed);
    Value attended = LatentAttentionOp::create(
        rewriter, loc, latentType, query, op.getQRope(), gather.getCache(),
        gather.getLayerAttr(), op.getScaleAttr(), op.getBatch());
    rewriter.replaceOpWithNewOp<HeadProjectOp>(op, op.getType(), attended,
                                               context->valueWeight);
    ++numAbsorbed;
    return success();
  }

private:
  /// Decides on the form and says why in a remark.
  bool isLatentChosen(AttentionOp op, const LatentContext &context) const {
    AttentionWork work;
    work.heads = context.keyWeight.getType().getDimSize(0);
    work.latent = context.keyWeight.getType().getDimSize(2);
    work.rope = op.getKeyRope().getType().getDimSize(1);
    work.key = context.keyWeight.getType().getDimSize(1);
    work.value = context.valueWeight.getType().getDimSize(1);
    int64_t queries = maxQueryTokens(op, /*unbounded=*/past);
    work.queries = queries;
    work.past = past;

    CacheGatherOp gather = context.gather;
    AttentionRates rates =
        machine == AttentionMachine::Hopper
            ? AttentionRates::estimatedForHopper()
            : AttentionRates::measured(
                  CacheRow(gather.getCache().getType()).isInt8(),
                  int8Expansion);
    bool isLatent = form == AttentionForm::Auto
                        ? work.latentTime(rates) < work.expandedTime(rates)
                        : form == AttentionForm::Latent;
    emitRemark(op.getLoc()) << llvm::formatv(
        "{0} form{1}: {2} query tokens after {3} cost {4:f1} MFLOP latent, "
        "{5:f1} MFLOP expanded; break-even at {6:f1} query tokens",
        isLatent ? "latent" : "expanded",
        form == AttentionForm::Auto ? "" : " (forced)", queries, past,
        work.latentCost() / 1e6, work.expandedCost() / 1e6,
        work.breakEvenQueries(rates));
    return isLatent;
  }

  AttentionForm form;
  AttentionMachine machine;
  int64_t past;
  bool int8Expansion;
  Pass::Statistic &numAbsorbed;
};

struct AbsorbUpProjectionsPass final
    : dsv2::impl::AbsorbUpProjectionsPassBase<AbsorbUpProjectionsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (context < 1) {
      getOperation()->emitError("expects context of at least 1, but found ")
          << context.getValue();
      return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    patterns.add<AbsorbProjections>(&getContext(), form, machine, context,
                                    int8Expansion, numAbsorbed);
    // Each attention is visited once, so that there is one remark for each.
    walkAndApplyPatterns(getOperation(), std::move(patterns));
    IRRewriter rewriter(&getContext());
    (void)runRegionDCE(rewriter, getOperation()->getRegions());
  }
};

} // namespace
