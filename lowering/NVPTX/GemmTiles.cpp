//===- GemmTiles.cpp - The tiles of a block -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/GemmEmitter.h"
#include "lowering/NVPTX/TileOrder.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::dsv2::nvptx {

/// Rows (of tiles, or of pairs) in a band: about as many as columns that run
/// at the same time on 132 SMs.
static constexpr int64_t bandHeight = 12;

void GemmEmitter::forEachTile(ValueRange inits, TileBody body) {
  if (spec.experts)
    return forEachExpertTile(inits, body);
  Value rows = dim(spec.dim);
  Value rowTiles = ceilDiv(rows, GemmShape::tileRows * shape.blocks);
  int64_t columnTiles = shape.columnTiles * spec.heads;
  // The blocks of a pair take the same tile number.
  Value first = div(workgroup(), shape.blocks);
  Value stride = div(gridBlocks(), shape.blocks);
  loop(first, mul(rowTiles, columnTiles), stride, inits,
       [&](Value index, ValueRange carried) {
         auto place = placeOfTile<PtxBuilder, Value>(
             *this, index, rowTiles, columnTiles, bandHeight / shape.blocks);
         Value row = place.row;
         if (spec.pairs)
           row = add(mul(row, 2), rank);
         GemmTile tile;
         tile.row = mul(row, GemmShape::tileRows);
         tile.rowEnd = rows;
         if (spec.heads > 1) {
           tile.stack = div(place.column, shape.columnTiles);
           tile.column =
               mul(rem(place.column, shape.columnTiles), shape.columns);
         } else {
           tile.stack = i32(0);
           tile.column = mul(place.column, shape.columns);
         }
         return body(tile, carried);
       });
}

void GemmEmitter::countExpertTiles() {
  Type i32Type = getI32Type();
  Value end = i32(spec.experts + 1);
  loop(thread(), end, GemmShape::threads, [&](Value expert) {
    store(load(i32Type, element(binding(shape.offsets), i32Type, expert)),
          element(offsetTable, i32Type, expert));
  });
  barrier();
  // tileTable[e]: the rows of tiles of the experts before e.
  loop(thread(), end, GemmShape::threads, [&](Value expert) {
    Value before =
        loop(i32(0), expert, 1, i32(0), [&](Value other, ValueRange carried) {
          Value slots =
              sub(load(i32Type, element(offsetTable, i32Type, add(other, 1))),
                  load(i32Type, element(offsetTable, i32Type, other)));
          return SmallVector<Value>{
              add(carried[0], ceilDiv(slots, GemmShape::tileRows))};
        })[0];
    store(before, element(tileTable, i32Type, expert));
  });
  barrier();
}

void GemmEmitter::forEachExpertTile(ValueRange inits, TileBody body) {
  Type i32Type = getI32Type();
  auto tilesBefore = [&](Value expert) {
    return mul(load(i32Type, element(tileTable, i32Type, expert)),
               shape.columnTiles);
  };
  SmallVector<Value> carriedInits(inits);
  carriedInits.push_back(i32(0));
  loop(workgroup(), tilesBefore(i32(spec.experts)), gridBlocks(), carriedInits,
       [&](Value index, ValueRange carried) {
         // The expert only grows; an index below the total always has one.
         auto search = scf::WhileOp::create(
             *this, TypeRange(i32Type), ValueRange(carried.back()),
             [&](OpBuilder &, Location, ValueRange expert) {
               InsertionGuard guard(*this);
               setInsertionPointToEnd(expert.front().getParentBlock());
               Value behind = less(index, tilesBefore(add(expert[0], 1)));
               scf::ConditionOp::create(*this, bitXor(behind, flag(true)),
                                        expert);
             },
             [&](OpBuilder &, Location, ValueRange expert) {
               InsertionGuard guard(*this);
               setInsertionPointToEnd(expert.front().getParentBlock());
               scf::YieldOp::create(*this, add(expert[0], 1));
             });
         Value expert = search.getResult(0);
         Value within = sub(index, tilesBefore(expert));
         Value begin = load(i32Type, element(offsetTable, i32Type, expert));
         Value end =
             load(i32Type, element(offsetTable, i32Type, add(expert, 1)));
         Value rowTiles = ceilDiv(sub(end, begin), GemmShape::tileRows);
         // All rows of a column of tiles read the same weights.
         Value column = div(within, rowTiles);
         Value row = sub(within, mul(column, rowTiles));
         GemmTile tile = {add(begin, mul(row, GemmShape::tileRows)), end,
                          mul(column, shape.columns), expert};
         SmallVector<Value> next = body(tile, carried.drop_back());
         next.push_back(expert);
         return next;
       });
}

} // namespace mlir::dsv2::nvptx
