//===- GemvStore.cpp - The results of a product of few rows ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The sums of the warps of a tile lie in one of two halves of `partial`, which
// tiles take in turn. A warp writes to a half again only after the barrier of
// the tile between, which all threads reach when they have read it.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/GemvEmitter.h"

namespace mlir::dsv2::nvptx {

void GemvEmitter::finishTile(Value matrix, Rows rows, Value tile, Value parity,
                             ValueRange sums) {
  VectorType four = vectorOf(4, getF32Type());
  Value place =
      mul(add(mul(parity, GemvShape::warps), warp()), shape.columnTiles);
  for (int64_t column = 0; column < shape.columnTiles; ++column) {
    Value vector = splat(sums[4 * column], 4);
    for (int64_t i = 1; i < 4; ++i)
      vector = insert(sums[4 * column + i], vector, i);
    Value index = add(mul(add(place, column), 32), lane());
    store(vector, element(partial, four, index));
  }
  barrier();

  int64_t rowsOfTile = spec.swiglu ? shape.tileRows / 2 : shape.tileRows;
  Value total = mul(sub(rows.end, rows.first), rowsOfTile);
  loop(thread(), total, GemvShape::threads, [&](Value index) {
    Value column = div(index, rowsOfTile);
    Value within = sub(index, mul(column, rowsOfTile));
    Value row = add(mul(tile, rowsOfTile), within);
    auto write = [&] {
      Value result;
      if (spec.swiglu) {
        Value gate = add(mul(div(within, 8), 16), rem(within, 8));
        result = fmul(silu(sumOf(parity, gate, column)),
                      sumOf(parity, add(gate, 8), column));
      } else {
        result = sumOf(parity, within, column);
      }
      auto placeIn = [&](int64_t stride) {
        Value at = mul(toI64(add(rows.first, column)), stride);
        if (spec.heads > 1)
          at = add(at, mul(toI64(matrix), shape.outputHeadStride));
        return add(at, toI64(row));
      };
      Type f32Type = getF32Type();
      if (spec.residual)
        result = fadd(load(f32Type, element(binding(shape.residual), f32Type,
                                            placeIn(shape.residualStride))),
                      result);
      Type type = spec.output == GemvType::f32 ? f32Type : Type(getBF16Type());
      if (spec.output == GemvType::bf16)
        result = toBf16(result);
      store(result,
            element(binding(shape.output), type, placeIn(shape.outputStride)));
    };
    if (shape.outputRows % rowsOfTile)
      ifThen(less(row, shape.outputRows), write);
    else
      write();
  });
}

Value GemvEmitter::sumOf(Value parity, Value row, Value column) {
  // Register 2 * (row / 8) + column % 2 of lane 4 * (row % 8) + column / 2.
  Value group = div(row, 16), inGroup = rem(row, 16);
  Value warp = add(mul(parity, GemvShape::warps), mul(group, shape.splits));
  Value holder = add(mul(rem(inGroup, 8), 4), div(rem(column, 8), 2));
  Value number = add(mul(div(inGroup, 8), 2), rem(column, 2));
  Value index = add(mul(add(mul(warp, shape.columnTiles), div(column, 8)), 128),
                    add(mul(holder, 4), number));
  Value address = element(partial, getF32Type(), index);
  Value sum = load(getF32Type(), address);
  for (int64_t i = 1; i < shape.splits; ++i)
    sum = fadd(sum, load(getF32Type(),
                         offset(address, i * shape.columnTiles * 128 * 4)));
  return sum;
}

} // namespace mlir::dsv2::nvptx
