//===- GemmStore.cpp - Storing tiles of a product of many rows ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// bf16 goes through shared memory: 64 columns at a time are staged in one of
// two boxes of a consumer, which TMA stores while the next is filled, and while
// the next tile is multiplied. The first thread of the warpgroup issues the
// stores. Before a box is filled again it waits until all but the latest store
// have read theirs, and a barrier of the warpgroup tells the others.
//
// f32 is stored directly: four lanes fill a sector of 32 bytes. So are bf16
// rows of an expert that end within a tile, since the next expert's follow.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/GemmEmitter.h"

namespace mlir::dsv2::nvptx {

void GemmEmitter::storeSums(const GemmTile &tile, Value consumer,
                            ValueRange sums) {
  if (spec.output == GemmOutput::f32)
    storeF32(tile, consumer, sums);
  else
    storeBf16(tile, consumer, sums);
}

Value GemmEmitter::outputColumn(const GemmTile &tile) {
  return spec.swiglu ? div(tile.column, 2) : tile.column;
}

Value GemmEmitter::firstRow(const GemmTile &tile, Value consumer) {
  Value within = add(mul(div(warpgroupThread(), 32), 16), div(lane(), 4));
  return add(add(tile.row, mul(consumer, 64)), within);
}

Value GemmEmitter::outputAddress(Value array, int64_t elementBytes,
                                 const GemmTile &tile, Value row) {
  Value column = add(outputColumn(tile), mul(rem(lane(), 4), 2));
  if (spec.heads > 1)
    column = add(column, mul(tile.stack, shape.outputColumns));
  Value index = add(mul(toI64(row), shape.outputStride), toI64(column));
  return offset(array, mul(index, elementBytes));
}

void GemmEmitter::ifColumns(const GemmTile &tile, int64_t column,
                            llvm::function_ref<void()> body) {
  if (shape.outputColumns % shape.tileOutputColumns == 0)
    return body();
  ifThen(less(add(outputColumn(tile), column), shape.outputColumns), body);
}

void GemmEmitter::storeF32(const GemmTile &tile, Value consumer,
                           ValueRange sums) {
  VectorType pair = vectorOf(2, getF32Type());
  Value row = firstRow(tile, consumer);
  int64_t blocks = shape.columns / 8;
  constexpr int64_t batch = 16; // loads in flight
  // A tile that ends outside of y has its loads guarded one by one.
  bool isWhole = shape.outputColumns % shape.tileOutputColumns == 0;
  for (int64_t half = 0; half < 2; ++half) {
    Value thisRow = add(row, 8 * half);
    ifThen(less(thisRow, tile.rowEnd), [&] {
      Value to = outputAddress(binding(shape.output), 4, tile, thisRow);
      Value from = spec.residual ? outputAddress(binding(shape.residual), 4,
                                                 tile, thisRow)
                                 : Value();
      SmallVector<Value> added(blocks);
      auto loadBatch = [&](int64_t first) {
        if (spec.residual && isWhole)
          for (int64_t i = first; i < std::min(first + batch, blocks); ++i)
            added[i] = load(pair, offset(from, 32 * i));
      };
      loadBatch(0);
      for (int64_t i = 0; i < blocks; ++i) {
        // The next are on their way while these are stored.
        if (i % batch == 0)
          loadBatch(i + batch);
        ifColumns(tile, i * 8, [&] {
          Value low = sums[4 * i + 2 * half];
          Value high = sums[4 * i + 2 * half + 1];
          if (spec.residual) {
            Value old = isWhole ? added[i] : load(pair, offset(from, 32 * i));
            low = fadd(extract(old, 0), low);
            high = fadd(extract(old, 1), high);
          }
          Value vector = insert(high, splat(low, 2), 1);
          store(vector, offset(to, 32 * i));
        });
      }
    });
  }
}

SmallVector<Value> GemmEmitter::packSums(ValueRange sums) {
  SmallVector<Value> packed;
  for (int64_t i = 0; i < shape.tileOutputColumns / 8; ++i)
    for (int64_t half = 0; half < 2; ++half) {
      Value values[2];
      for (int64_t j = 0; j < 2; ++j) {
        int64_t within = 2 * half + j;
        if (!spec.swiglu)
          values[j] = sums[4 * i + within];
        else
          values[j] =
              fmul(silu(sums[8 * i + within]), sums[8 * i + 4 + within]);
      }
      packed.push_back(packBf16(values[0], values[1]));
    }
  return packed;
}

void GemmEmitter::storeBf16(const GemmTile &tile, Value consumer,
                            ValueRange sums) {
  SmallVector<Value> packed = packSums(sums);
  if (!spec.experts)
    return storeTiles(tile, consumer, packed);
  Value end = add(add(tile.row, mul(consumer, 64)), 64);
  ifElse(
      less(tile.rowEnd, end), {},
      [&]() -> SmallVector<Value> {
        storeRows(tile, consumer, packed);
        return {};
      },
      [&]() -> SmallVector<Value> {
        storeTiles(tile, consumer, packed);
        return {};
      });
}

void GemmEmitter::storeTiles(const GemmTile &tile, Value consumer,
                             ValueRange packed) {
  constexpr int64_t boxBytes = 64 * 128;
  Value leads = equal(warpgroupThread(), 0);
  Value id = add(consumer, 1);
  Value boxes = add(staging, mul(consumer, 2 * boxBytes));
  Value row = add(mul(div(warpgroupThread(), 32), 16), rem(lane(), 16));
  Value rowBytes = mul(row, swizzleRowBytes);
  // The place of 16 columns of bf16: two pieces, permuted by the row.
  auto pieces = [&](int64_t columns) {
    Value piece = add(div(lane(), 16), columns / 8);
    return mul(bitXor(piece, rem(lane(), 8)), 16);
  };
  auto wait = [&] { ptx("bar.sync $0, 128;", "r", {}, id); };
  int64_t count = shape.tileOutputColumns / 64;
  // A tile of one box fills the same one every time.
  int64_t pending = count > 1 ? 1 : 0;
  for (int64_t box = 0; box < count; ++box) {
    Value to = add(boxes, box % 2 * boxBytes);
    ifThen(leads, [&] { waitStoresRead(pending); });
    wait();
    for (int64_t part = 0; part < 4; ++part)
      storeMatrices(add(add(to, rowBytes), pieces(16 * part)),
                    packed.slice(box * 16 + part * 4, 4));
    fenceAsync();
    wait();
    ifThen(leads, [&] {
      SmallVector<Value> at = {add(outputColumn(tile), 64 * box)};
      if (spec.heads > 1)
        at.push_back(tile.stack);
      at.push_back(add(tile.row, mul(consumer, 64)));
      storeTile(tensorMap(outputMap), at, to);
      commitStores();
    });
  }
}

void GemmEmitter::storeRows(const GemmTile &tile, Value consumer,
                            ValueRange packed) {
  Value row = firstRow(tile, consumer);
  for (int64_t half = 0; half < 2; ++half) {
    Value thisRow = add(row, 8 * half);
    ifThen(less(thisRow, tile.rowEnd), [&] {
      Value to = outputAddress(binding(shape.output), 2, tile, thisRow);
      for (int64_t i = 0; i < shape.tileOutputColumns / 8; ++i)
        ifColumns(tile, i * 8,
                  [&] { store(packed[2 * i + half], offset(to, 16 * i)); });
    });
  }
}

} // namespace mlir::dsv2::nvptx
