//===- TileEmitter.h - AMX tiles --------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The eight tile registers, by number. A tile has up to 16 rows of up to 64
// bytes; products accumulate C[m][n] += A[m][k] * B[k][n] in 32 bits, B holding
// pairs of bf16 or quads of bytes along k, as packed weights do (Formats.h).
//
// LLVM also has typed tiles whose registers and configuration it chooses, with
// shapes that are constants. Here the number of rows is known when a kernel
// runs, so the kernel configures the tiles itself.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_TILEEMITTER_H
#define DSV2_LOWERING_X86_TILEEMITTER_H

#include "lowering/X86/Kernel.h"

namespace mlir::dsv2::x86 {

class TileEmitter {
public:
  static constexpr int64_t tileRows = 16, tileBytes = 64;

  explicit TileEmitter(KernelBuilder &builder);

  struct Shape {
    Value rows; ///< index, 1 to 16
    int64_t rowBytes;
  };
  /// Gives tile i the shape shapes[i]; all tiles become zero.
  void configure(ArrayRef<Shape> shapes);
  /// Ends the use of tiles: their state need not be saved any longer.
  void release();

  void zero(int tile);
  /// Rows of `tile` from element `first` of a flat memref on, `rowDistance`
  /// bytes apart.
  void load(int tile, Value memref, Value first, int64_t rowDistance);
  void store(int tile, Value memref, Value first, int64_t rowDistance);
  /// f32 sums of bf16 products.
  void dotBf16(int sums, int left, int right);
  /// i32 sums of products of signed bytes in `left` and unsigned ones in
  /// `right`.
  void dotS8U8(int sums, int left, int right);

private:
  Value tileNumber(int tile);
  Value address(Value memref, Value element);
  void call(StringRef name, ValueRange operands);

  KernelBuilder &b;
  Value configuration;
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_TILEEMITTER_H
