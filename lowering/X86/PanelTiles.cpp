//===- PanelTiles.cpp - The micro-kernel in AMX tiles ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/PanelTiles.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr int64_t tileRows = TileEmitter::tileRows;
constexpr int64_t tileBytes = TileEmitter::tileBytes;
constexpr int64_t tileLanes = tileBytes / 4;
constexpr int64_t columnTiles = panelRows / tileLanes;
constexpr int firstRowTile = 4, firstWeightTile = 6;
/// Bytes from one pair or quad of k of a panel to the next.
constexpr int64_t panelStride = 4 * panelRows;
constexpr int64_t stagedBytes = 512;

int sumTile(int rowTile, int columnTile) {
  return rowTile * columnTiles + columnTile;
}

} // namespace

PanelTiles::PanelTiles(KernelBuilder &builder, WeightFormat format,
                       int64_t depth, Value weights, Value rows,
                       int64_t rowDistance)
    : b(builder), format(format), depth(depth), weights(weights), rows(rows),
      rowDistance(rowDistance),
      quantized(rowFormatOf(format) == RowFormat::int8), tiles(builder) {
  groupBytes = groupSize * (quantized ? 1 : 2);
  distance = rowBytes(rowFormatOf(format), depth);
  constexpr int64_t size = 2 * tileRows * panelRows;
  sums = b.scratch({size}, b.getF32Type());
  if (quantized) {
    dots = b.scratch({size}, b.getI32Type());
    rowScales = b.viewBytes(rows, b.getF32Type());
    rowSums = b.viewBytes(rows, b.getI32Type());
  }
  if (format == WeightFormat::int4)
    quads = b.scratch({groupSize * panelRows}, b.getI8Type());
  if (!rowDistance)
    staged = b.scratch({2 * tileRows * stagedBytes}, b.getI8Type());
}

void PanelTiles::emit(Value panel, Value begin, Value end, RowOf rowOf,
                      Epilogue epilogue) {
  auto compute = [&](Value row, Value rows, int64_t rowTiles) {
    emitBlock({panel, row, rows, rowTiles, rowOf});
    b.loop(b.index(0), b.mul(rows, rowTiles), 1, [&](Value r) {
      SmallVector<Value> values;
      for (int64_t v = 0; v < columnTiles; ++v)
        values.push_back(
            b.loadF32(sums, b.add(b.mul(r, panelRows), v * tileLanes)));
      epilogue(values, b.add(row, r), 1, 0, columnTiles);
    });
  };
  constexpr int64_t whole = 2 * tileRows;
  Value all = b.index(tileRows);
  Value rest = b.add(begin, b.mul(b.div(b.sub(end, begin), whole), whole));
  b.ifThen(b.less(begin, rest), [&] {
    configure(all);
    b.loop(begin, rest, whole, [&](Value row) { compute(row, all, 2); });
  });
  b.loop(rest, end, tileRows, [&](Value row) {
    Value count = b.min(b.sub(end, row), tileRows);
    configure(count);
    compute(row, count, 1);
  });
  tiles.release();
}

void PanelTiles::configure(Value rows) {
  TileEmitter::Shape sum{rows, tileBytes}, row{rows, groupBytes};
  TileEmitter::Shape weight{b.index(groupSize / (quantized ? 4 : 2)),
                            tileBytes};
  tiles.configure({sum, sum, sum, sum, row, row, weight, weight});
}

void PanelTiles::emitBlock(const Block &block) {
  if (format == WeightFormat::bf16)
    emitBf16(block);
  else
    emitQuantized(block);
}

void PanelTiles::forEachGroup(const Block &block,
                              llvm::function_ref<void(Value)> body) {
  Value groups = b.index(paddedDepth(depth) / groupSize);
  if (rowDistance) {
    b.loop(b.index(0), groups, 1, [&](Value group) {
      loadRows(block, group, {});
      body(group);
    });
    return;
  }
  int64_t atOnce = stagedBytes / groupBytes;
  b.loop(b.index(0), groups, atOnce, [&](Value first) {
    Value end = b.min(b.add(first, atOnce), groups);
    stageRows(block, first, end);
    b.loop(first, end, 1, [&](Value group) {
      loadRows(block, group, b.mul(b.sub(group, first), groupBytes));
      body(group);
    });
  });
}

void PanelTiles::stageRows(const Block &block, Value first, Value end) {
  int64_t elementBytes = groupBytes / groupSize;
  b.loop(b.index(0), b.mul(block.rows, block.rowTiles), 1, [&](Value r) {
    Value row = block.rowOf(b.add(block.firstRow, r));
    Value from = b.mul(row, distance / elementBytes);
    Value to = b.mul(r, stagedBytes);
    b.loop(first, end, 1, [&](Value group) {
      Value values =
          b.loadVector(rows, b.add(from, b.mul(group, groupSize)), groupSize);
      b.storeVector(b.bitcast(values, b.getI8Type()), staged,
                    b.add(to, b.mul(b.sub(group, first), groupBytes)));
    });
  });
}

void PanelTiles::loadRows(const Block &block, Value group, Value at) {
  int64_t elementBytes = groupBytes / groupSize;
  for (int64_t i = 0; i < block.rowTiles; ++i) {
    int tile = firstRowTile + static_cast<int>(i);
    if (!rowDistance) {
      tiles.load(tile, staged, b.add(at, i * tileRows * stagedBytes),
                 stagedBytes);
      continue;
    }
    Value row = block.rowOf(b.add(block.firstRow, i * tileRows));
    Value first =
        b.add(b.mul(row, distance / elementBytes), b.mul(group, groupSize));
    tiles.load(tile, rows, first, rowDistance * distance);
  }
}

void PanelTiles::loadWeights(Value from, Value first) {
  int64_t bits = cast<MemRefType>(from.getType()).getElementTypeBitWidth();
  for (int n = 0; n < columnTiles; ++n)
    tiles.load(firstWeightTile + n, from,
               b.add(first, n * tileBytes * 8 / bits), panelStride);
}

void PanelTiles::storeSums(const Block &block, Value to) {
  for (int i = 0; i < block.rowTiles; ++i)
    for (int n = 0; n < columnTiles; ++n)
      tiles.store(sumTile(i, n), to,
                  b.index((i * tileRows * columnTiles + n) * tileLanes),
                  panelStride);
}

void PanelTiles::emitBf16(const Block &block) {
  for (int i = 0; i < block.rowTiles * columnTiles; ++i)
    tiles.zero(i);
  Value start = b.mul(block.panel, panelRows * paddedDepth(depth));
  forEachGroup(block, [&](Value group) {
    loadWeights(weights, b.add(start, b.mul(group, groupSize * panelRows)));
    for (int i = 0; i < block.rowTiles; ++i)
      for (int n = 0; n < columnTiles; ++n)
        tiles.dotBf16(sumTile(i, n), firstRowTile + i, firstWeightTile + n);
  });
  storeSums(block, sums);
}

void PanelTiles::unpackNibbles(Value first) {
  for (int64_t pair = 0; pair < groupSize / 8; ++pair)
    for (int64_t n = 0; n < columnTiles; ++n) {
      int64_t column = n * tileBytes;
      Value nibbles = b.loadVector(
          weights, b.add(first, pair * panelStride + column), tileBytes);
      b.storeVector(b.lowNibbles(nibbles), quads,
                    b.index(2 * pair * panelStride + column));
      b.storeVector(b.highNibbles(nibbles), quads,
                    b.index((2 * pair + 1) * panelStride + column));
    }
}

void PanelTiles::emitQuantized(const Block &block) {
  int64_t bytes = blockBytes(format);
  Value start = b.mul(block.panel, panelBytes(format, depth));
  b.loop(b.index(0), b.mul(block.rows, block.rowTiles * panelRows), tileLanes,
         [&](Value at) { b.storeVector(b.splat(0.0f), sums, at); });
  forEachGroup(block, [&](Value group) {
    Value at = b.add(start, b.mul(group, bytes));
    if (format == WeightFormat::int4) {
      unpackNibbles(at);
      loadWeights(quads, b.index(0));
    } else {
      loadWeights(weights, at);
    }
    for (int i = 0; i < block.rowTiles; ++i)
      for (int n = 0; n < columnTiles; ++n) {
        tiles.zero(sumTile(i, n));
        tiles.dotS8U8(sumTile(i, n), firstRowTile + i, firstWeightTile + n);
      }
    storeSums(block, dots);
    scaleDots(block, b.add(at, bytes - panelRows * 2), group);
  });
}

void PanelTiles::scaleDots(const Block &block, Value scales, Value group) {
  int32_t zeroPoint = format == WeightFormat::int8 ? 128 : 8;
  SmallVector<Value> weightScales;
  for (int64_t n = 0; n < columnTiles; ++n)
    weightScales.push_back(b.halvesToF32(b.loadVector(
        weights, b.add(scales, n * tileLanes * 2), tileBytes / 2)));
  b.loop(b.index(0), b.mul(block.rows, block.rowTiles), 1, [&](Value r) {
    Value row = block.rowOf(b.add(block.firstRow, r));
    Value word = b.add(b.mul(row, distance / 4), group);
    Value rowScale =
        b.broadcast(b.load(rowScales, b.add(word, scalesOffset(depth) / 4)));
    Value rowSum =
        b.broadcast(b.load(rowSums, b.add(word, sumsOffset(depth) / 4)));
    Value correction = b.mulInt(rowSum, -zeroPoint);
    for (int64_t n = 0; n < columnTiles; ++n) {
      Value at = b.add(b.mul(r, panelRows), n * tileLanes);
      Value dot = b.addInt(b.loadVector(dots, at, tileLanes), correction);
      Value scale = b.fmul(weightScales[n], rowScale);
      b.storeVector(b.fma(b.toF32(dot), scale, b.loadF32(sums, at)), sums, at);
    }
  });
}

} // namespace mlir::dsv2::x86
