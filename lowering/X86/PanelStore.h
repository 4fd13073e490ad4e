//===- PanelStore.h - The results of a panel --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_PANELSTORE_H
#define DSV2_LOWERING_X86_PANELSTORE_H

#include "lowering/X86/Kernel.h"

namespace mlir::dsv2::x86 {

/// Writes the sums of PanelDot to a dense matrix of N columns, after adding a
/// residual if there is one.
class PanelStore {
public:
  struct Strides {
    int64_t row, head; ///< in elements
  };

  /// `output` has elements of f32, or of i16 for the bits of bf16: LLVM
  /// scalarizes masked stores of bf16. Writes no column from N on unless
  /// `padded`.
  PanelStore(KernelBuilder &builder, int64_t columns, Value output,
             Strides strides, bool padded = false);
  void addResidual(Value memref, Strides strides);

  /// Stores `rows` rows of `vectors` registers, from register `first` of the
  /// panel on.
  void emit(ArrayRef<Value> sums, Value row, int64_t rows, Value head,
            Value panel, int64_t first, int64_t vectors);

private:
  void storeOne(Value sum, Value row, Value head, Value column, Value mask);

  KernelBuilder &b;
  int64_t columns;
  Value output;
  Strides strides;
  bool masked;
  Value residual;
  Strides residualStrides = {};
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_PANELSTORE_H
