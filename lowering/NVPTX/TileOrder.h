//===- TileOrder.h - Which block computes which tile ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic is a template, so that tests run with integers what kernels
// run with IR values.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_TILEORDER_H
#define DSV2_LOWERING_NVPTX_TILEORDER_H

#include <cstdint>

namespace mlir::dsv2::nvptx {

template <typename Int>
struct TilePlace {
  Int row, column; ///< in tiles
};

/// The tile with number `tile` of `rowTiles` x `columnTiles`. Bands of `height`
/// rows of tiles come one after the other, each by columns from top to bottom.
/// Tiles that run at the same time thus form a compact rectangle, which reads
/// the least from L2.
template <typename Math, typename Int>
TilePlace<Int> placeOfTile(Math &math, Int tile, Int rowTiles,
                           int64_t columnTiles, int64_t height) {
  Int band = math.div(tile, height * columnTiles);
  Int first = math.mul(band, height);
  Int within = math.sub(tile, math.mul(band, height * columnTiles));
  Int rows = math.min(math.sub(rowTiles, first), height);
  Int column = math.div(within, rows);
  Int row = math.add(first, math.sub(within, math.mul(column, rows)));
  return {row, column};
}

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_TILEORDER_H
