//===- PanelDot.h - The micro-kernel of the linear layers -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Multiplies a few activation rows with one panel of 32 weight rows
// (Formats.h). Each result is one chain of accumulation along k, whatever the
// number of rows multiplied at once, so a row's bits do not depend on its
// neighbors.
//
// One row reads the panel once, as a stream: the bandwidth limit. More rows
// keep all their accumulators in registers; the panel then comes from L1 or L2
// again for each block of rows, which costs less than splitting k would.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_PANELDOT_H
#define DSV2_LOWERING_X86_PANELDOT_H

#include "lowering/X86/Formats.h"
#include "lowering/X86/Kernel.h"
#include "lowering/X86/PanelTiles.h"

#include <optional>

namespace mlir::dsv2::x86 {

/// The flat memref of packed weights: f32 or bf16 elements, or bytes.
MemRefType packedWeightType(MLIRContext *context, WeightFormat format,
                            int64_t rows, int64_t depth, int64_t matrices = 1);
class PanelDot {
public:
  /// Rows that follow each other are `rowDistance` activation rows apart; 0
  /// when they lie anywhere.
  PanelDot(KernelBuilder &builder, WeightFormat format, int64_t depth,
           Value weights, Value rows, int64_t rowDistance);

  using RowOf = PanelTiles::RowOf;
  using Epilogue = PanelTiles::Epilogue;

  /// Emits the product of every row in [begin, end) with panel `panel` (of all
  /// matrices).
  void emit(Value panel, Value begin, Value end, RowOf rowOf,
            Epilogue epilogue);

private:
  using Rows = ArrayRef<Value>;
  using Sums = SmallVector<Value>;

  /// How many rows to multiply at once, largest first; ends with 1.
  SmallVector<int64_t> blockSizes() const;
  /// Registers of the panel to compute at once.
  int64_t vectorsAtOnce(int64_t rows) const;

  /// Fetches a line some way ahead in the stream of weights, of which element
  /// `at` is read now.
  void prefetchAhead(Value at);
  Sums emitBlock(Value panel, Rows rows, int64_t first, int64_t vectors);
  Sums emitF32(Value panel, Rows rows, int64_t first, int64_t vectors);
  Sums emitBf16(Value panel, Rows rows, int64_t first, int64_t vectors);
  Sums emitQuantized(Value panel, Rows rows, int64_t first, int64_t vectors);
  /// The dot products of one group of 32 k, without scales. Rows start at byte
  /// `starts` and at 32-bit word `words`.
  Sums emitGroup(Value block, Value group, Rows starts, Rows words,
                 int64_t first, int64_t vectors);

  KernelBuilder &b;
  WeightFormat format;
  int64_t depth;
  Value weights, rows;
  Value rowScales, rowSums; ///< int8 rows seen as f32 and as i32
  std::optional<PanelTiles> tiles;
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_PANELDOT_H
