//===- ProductShapes.cpp - Which kernels a product has --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTXPlan/ProductShapes.h"

#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTX/RouterProduct.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::dsv2;

bool nvptx::hasManyTokens(Operation *op) {
  auto function = op->getParentOfType<func::FuncOp>();
  return !function->hasAttr("dsv2.max_query_tokens");
}

bool nvptx::isInterleaved(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  auto panels = dyn_cast_or_null<PanelsAttr>(type.getEncoding());
  return panels && panels.getInterleave() > 0;
}

/// Whether the rows of `input` begin at multiples of 16 bytes as f32, and of 8
/// elements from each other.
static bool isAligned(Value input) {
  auto type = cast<RankedTensorType>(input.getType());
  if (type.getShape().back() % 8 != 0)
    return false;
  Operation *op = input.getDefiningOp();
  if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op)) {
    int64_t first = slice.getStaticOffsets().back();
    return !ShapedType::isDynamic(first) && first % 4 == 0 &&
           isAligned(slice.getSource());
  }
  if (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
    return isAligned(op->getOperand(0));
  return true;
}

static int64_t lastSize(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

/// Whether the kernel that streams weights takes `weight`.
static bool isStreamed(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  ArrayRef<int64_t> shape = type.getShape();
  bool isWide = getElementTypeOrSelf(type).isF32();
  int64_t group = isa<Float8E4M3FNType>(type.getElementType())
                      ? nvptx::fp8BlockSize
                      : nvptx::groupSize;
  // A row of the input fits into shared memory.
  constexpr int64_t deepest = 1 << 15;
  return !isWide && shape[shape.size() - 2] % 16 == 0 &&
         shape.back() % group == 0 && shape.back() <= deepest;
}

bool nvptx::readsUnpacked(Value input, Value weight) {
  return getElementTypeOrSelf(input.getType()).isF32() && isAligned(input) &&
         isStreamed(weight);
}

bool nvptx::feedsRouter(LinearOp op) {
  return llvm::any_of(op->getUsers(),
                      [](Operation *user) { return isa<RouteOp>(user); });
}

/// Whether `user` is a product that can normalize its input, which is the norm
/// of `input`.
static bool normalizes(Operation *user, RMSNormOp norm) {
  Value input = norm.getInput();
  if (auto linear = dyn_cast<LinearOp>(user)) {
    Value weight = linear.getWeight();
    if (nvptx::feedsRouter(linear))
      return isAligned(input) &&
             lastSize(weight) <= nvptx::RouterProductSpec::maxDepth;
    return nvptx::readsUnpacked(input, weight);
  }
  auto grouped = dyn_cast<GroupedLinearOp>(user);
  return grouped && grouped.getSlotToken() &&
         grouped.getInput() == norm.getResult() &&
         nvptx::readsUnpacked(input, grouped.getWeight());
}

bool nvptx::isNormOfProducts(RMSNormOp op) {
  if (hasManyTokens(op) || op->use_empty() ||
      !getElementTypeOrSelf(op.getInput().getType()).isF32() ||
      op.getInput().getDefiningOp<SelectRowsOp>())
    return false;
  return llvm::all_of(op->getUsers(),
                      [&](Operation *user) { return normalizes(user, op); });
}

RMSNormOp nvptx::normOfInput(Value input) {
  auto norm = input.getDefiningOp<RMSNormOp>();
  return norm && isNormOfProducts(norm) ? norm : RMSNormOp();
}

/// The operation that sorts what `op` chooses, if that is all that reads the
/// chosen experts.
static GroupTokensOp groupOf(RouteOp op) {
  if (!op.getExperts().hasOneUse())
    return {};
  return dyn_cast<GroupTokensOp>(*op.getExperts().getUsers().begin());
}

bool nvptx::fitsIntoWarp(RouteOp op) {
  constexpr int64_t lanes = 32;
  return lastSize(op.getExperts()) <= lanes &&
         static_cast<int64_t>(op.getGroups()) <= lanes;
}

bool nvptx::sortsFewSlots(RouteOp op) {
  return !hasManyTokens(op) && groupOf(op) && fitsIntoWarp(op);
}

HeadProjectOp nvptx::mergingProduct(LatentAttentionOp op) {
  if (hasManyTokens(op) || !op->hasOneUse() ||
      !getElementTypeOrSelf(op.getResult()).isBF16())
    return {};
  auto product = dyn_cast<HeadProjectOp>(*op->getUsers().begin());
  return product && isStreamed(product.getWeight()) ? product : HeadProjectOp();
}

/// The rotated queries of attention; null for other operations.
static Value rotatedQueries(Operation *op) {
  if (auto attention = dyn_cast<LatentAttentionOp>(op))
    return attention.getQRope();
  if (auto attention = dyn_cast<ExpandedAttentionOp>(op))
    return attention.getQRope();
  return {};
}

RopeOp nvptx::rotationWith(LatentAppendOp op) {
  for (Operation *user : op->getUsers()) {
    Value queries = rotatedQueries(user);
    auto rotation = queries ? queries.getDefiningOp<RopeOp>() : RopeOp();
    if (rotation && rotation->hasOneUse() &&
        cast<RankedTensorType>(rotation.getType()).getRank() == 3 &&
        rotation->getBlock() == op->getBlock() &&
        rotation->isBeforeInBlock(op) && rotation.getRope() == op.getRope() &&
        rotation.getBatch() == op.getBatch() &&
        lastSize(rotation.getResult()) == op.getCache().getType().getRope())
      return rotation;
  }
  return {};
}

LatentAppendOp nvptx::appendWith(RopeOp op) {
  for (Operation *user : op->getUsers())
    if (rotatedQueries(user) == op.getResult())
      for (Value operand : user->getOperands())
        if (auto append = operand.getDefiningOp<LatentAppendOp>();
            append && rotationWith(append) == op)
          return append;
  return {};
}
