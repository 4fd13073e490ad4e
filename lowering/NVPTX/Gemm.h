//===- Gemm.h - Matrix products of many rows --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_GEMM_H
#define DSV2_LOWERING_NVPTX_GEMM_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// What x and w are.
///   bf16  rows of bf16
///   fp8   rows of e4m3 with f32 scales: of w one for each 128 x 128 tile,
///         [stacked N / 128, K / 128], or with swiglu one for its rows of gate
///         and one for those of up, [stacked N / 128, 2, K / 128]; of x one for
///         each row and 128 k, [maxRows][K / 128]
enum class GemmFormat : uint8_t { bf16, fp8 };
enum class GemmOutput : uint8_t { bf16, f32 };

/// y[t][h][n] = sum over k of x[t][h][k] * w[h][n][k] [+ residual[t][h][n]]
///
/// with the sum in f32, in order of k. With swiglu the rows of w alternate
/// between eight of the gate and eight of the up projection, and
/// y[t][8i + j] = silu(p[16i + j]) * p[16i + 8 + j] of the product p.
///
/// With experts, row s of x is a slot, and belongs to the expert e with
/// offsets[e] <= s < offsets[e + 1], whose matrix is w[e].
///
/// Bindings, in order:
///   x           [maxRows][heads][K]
///   w           [heads or experts][N][K]
///   [xScales]   with fp8
///   [wScales]   with fp8
///   [offsets]   i32 [experts + 1], with experts
///   [residual]  f32, laid out as y; may be y itself
///   y           [maxRows][heads][N] (N / 2 with swiglu)
///
/// K and N are multiples of 8; with fp8 K is a multiple of 128, with experts or
/// heads N is one (of 16 with swiglu always).
struct GemmSpec {
  int64_t rows;  ///< N
  int64_t depth; ///< K
  int64_t maxRows;
  GemmFormat format = GemmFormat::bf16;
  GemmOutput output = GemmOutput::bf16;
  bool residual = false; ///< with f32
  bool swiglu = false;   ///< with bf16
  int64_t heads = 1;
  int64_t experts = 0; ///< 0: one matrix
  /// What runs over the rows of x. With experts they are not counted by it; it
  /// bounds the number of blocks.
  Dim dim = Dim::tokens;
  /// Elements from one row of x (y, residual) to the next; 0 when dense.
  int64_t inputStride = 0;
  int64_t outputStride = 0;
  /// Columns of a tile, 64, 128 or 256 (fp8: 128); 0 chooses. All give the same
  /// bits.
  int64_t tileColumns = 0;
  /// Two blocks share the weights they read. Not with experts or fp8.
  bool pairs = false;
};

/// Whether there is a kernel; on failure `error` says in one line why not.
LogicalResult checkGemm(const GemmSpec &spec, std::string &error);

KernelInfo emitGemm(ModuleOp module, StringRef name, const GemmSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_GEMM_H
