//===- DotProduct.h - Matrix products of any shape --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_DOTPRODUCT_H
#define DSV2_LOWERING_NVPTX_DOTPRODUCT_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// y[t][h][n] = sum over k of x[t][h][k] * w[h][n][k] [+ residual[t][n]]
///
/// on the ordinary cores, for what the tensor cores do not take: operands in
/// f32, and shapes that are no multiples of their tiles. A warp computes the
/// products of one row of w with a few rows of x; it sums in f32, each lane
/// every 32nd vector of k, then by halves of the distance.
///
/// With experts, row s of y is a slot: it belongs to the expert e with
/// offsets[e] <= s < offsets[e + 1], whose matrix is w[e], and x[s] is
/// x[slotToken[s]] when gathering.
///
/// Bindings, in order:
///   x           f32 or bf16
///   w           f32 or bf16 [heads or experts][N][K]
///   [offsets]   i32 [experts + 1], with experts
///   [slotToken] i32 [T * slotsPerToken], when gathering
///   [residual]  f32; may be y
///   y           f32 or bf16
struct DotProductSpec {
  int64_t rows;  ///< N
  int64_t depth; ///< K
  bool bf16Input = false;
  bool bf16Weight = true;
  bool bf16Output = false;
  bool residual = false;
  int64_t heads = 1;
  int64_t experts = 0; ///< 0: no slots
  int64_t slotsPerToken = 1;
  bool gather = false;
  Dim dim = Dim::tokens;
  /// Elements from a row to the next, and from a head to the next.
  int64_t inputStride, inputHeadStride = 0;
  int64_t outputStride, outputHeadStride = 0;
  int64_t residualStride = 0;
};
KernelInfo emitDotProduct(ModuleOp module, StringRef name,
                          const DotProductSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_DOTPRODUCT_H
