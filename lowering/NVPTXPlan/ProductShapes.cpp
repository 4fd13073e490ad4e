//===- ProductShapes.cpp - Which kernels a product has --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTXPlan/ProductShapes.h"

#include "lowering/NVPTX/Formats.h"

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

bool nvptx::normalizesInput(LinearOp op) {
  auto norm = op.getInput().getDefiningOp<RMSNormOp>();
  return norm && !hasManyTokens(op) && norm->hasOneUse() &&
         !norm.getInput().getDefiningOp<SelectRowsOp>() &&
         readsUnpacked(norm.getInput(), op.getWeight());
}
