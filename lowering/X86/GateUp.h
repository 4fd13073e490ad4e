//===- GateUp.h - SwiGLU of two products --------------------------*- C++
//-*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// y[r][:] = silu(x[r] W_gate) * (x[r] W_up), packed for the next product
// without going through memory. A panel of 32 outputs is one group of the
// formats of rows. The bits are those of the products and emitSwiGlu() one
// after the other.
//
// For tens of rows and more: one row would read two streams of weights in
// turns, which costs more than it saves.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_GATEUP_H
#define DSV2_LOWERING_X86_GATEUP_H

#include "lowering/X86/PanelDot.h"
#include "lowering/X86/RowEmitter.h"

namespace mlir::dsv2::x86 {

class GateUp {
public:
  /// The weight of `dot` has `columns` rows for the gate, a multiple of 32,
  /// then as many more. `output` has packed rows of `columns` elements.
  GateUp(RowEmitter &k, PanelDot &dot, int64_t columns, RowFormat format,
         Value output);

  int64_t panels() const { return columns / panelRows; }

  /// Columns [32 * panel, 32 * panel + 32) of the rows [begin, end); the gate's
  /// panels start at panel `matrix` of all weights.
  void emit(Value matrix, Value panel, Value begin, Value end,
            PanelDot::RowOf rowOf);

private:
  void multiply(Value panel, Value begin, Value end, PanelDot::RowOf rowOf,
                Value products);
  void combine(Value panel, Value row, Value place);

  RowEmitter &k;
  PanelDot &dot;
  int64_t columns;
  RowFormat format;
  Value output, gates, ups; ///< of some rows, [row][32]
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_GATEUP_H
