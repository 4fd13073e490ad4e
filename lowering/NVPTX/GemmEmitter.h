//===- GemmEmitter.h - The pieces of a product of many rows -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A block has three warpgroups. One thread of the first is the producer: it
// fills a ring of stages, each 128 rows of x and `columns` rows of w by 128
// bytes of k, with TMA. The other two are consumers: each multiplies 64 of the
// rows with all columns. Blocks are persistent and take every n-th tile; the
// producer fills stages of the next tile while the consumers store one.
//
// Barriers. Ring says how stages are handed over:
//   full[s]   1 arrival (the producer's, which announces the bytes of a stage)
//   empty[s]  1 arrival of each of the 8 consumer warps, of every block that
//             writes into the stage
// A warp arrives at empty[s] after wgmma has read s: one k step later, since
// one step is kept in flight. Each k step of each tile passes each barrier
// once, for producer and consumers alike, as both walk the same tiles.
//
// Pairs. Two blocks of a cluster compute two tiles of rows with the same
// columns. Each loads half of the rows of w and writes it into both. A block
// fills a stage when the consumers of both have released it, so full[s] of the
// partner is already in the phase that its bytes belong to, even when the
// partner's producer has not arrived there yet. No block ends before both have
// finished, since the other writes its memory and arrives at its barriers.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_GEMMEMITTER_H
#define DSV2_LOWERING_NVPTX_GEMMEMITTER_H

#include "lowering/NVPTX/Gemm.h"
#include "lowering/NVPTX/Hopper.h"

namespace mlir::dsv2::nvptx {

/// What follows from a spec.
struct GemmShape {
  static constexpr int64_t tileRows = 128;
  static constexpr int64_t stepBytes = 128; ///< of k
  static constexpr int64_t consumers = 2;
  static constexpr int64_t threads = 128 * (1 + consumers);

  explicit GemmShape(const GemmSpec &spec);

  int64_t elementBytes, blocks, columns, columnTiles, stepDepth, steps;
  int64_t outputColumns;     ///< of y
  int64_t tileOutputColumns; ///< that a tile makes
  int64_t inputStride, outputStride;
  int64_t inputBytes, weightBytes, stageBytes, stages;
  unsigned weight = 1, inputScales = 0, weightScales = 0, offsets = 0,
           residual = 0, output = 0, bindings = 0;

  SmallVector<TensorMap> maps(const GemmSpec &spec) const;
  Launch launch(const GemmSpec &spec) const;
};

/// Tensor maps, in order.
enum GemmMap : unsigned { inputMap, weightMap, outputMap };

/// A tile of y.
struct GemmTile {
  Value row;    ///< the first
  Value rowEnd; ///< the end of the rows that may be written
  Value column; ///< the first, of w
  Value stack;  ///< the head or expert
};

class GemmEmitter : public HopperBuilder {
public:
  GemmEmitter(ModuleOp module, StringRef name, const GemmSpec &spec,
              const GemmShape &shape);
  KernelInfo emit();

private:
  using TileBody =
      llvm::function_ref<SmallVector<Value>(const GemmTile &, ValueRange)>;
  /// For each tile of this block, carrying values.
  void forEachTile(ValueRange inits, TileBody body);
  void forEachExpertTile(ValueRange inits, TileBody body);
  /// Fills the tables that forEachExpertTile reads. All threads.
  void countExpertTiles();

  void produce();
  void consume(Value consumer);
  /// The sums of a tile; advances `state`.
  SmallVector<Value> multiply(const GemmTile &tile, Value consumer,
                              RingState &state);
  SmallVector<Value> multiplyScaled(const GemmTile &tile, Value consumer,
                                    RingState &state);
  /// One k step from the stage.
  SmallVector<Value> multiplyStage(ValueRange sums, Value stage, Value consumer,
                                   Value accumulate);
  void release(Value stage, Value condition);

  void storeSums(const GemmTile &tile, Value consumer, ValueRange sums);
  void storeF32(const GemmTile &tile, Value consumer, ValueRange sums);
  void storeBf16(const GemmTile &tile, Value consumer, ValueRange sums);
  void storeTiles(const GemmTile &tile, Value consumer, ValueRange packed);
  void storeRows(const GemmTile &tile, Value consumer, ValueRange packed);
  /// Pairs of columns as bf16: of each 8 columns the thread's two rows.
  SmallVector<Value> packSums(ValueRange sums);
  /// Runs `body` unless columns from `column` (of the tile, 8 of them) on lie
  /// outside of y.
  void ifColumns(const GemmTile &tile, int64_t column,
                 llvm::function_ref<void()> body);
  Value outputColumn(const GemmTile &tile);
  /// The address of (row, first column of the tile and thread) in an array
  /// that is laid out as y.
  Value outputAddress(Value array, int64_t elementBytes, const GemmTile &tile,
                      Value row);
  Value firstRow(const GemmTile &tile, Value consumer);

  const GemmSpec spec;
  const GemmShape shape;
  Ring ring;
  Value inputStages, weightStages, staging;
  Value tileTable, offsetTable; ///< i32 [experts + 1] each, shared
  Value rank;                   ///< in the pair
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_GEMMEMITTER_H
