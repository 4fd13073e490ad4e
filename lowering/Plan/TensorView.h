//===- TensorView.h - Where a tensor of the model lives ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Dispatch formation gives every tensor value a place: bytes of a buffer, a
// weight, an array of the batch. Slices and reshapes are views of the place of
// their source.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_TENSORVIEW_H
#define DSV2_LOWERING_PLAN_TENSORVIEW_H

#include "lowering/Plan/PlanDialect.h"

namespace mlir::dsv2::plan {

/// The largest step an artifact is planned for (Limits of the artifact).
struct StepLimits {
  int64_t maxBatchTokens = 512; ///< T
  int64_t maxSequences = 16;    ///< B
  int64_t maxContext = 4096;    ///< tokens of one sequence
  int64_t maxLogitRows = 512;   ///< R
  /// Rows of the context whose keys and values are in memory at a time, where
  /// they are written to it; 0 chooses.
  int64_t contextChunk = 0;

  /// The largest value of a dimension.
  int64_t maxOf(Dim dim) const;
};

/// The number of rows of a tensor: `multiple` times a dimension of the step.
struct RowCount {
  Dim dim = Dim::One;
  int64_t multiple = 1;

  bool operator==(const RowCount &) const = default;
};

struct TensorView {
  BindingKind kind = BindingKind::Buffer;
  FlatSymbolRefAttr symbol; ///< of a buffer, weight or constant
  int64_t index = 0;        ///< of a cache layer or batch field
  int64_t offset = 0;       ///< bytes to the first element
  /// Sizes with a dynamic leading dimension replaced by its largest value, and
  /// distances of elements. Tensors with a rows or panels encoding are opaque
  /// bytes behind `offset`; their strides are not used.
  SmallVector<int64_t> shape, strides;
  RowCount rows;
  Type elementType;
  Attribute encoding;

  BindingAttr binding(Access access) const;
  /// Elements between consecutive rows (the first dimension).
  int64_t rowStride() const { return strides.front(); }
  /// Whether the last dimension is contiguous and every outer stride follows
  /// from the shape.
  bool isDense() const;
};

/// Bytes of one element; encodings have none.
int64_t elementBytes(Type type);

/// The view that tensor.extract_slice, expand_shape or collapse_shape makes of
/// `source`; fails when it is not a view (a slice of rows, a strided slice, or
/// a collapse of dimensions that do not lie together).
FailureOr<TensorView> viewThrough(Operation *reshape, const TensorView &source);

} // namespace mlir::dsv2::plan

#endif // DSV2_LOWERING_PLAN_TENSORVIEW_H
