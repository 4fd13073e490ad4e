//===- TensorView.cpp - Where a tensor of the model lives -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Plan/TensorView.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::plan;

int64_t StepLimits::maxOf(Dim dim) const {
  switch (dim) {
  case Dim::One:
    return 1;
  case Dim::Tokens:
    return maxBatchTokens;
  case Dim::Sequences:
    return maxSequences;
  case Dim::Context:
    return maxSequences * maxContext;
  case Dim::LogitRows:
    return maxLogitRows;
  }
  llvm_unreachable("all dimensions are listed");
}

BindingAttr TensorView::binding(Access access) const {
  return BindingAttr::get(elementType.getContext(), access, kind, symbol, index,
                          offset);
}

bool TensorView::isDense() const {
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected)
      return false;
    expected *= shape[i];
  }
  return true;
}

int64_t plan::elementBytes(Type type) {
  return (type.getIntOrFloatBitWidth() + 7) / 8;
}

static FailureOr<TensorView> sliceView(tensor::ExtractSliceOp op,
                                       TensorView view) {
  if (view.encoding || op.getType().getRank() != op.getSourceType().getRank())
    return failure();
  for (unsigned i = 0, rank = view.shape.size(); i < rank; ++i) {
    int64_t first = op.getStaticOffsets()[i], step = op.getStaticStrides()[i];
    int64_t size = op.getStaticSizes()[i];
    if (step != 1 || ShapedType::isDynamic(first))
      return failure();
    // All rows, or a fixed part of any other dimension.
    if (ShapedType::isDynamic(size)) {
      if (i != 0 || first != 0)
        return failure();
      continue;
    }
    if (i == 0 && view.rows.dim != Dim::One)
      return failure();
    view.offset += first * view.strides[i] * elementBytes(view.elementType);
    view.shape[i] = size;
  }
  return view;
}

static FailureOr<TensorView> expandView(tensor::ExpandShapeOp op,
                                        const TensorView &source) {
  if (source.encoding)
    return failure();
  TensorView view = source;
  view.shape.clear();
  view.strides.clear();
  for (auto [dim, group] : llvm::enumerate(op.getReassociationIndices())) {
    int64_t stride = source.strides[dim];
    SmallVector<int64_t> sizes, strides;
    for (int64_t index : llvm::reverse(group)) {
      int64_t size = op.getType().getDimSize(index);
      if (ShapedType::isDynamic(size)) {
        if (group.size() != 1)
          return failure();
        size = source.shape[dim];
      }
      sizes.push_back(size);
      strides.push_back(stride);
      stride *= size;
    }
    view.shape.append(sizes.rbegin(), sizes.rend());
    view.strides.append(strides.rbegin(), strides.rend());
  }
  return view;
}

static FailureOr<TensorView> collapseView(tensor::CollapseShapeOp op,
                                          const TensorView &source) {
  if (source.encoding || op.getType().getRank() == 0)
    return failure();
  TensorView view = source;
  view.shape.clear();
  view.strides.clear();
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    int64_t size = 1;
    for (auto [at, dim] : llvm::enumerate(group)) {
      bool isLast = at + 1 == group.size();
      if (!isLast && source.strides[dim] != source.strides[group[at + 1]] *
                                                source.shape[group[at + 1]])
        return failure();
      size *= source.shape[dim];
    }
    view.shape.push_back(size);
    view.strides.push_back(source.strides[group.back()]);
  }
  // Merging rows with another dimension multiplies their count.
  view.rows.multiple *= view.shape.front() / source.shape.front();
  return view;
}

FailureOr<TensorView> plan::viewThrough(Operation *reshape,
                                        const TensorView &source) {
  return TypeSwitch<Operation *, FailureOr<TensorView>>(reshape)
      .Case([&](tensor::ExtractSliceOp op) { return sliceView(op, source); })
      .Case([&](tensor::ExpandShapeOp op) { return expandView(op, source); })
      .Case(
          [&](tensor::CollapseShapeOp op) { return collapseView(op, source); })
      .Default([](Operation *) { return failure(); });
}
