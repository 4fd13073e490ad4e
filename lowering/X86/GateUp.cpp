//===- GateUp.cpp - SwiGLU of two products --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/GateUp.h"

namespace mlir::dsv2::x86 {

/// Rows at a time: a multiple of every block of rows, so that a cut between
/// them costs nothing.
static constexpr int64_t rowsAtOnce = 96;

GateUp::GateUp(RowEmitter &k, PanelDot &dot, int64_t columns, RowFormat format,
               Value output)
    : k(k), dot(dot), columns(columns), format(format), output(output),
      gates(k.scratch({rowsAtOnce * panelRows}, k.getF32Type())),
      ups(k.scratch({rowsAtOnce * panelRows}, k.getF32Type())) {}

void GateUp::emit(Value matrix, Value panel, Value begin, Value end,
                  PanelDot::RowOf rowOf) {
  Value gate = k.add(matrix, panel), up = k.at(gate, panels());
  k.loop(begin, end, rowsAtOnce, [&](Value first) {
    Value last = k.min(k.add(first, rowsAtOnce), end);
    multiply(gate, first, last, rowOf, gates);
    multiply(up, first, last, rowOf, ups);
    k.loop(first, last, 1, [&](Value row) {
      combine(panel, row, k.mul(k.sub(row, first), panelRows));
    });
  });
}

void GateUp::multiply(Value panel, Value begin, Value end,
                      PanelDot::RowOf rowOf, Value products) {
  dot.emit(panel, begin, end, rowOf,
           [&](ArrayRef<Value> sums, Value row, int64_t rows, int64_t first,
               int64_t vectors) {
             Value start = k.mul(k.sub(row, begin), panelRows);
             for (auto [i, sum] : llvm::enumerate(sums)) {
               int64_t r = i / vectors, v = first + i % vectors;
               k.storeVector(sum, products,
                             k.at(start, r * panelRows + v * k.lanes()));
             }
           });
}

void GateUp::combine(Value panel, Value row, Value place) {
  SmallVector<Value> group;
  for (int64_t i = 0; i < panelRows; i += k.lanes())
    group.push_back(k.swiglu(k.loadF32(gates, k.at(place, i)),
                             k.loadF32(ups, k.at(place, i))));
  k.storeGroup(group, format, output, k.mul(row, rowElements(format, columns)),
               k.mul(panel, panelRows), columns, panelRows);
}

} // namespace mlir::dsv2::x86
