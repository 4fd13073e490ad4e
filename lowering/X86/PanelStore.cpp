//===- PanelStore.cpp - The results of a panel ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/PanelStore.h"
#include "lowering/X86/Formats.h"

namespace mlir::dsv2::x86 {

PanelStore::PanelStore(KernelBuilder &builder, int64_t columns, Value output,
                       Strides strides, bool padded)
    : b(builder), columns(columns), output(output), strides(strides),
      masked(columns % panelRows != 0 && !padded) {}

void PanelStore::addResidual(Value memref, Strides memrefStrides) {
  residual = memref;
  residualStrides = memrefStrides;
}

void PanelStore::storeOne(Value sum, Value row, Value head, Value column,
                          Value mask) {
  auto place = [&](Strides of) {
    return b.add(b.add(b.mul(row, of.row), b.mul(head, of.head)), column);
  };
  if (residual) {
    Value at = place(residualStrides);
    sum = b.fadd(
        mask ? b.loadMasked(residual, at, mask) : b.loadF32(residual, at), sum);
  }
  if (!cast<MemRefType>(output.getType()).getElementType().isF32())
    sum = b.bitcast(b.toBf16(sum), b.getI16Type());
  if (mask)
    b.storeMasked(sum, output, place(strides), mask);
  else
    b.storeVector(sum, output, place(strides));
}

void PanelStore::emit(ArrayRef<Value> sums, Value row, int64_t rows, Value head,
                      Value panel, int64_t first, int64_t vectors) {
  for (int64_t v = 0; v < vectors; ++v) {
    Value column = b.add(b.mul(panel, panelRows), (first + v) * b.lanes());
    Value mask = masked ? b.mask(b.sub(b.index(columns), column)) : Value();
    for (int64_t r = 0; r < rows; ++r)
      storeOne(sums[r * vectors + v], b.add(row, r), head, column, mask);
  }
}

} // namespace mlir::dsv2::x86
