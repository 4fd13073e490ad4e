//===- RouterProduct.h - Router logits of few tokens ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ROUTERPRODUCT_H
#define DSV2_LOWERING_NVPTX_ROUTERPRODUCT_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// y[t][n] = sum over k of x'[t][k] * w[n][k], all in f32, where x' is x, or
/// with norm
///   x[t][k] / sqrt(mean of squares of x[t] + epsilon) * gamma[k].
///
/// A block computes one n for `tileRows` rows of x: it reads its row of w, and
/// multiplies it with gamma, before the launch waits for the previous one. The
/// order of each sum depends on K alone.
///
/// Bindings: x f32 [T][K] (rows `stride` elements apart), w f32 [N][K], [gamma]
/// f32 [K] with norm, y f32 [T][N]. K and the stride are multiples of 4.
struct RouterProductSpec {
  int64_t rows;  ///< N
  int64_t depth; ///< K, at most maxDepth
  int64_t stride;
  bool norm = false;
  float epsilon = 0;
  int64_t tileRows = 1; ///< all give the same bits

  /// What a block of 256 threads keeps of w in registers.
  static constexpr int64_t maxDepth = 8192;
};
KernelInfo emitRouterProduct(ModuleOp module, StringRef name,
                             const RouterProductSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ROUTERPRODUCT_H
