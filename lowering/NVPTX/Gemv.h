//===- Gemv.h - Matrix products of few rows ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_GEMV_H
#define DSV2_LOWERING_NVPTX_GEMV_H

#include "lowering/NVPTX/AttentionLatentCombine.h"
#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

enum class GemvType : uint8_t { bf16, f32 };

/// The most rows of x at once that a product merges from splits.
inline constexpr int64_t maxMergedRows = 8;

/// y[t][h][n] = sum over k of x'[t][h][k] * w[h][n][k] [+ residual[t][h][n]]
///
/// limited by how fast w streams from memory, meant for at most 16 rows t. x'
/// is x, or with norm
///   x[t][k] / sqrt(mean of squares of x[t] + epsilon) * gamma[k]
/// rounded as the format of w wants it: to bf16; to int8 with a scale for each
/// 32 k (max|x| / 127); to e4m3 with a scale for each 128 k (max|x| / 448). The
/// order of each sum depends on K alone.
///
/// With swiglu, rows of w alternate as in interleavedRow(), and
/// y[t][n] = silu(gate[n]) * up[n].
///
/// With splitRows, x is what attention wrote: rows of divided contexts are
/// merged from the partial results of their splits, and rounded to bf16.
///
/// With experts, row s of y is a slot of the expert e with
/// offsets[e] <= s < offsets[e + 1]. Its row of x is slotToken[s] with gather,
/// and s without.
///
/// Bindings, in order:
///   x            [rows][heads][K]
///   w            Formats.h; heads or experts matrices
///   [scales]     f32, with fp8: one for each 128 x 128 of each matrix; with
///                swiglu one for the rows of gate in it, then one for up
///   [gamma]      f32 [K], with norm
///   [splits]     the five of SplitCombine, with splitRows
///   [offsets]    i32 [experts + 1], with experts, and
///   [active]     i32 [experts]: the experts that have slots, then anything
///   [activeCount] i32 [1]: how many those are
///   [slotToken]  i32, with gather
///   [residual]   f32, as y; may be y itself
///   y            [rows][heads][N] (N / 2 with swiglu)
///
/// N is a multiple of 16, K of 32 (of 128 with fp8).
struct GemvSpec {
  int64_t rows;  ///< N
  int64_t depth; ///< K
  WeightFormat format = WeightFormat::bf16;
  /// How many rows of x (of an expert) are handled at once, at most 16. More
  /// are handled in turn, and w is read again for them.
  int64_t maxRows = 16;
  GemvType input = GemvType::bf16;
  GemvType output = GemvType::f32;
  bool norm = false; ///< without heads; each expert's rows by themselves
  float epsilon = 1e-6f;
  bool residual = false; ///< with an f32 output
  bool swiglu = false;
  int64_t heads = 1;
  int64_t experts = 0; ///< 0: none
  bool gather = false;
  /// Matrices that usually have rows: how work is divided among blocks.
  int64_t usualMatrices = 8;
  Dim dim = Dim::tokens;   ///< what the rows of x are (without experts)
  int64_t inputStride = 0; ///< elements from one row to the next; 0: dense
  int64_t outputStride = 0;
  int64_t residualStride = 0;  ///< 0: that of y
  int64_t inputHeadStride = 0; ///< from one head to the next; 0: dense
  int64_t outputHeadStride = 0;
  /// With at most maxMergedRows rows of bf16; the rows are tokens.
  std::optional<SplitRows> splitRows = std::nullopt;
};

/// Whether there is a kernel; on failure `error` says in one line why not.
LogicalResult checkGemv(const GemvSpec &spec, std::string &error);

KernelInfo emitGemv(ModuleOp module, StringRef name, const GemvSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_GEMV_H
