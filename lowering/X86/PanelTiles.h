//===- PanelTiles.h - The micro-kernel in AMX tiles -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What PanelDot does, for CPUs with tiles and every format but f32. A block is
// up to 32 activation rows by the 32 of a panel: four tiles of sums, two of
// rows, two of weights, which are all eight. The last rows of a range take one
// tile with as many rows as are left. A row's sums are formed in the same order
// in either.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_PANELTILES_H
#define DSV2_LOWERING_X86_PANELTILES_H

#include "lowering/X86/Formats.h"
#include "lowering/X86/TileEmitter.h"

namespace mlir::dsv2::x86 {

class PanelTiles {
public:
  /// Maps a row to the activation row to read.
  using RowOf = llvm::function_ref<Value(Value row)>;
  /// Receives the float32 sums of `vectors` registers from register `first` of
  /// the panel on, row by row.
  using Epilogue =
      llvm::function_ref<void(ArrayRef<Value> sums, Value row, int64_t rows,
                              int64_t first, int64_t vectors)>;

  /// The parameters of PanelDot. Activation rows of consecutive rows lie
  /// `rowDistance` rows apart, or anywhere when it is 0.
  PanelTiles(KernelBuilder &builder, WeightFormat format, int64_t depth,
             Value weights, Value rows, int64_t rowDistance);

  void emit(Value panel, Value begin, Value end, RowOf rowOf,
            Epilogue epilogue);

private:
  /// A block of one panel.
  struct Block {
    Value panel, firstRow;
    Value rows;       ///< of each row tile
    int64_t rowTiles; ///< 1 or 2
    RowOf rowOf;
  };

  void configure(Value rows);
  void emitBlock(const Block &block);
  void emitBf16(const Block &block);
  void emitQuantized(const Block &block);
  /// Runs `body` for each group of 32 k, with the row tiles loaded.
  void forEachGroup(const Block &block,
                    llvm::function_ref<void(Value group)> body);
  /// Brings some groups of rows that lie anywhere together.
  void stageRows(const Block &block, Value first, Value end);
  /// Loads the row tiles from the rows, or from `staged` bytes after the start
  /// of the staged ones.
  void loadRows(const Block &block, Value group, Value staged);
  void loadWeights(Value from, Value first);
  void storeSums(const Block &block, Value to);
  void unpackNibbles(Value first);
  void scaleDots(const Block &block, Value scales, Value group);

  KernelBuilder &b;
  WeightFormat format;
  int64_t depth;
  Value weights, rows;
  int64_t rowDistance;
  bool quantized;
  int64_t groupBytes; ///< of 32 k of a row
  int64_t distance;   ///< of rows, in bytes
  TileEmitter tiles;
  Value sums;               ///< [32][32] f32
  Value dots;               ///< the same in i32, of one group
  Value quads;              ///< one group of an int4 panel as bytes
  Value staged;             ///< [32][stagedBytes]
  Value rowScales, rowSums; ///< int8 rows seen as f32 and as i32
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_PANELTILES_H
