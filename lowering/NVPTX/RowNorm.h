//===- RowNorm.h - Root mean square normalization ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ROWNORM_H
#define DSV2_LOWERING_NVPTX_ROWNORM_H

#include "lowering/NVPTX/RowEmitter.h"

namespace mlir::dsv2::nvptx {

/// y[r][:] = v * gamma / sqrt(mean(v^2) + epsilon) in float32, rounded to the
/// output format at the end; v = x[r][:], or x[rows[r]][:] when gathering (one
/// row for each value of dim R), or x[r][:] + addend[r][:].
/// Bindings: x [rows][stride], gamma f32 [depth], then rows i32 when gathering,
/// then addend and sum (both f32 [rows][depth]; sum may be x or addend) when
/// adding, then y rows (and their scales). A block computes one row.
struct RmsNormSpec {
  int64_t depth;
  int64_t stride = 0; ///< elements between rows of x; 0 means depth
  int64_t offset = 0; ///< first element of a row of x
  float epsilon;
  bool gather = false;
  bool add = false;
  bool bf16Input = false; ///< else f32
  RowFormat format = RowFormat::bf16;
};
KernelInfo emitRmsNorm(ModuleOp module, StringRef name,
                       const RmsNormSpec &spec);

/// 1 / sqrt(mean + epsilon) of a sum of `depth` squares, correctly rounded but
/// for the square root.
Value inverseRms(RowEmitter &k, Value squares, int64_t depth, float epsilon);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ROWNORM_H
