//===- GemvEmitter.h - The pieces of a product of few rows ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A block has eight warps. A tile is 16 rows of w for each of `rowGroups`
// groups of `splits` warps; the warps of a group divide k. Step s is 64 bytes
// of each row and belongs to warp s % splits. A warp multiplies 16 rows of w
// with eight rows of x at once (mma.sync, whose columns do not touch each
// other, so that fewer rows of x change nothing), and the sums of a group's
// warps are added in order through shared memory.
//
// Weights go from memory to registers, 16 bytes a lane, a batch of up to four
// steps ahead of the products: also while the first rows of x are prepared, and
// before the launch waits for the previous one.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_GEMVEMITTER_H
#define DSV2_LOWERING_NVPTX_GEMVEMITTER_H

#include "lowering/NVPTX/Gemv.h"
#include "lowering/NVPTX/Hopper.h"

namespace mlir::dsv2::nvptx {

/// What follows from a spec.
struct GemvShape {
  static constexpr int64_t warps = 8;
  static constexpr int64_t threads = 32 * warps;
  static constexpr int64_t stepBytes = 64; ///< of a row of w
  /// A row of x is divided among so many virtual warps, so that sums of squares
  /// do not depend on how many real ones share it.
  static constexpr int64_t virtualWarps = 8;

  explicit GemvShape(const GemvSpec &spec);

  int64_t rowBytes, scaleBytes, matrixBytes;
  int64_t steps, splits, rowGroups, tileRows, tiles;
  int64_t batch, batches; ///< steps of a warp at once; of those, for a tile
  int64_t chunk;          ///< rows of x at once
  int64_t columnTiles;    ///< eight of those each
  int64_t inputBytes;     ///< of a prepared row of x, with padding
  int64_t inputStep;      ///< of those, for a step
  int64_t inputGroups;    ///< scales of a prepared row
  int64_t matrices, tilesOfGroup, groups;
  int64_t outputRows, inputStride, outputStride, residualStride;
  int64_t inputHeadStride, outputHeadStride;
  unsigned scales = 0, gamma = 0, partials = 0, offsets = 0, active = 0,
           activeCount = 0, slotToken = 0, residual = 0, output = 0,
           bindings = 0;

  Launch launch(const GemvSpec &spec) const;
};

class GemvEmitter : public HopperBuilder {
public:
  GemvEmitter(ModuleOp module, StringRef name, const GemvSpec &spec,
              const GemvShape &shape);
  KernelInfo emit();

private:
  /// The rows of x that a matrix is multiplied with: `first` to `end`.
  struct Rows {
    Value first, end;
  };
  /// A batch of weights in registers: for each step 16 bytes of two rows, then
  /// their scales.
  using Batch = SmallVector<Value>;

  void waitAndLaunch();
  void emitOne();
  void emitHeads();
  void emitExperts();
  /// All of `rows` with the tiles first, first + stride, ... below end. `batch`
  /// is the first of the tile `first`.
  void multiplyChunks(Value matrix, Rows rows, Value first, Value end,
                      Value stride, Batch batch);
  /// Returns the first batch of `first` when that is needed `again`.
  Batch multiplyTiles(Value matrix, Rows rows, Value first, Value end,
                      Value stride, ValueRange batch, Value again);

  // x
  void prepare(Value matrix, Rows rows);
  /// The same where a chunk has one row: all warps share it, and it is read
  /// once.
  void prepareOne(Value matrix, Rows rows);
  /// Reads what prepareOne() needs of gamma, before the launch waits, where
  /// there are registers for it.
  void loadGammas();
  SmallVector<Value> gammasOf(int64_t round);
  /// Whether the only row of a chunk stays in registers.
  bool holdsRow() const;
  int64_t roundsOfRow() const;
  Value factorOf(Value sumOfSquares);
  /// Collects the rows of a chunk in shared memory, where contexts may be
  /// divided.
  void mergeRows(Value matrix, Rows rows);
  /// The row of x for row `row` of the chunk.
  Value inputAddress(Value matrix, Rows rows, Value row);
  /// body(item) for the items (eight k each) of this lane in virtual warp
  /// `part` of eight, which a row is divided among whatever the number of
  /// warps.
  SmallVector<Value> forEachItem(int64_t items, Value part, ValueRange inits,
                                 LoopBody body);
  SmallVector<Value> loadEight(Value address, Value item, GemvType type);
  /// The sums of squares of the items of virtual warps from `part` on, in all
  /// lanes.
  SmallVector<Value> squares(Value address, Value part, int64_t parts);
  void prepareItems(Value address, Value row, Value part, int64_t parts,
                    Value factor);
  void prepareEight(SmallVector<Value> values, Value item, Value row);

  // w
  /// The steps of this warp from `firstStep` on. With mayEnd, they may be those
  /// of the last batch.
  Batch loadBatch(Value matrix, Value tile, Value firstStep, bool mayEnd);
  /// Adds the products of a batch. Steps that lie behind the last are left out.
  SmallVector<Value> multiplyBatch(ArrayRef<Value> batch, Value firstStep,
                                   ValueRange sums, bool last);
  SmallVector<Value> multiplyStep(ArrayRef<Value> weights, Value step,
                                  ValueRange sums);
  SmallVector<Value> multiplyPlain(ArrayRef<Value> weights, Value step,
                                   ValueRange sums);
  SmallVector<Value> multiplyGroups(ArrayRef<Value> weights, Value step,
                                    ValueRange sums);
  SmallVector<Value> multiplyFp8(ArrayRef<Value> weights, Value step,
                                 ValueRange sums);
  /// 16 bytes of prepared x as four words.
  SmallVector<Value> inputWords(int64_t columnTile, Value step, int64_t bytes);
  /// The scales of the two rows of x of this lane's sums.
  std::pair<Value, Value> inputScales(int64_t columnTile, Value group);
  SmallVector<Value> wordsOf(Value vector);

  // y
  void finishTile(Value matrix, Rows rows, Value tile, Value parity,
                  ValueRange sums);
  Value sumOf(Value parity, Value row, Value column);

  const GemvSpec spec;
  const GemvShape shape;
  Value input, inputScale, partial, normPartial; ///< shared memory
  Value merged, splitWeights, usedSplits;        ///< of mergeRows()
  SmallVector<SmallVector<Value>> gammas;        ///< of loadGammas(), by round
  Value split, group;                            ///< of this warp
  Value inputAt[2]; ///< this lane's prepared x, for each column tile
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_GEMVEMITTER_H
