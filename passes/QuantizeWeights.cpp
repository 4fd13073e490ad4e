//===- QuantizeWeights.cpp - Give classes of weights a format -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/WeightClass.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_QUANTIZEWEIGHTSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// Elements that share a scale: what packed formats are made for.
constexpr int64_t groupSize = 32;
/// Rows and columns that share a scale in fp8, as in DeepSeek-V3 checkpoints.
constexpr int64_t fp8BlockSize = 128;

/// The type of a weight in `format`.
RankedTensorType typeIn(RankedTensorType type, WeightFormat format) {
  MLIRContext *context = type.getContext();
  if (format == WeightFormat::Bf16)
    return RankedTensorType::get(type.getShape(), BFloat16Type::get(context));
  if (format == WeightFormat::Fp8)
    return RankedTensorType::get(
        type.getShape(), Float8E4M3FNType::get(context),
        BlockFp8Attr::get(context, fp8BlockSize, fp8BlockSize));
  if (format == WeightFormat::Int8)
    return RankedTensorType::get(type.getShape(), IntegerType::get(context, 8),
                                 BlockInt8Attr::get(context, groupSize));
  return RankedTensorType::get(type.getShape(), IntegerType::get(context, 4),
                               BlockInt4Attr::get(context, groupSize));
}

/// The weight before it was quantized, or the values it stands for.
Value precise(PatternRewriter &rewriter, Value weight) {
  if (auto quantize = weight.getDefiningOp<QuantizeOp>())
    return quantize.getWeight();
  auto type = cast<RankedTensorType>(weight.getType());
  if (!type.getEncoding())
    return weight;
  return DequantizeOp::create(
      rewriter, weight.getLoc(),
      RankedTensorType::get(type.getShape(), rewriter.getF32Type()), weight);
}

Value convert(PatternRewriter &rewriter, Value weight, RankedTensorType to) {
  Location loc = weight.getLoc();
  weight = precise(rewriter, weight);
  if (to.getEncoding())
    return QuantizeOp::create(rewriter, loc, to, weight);
  auto type = cast<RankedTensorType>(weight.getType());
  if (type == to)
    return weight;
  if (!type.getElementType().isF32())
    weight = arith::ExtFOp::create(rewriter, loc,
                                   type.clone(rewriter.getF32Type()), weight);
  return arith::TruncFOp::create(rewriter, loc, to, weight);
}

/// product(x, w) -> product(x, convert(w)), for each weight of `format`
struct QuantizeOperands final : RewritePattern {
  using FormatOf = std::function<WeightFormat(WeightClass)>;

  QuantizeOperands(MLIRContext *context, FormatOf formatOf,
                   Pass::Statistic &numQuantized)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context),
        formatOf(std::move(formatOf)), numQuantized(numQuantized) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    bool changed = false;
    for (OpOperand &operand : op->getOpOperands()) {
      FailureOr<RankedTensorType> type = chooseType(operand, rewriter);
      if (failed(type))
        continue;
      Value weight = convert(rewriter, operand.get(), *type);
      rewriter.modifyOpInPlace(op, [&] { operand.set(weight); });
      ++numQuantized;
      changed = true;
    }
    return success(changed);
  }

private:
  /// The type `operand` is to be given.
  FailureOr<RankedTensorType> chooseType(OpOperand &operand,
                                         PatternRewriter &rewriter) const {
    Operation *op = operand.getOwner();
    std::optional<WeightClass> weightClass = classifyWeight(operand);
    if (!weightClass)
      return rewriter.notifyMatchFailure(op, "is no matrix of weights");
    if (weightClass == WeightClass::Router)
      return rewriter.notifyMatchFailure(op, "routers stay precise");
    WeightFormat format = formatOf(*weightClass);
    if (format == WeightFormat::Keep)
      return rewriter.notifyMatchFailure(op, "this class keeps its format");
    auto type = cast<RankedTensorType>(operand.get().getType());
    RankedTensorType wanted = typeIn(type, format);
    if (type == wanted)
      return rewriter.notifyMatchFailure(op, "the weight is in this format");
    if (!isComputedFromWeights(operand.get()))
      return rewriter.notifyMatchFailure(op,
                                         "the weight depends on activations");
    return wanted;
  }

  FormatOf formatOf;
  Pass::Statistic &numQuantized;
};

struct QuantizeWeightsPass final
    : dsv2::impl::QuantizeWeightsPassBase<QuantizeWeightsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<QuantizeOperands>(
        &getContext(), [this](WeightClass c) { return formatOf(c); },
        numQuantized);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }

private:
  WeightFormat formatOf(WeightClass weightClass) {
    WeightFormat own = ownFormatOf(weightClass);
    if (own != WeightFormat::Default)
      return own;
    return format == WeightFormat::Default ? WeightFormat::Keep : format;
  }

  WeightFormat ownFormatOf(WeightClass weightClass) {
    switch (weightClass) {
    case WeightClass::Attention:
      return attention;
    case WeightClass::UpProjections:
      return upProjections;
    case WeightClass::Dense:
      return dense;
    case WeightClass::Shared:
      return shared == WeightFormat::Default ? dense : shared;
    case WeightClass::Experts:
      return experts;
    case WeightClass::Head:
      return head;
    case WeightClass::Router:
      return WeightFormat::Keep;
    }
    llvm_unreachable("unknown class of weights");
  }
};

} // namespace
