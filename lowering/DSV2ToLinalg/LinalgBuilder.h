//===- LinalgBuilder.h - Linalg on tensors, concisely -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_DSV2TOLINALG_LINALGBUILDER_H
#define DSV2_LOWERING_DSV2TOLINALG_LINALGBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::dsv2 {

/// Sizes of a tensor, constants where they are known.
using Sizes = SmallVector<OpFoldResult>;

/// How the loops of a generic operation index one of its tensors.
using Indexing = SmallVector<AffineExpr>;

class LinalgBuilder : public ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  // ---- Scalars -------------------------------------------------------------
  Value index(int64_t value);
  Value i32(int64_t value);
  Value f32(double value);
  Value toIndex(Value i32);
  Value toI32(Value index);
  /// A float as f32.
  Value widen(Value narrow);
  /// An f32 rounded to `type`.
  Value round(Value f32, Type type);
  /// The innermost generic operation's loop `dim`.
  Value loop(AffineExpr dim);
  Value extract(Value tensor, ValueRange indices);

  // ---- Tensors -------------------------------------------------------------
  OpFoldResult size(Value tensor, int64_t dim);
  Sizes sizes(Value tensor);
  OpFoldResult constant(int64_t size) { return getIndexAttr(size); }
  /// Of the element type and encoding of `like`.
  Value empty(const Sizes &sizes, Value like);
  Value empty(const Sizes &sizes, Type element);
  Value filled(const Sizes &sizes, Value scalar);
  /// The columns [offset, offset + width) of a matrix.
  Value columns(Value matrix, int64_t offset, int64_t width);

  // ---- Loops ---------------------------------------------------------------
  using Body = llvm::function_ref<Value(LinalgBuilder &, ValueRange scalars)>;
  /// A generic operation with one result. `indexing` has an entry for each
  /// input, then one for the result; loops that do not index the result reduce,
  /// and the last of the scalars is what the result holds so far. Loops nest in
  /// the order of their numbers.
  Value generic(ArrayRef<Indexing> indexing, ValueRange inputs, Value init,
                Body body);
  /// A new tensor from `inputs`, which have its rank, element by element.
  Value elementwise(ValueRange inputs, Type element, Body body);
  using Step = llvm::function_ref<SmallVector<Value>(LinalgBuilder &, Value,
                                                     ValueRange)>;
  /// for i in [0, count), carrying values.
  SmallVector<Value> forEach(Value count, ValueRange inits, Step step);
  Value sizeValue(OpFoldResult size);
};

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_DSV2TOLINALG_LINALGBUILDER_H
