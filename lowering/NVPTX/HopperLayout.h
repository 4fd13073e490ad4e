//===- HopperLayout.h - Shared memory as sm_90a reads it --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Index arithmetic of tensor-core operands, free of MLIR so that tests can
// check it on any machine.
//
// A tile that TMA writes with Swizzle::bytes128 is rows of 128 bytes, one after
// the other, beginning at a multiple of 1024 bytes. The 16-byte piece c of row
// r lies at place c ^ (r % 8) of its row, so that eight rows of one column of
// pieces touch all banks. wgmma undoes this when its descriptor says so.
//
// An accumulator of wgmma with n columns is n / 2 floats a thread. Warp w (0 to
// 3 of its warpgroup) holds rows 16 * w to 16 * w + 15; its lane l holds, for
// each block b of eight columns, in registers 4 * b to 4 * b + 3:
//   (row l / 4, column 2 * (l % 4)), (same row, next column),
//   (row l / 4 + 8, column 2 * (l % 4)), (same row, next column)
// mma.sync's accumulators are one such block. The A operand of wgmma from
// registers is laid out the same, for 16 k in place of the columns: registers
// (row, k pair 0), (row + 8, k pair 0), (row, k pair 0 + 8), (row + 8, ...).
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_HOPPERLAYOUT_H
#define DSV2_LOWERING_NVPTX_HOPPERLAYOUT_H

#include <cstdint>

namespace mlir::dsv2::nvptx {

/// Bytes of a row of a swizzled tile, and of the 8 rows that repeat.
inline constexpr int64_t swizzleRowBytes = 128;
inline constexpr int64_t swizzleAtomBytes = 1024;

/// Where byte `column` of row `row` lies in a 128-byte swizzled tile.
inline constexpr int64_t swizzled128(int64_t row, int64_t column) {
  return row * swizzleRowBytes + (column ^ ((row % 8) * 16));
}

/// What is constant in a wgmma descriptor of a 128-byte swizzled tile:
/// bits 16-29 leading and 32-45 stride offset, in units of 16 bytes, and
/// bits 62-63 the swizzle (1: 128 bytes). Bits 0-13 are the address.
///
/// K-major (k is contiguous): rows are of 128 bytes of k, 8 rows of the tile
/// are 1024 bytes apart from the next 8 (stride); leading is not used. The next
/// 16 (bf16) or 32 (e4m3) k are 32 bytes on: add 2 to the descriptor.
inline constexpr uint64_t kMajorDescriptor =
    uint64_t(1) << 62 | uint64_t(swizzleAtomBytes / 16) << 32 |
    uint64_t(1) << 16;

/// MN-major (m or n is contiguous; bf16 only, with the transpose flag): a tile
/// is 64 elements of mn (a row of 128 bytes) by any number of k, and each 8 k
/// are an atom of 1024 bytes. Leading: from 64 elements of mn to the next 64.
/// Stride: from 8 k to the next 8. The next 16 k are 2048 bytes on when atoms
/// follow each other: add 128.
inline constexpr uint64_t mnMajorDescriptor(int64_t nextColumnsBytes) {
  return uint64_t(1) << 62 | uint64_t(swizzleAtomBytes / 16) << 32 |
         uint64_t(nextColumnsBytes / 16) << 16;
}

/// The descriptor of a tile at a shared memory address.
inline constexpr uint64_t descriptorAt(uint64_t bits, uint64_t address) {
  return bits | (address >> 4 & 0x3fff);
}

/// Row and column of accumulator register `index` of a thread of a warpgroup.
struct Position {
  int64_t row, column;
};
inline constexpr Position accumulatorPosition(int64_t thread, int64_t index) {
  int64_t warp = thread / 32 % 4, lane = thread % 32;
  return {warp * 16 + lane / 4 + (index / 2 % 2) * 8,
          index / 4 * 8 + lane % 4 * 2 + index % 2};
}

/// Where the lanes of a warp point stmatrix.x4 (or ldmatrix.x4) to for 16 rows
/// of 16 columns: lanes 0-7 name the rows of matrix 0 (rows 0-7, columns 0-7),
/// 8-15 of matrix 1 (rows 8-15, columns 0-7), 16-23 of matrix 2 (rows 0-7,
/// columns 8-15), 24-31 of matrix 3. Accumulator registers 8i + {0,1}, {2,3},
/// {4,5}, {6,7} of two column blocks are the four matrices, in this order.
inline constexpr Position matrixRow(int64_t lane) {
  return {lane % 16, lane / 16 * 8};
}

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_HOPPERLAYOUT_H
