//===- RowNorm.h - Root mean square normalization ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ROWNORM_H
#define DSV2_LOWERING_X86_ROWNORM_H

#include "lowering/X86/RowEmitter.h"

namespace mlir::dsv2::x86 {

/// y[r][:] = v * gamma / sqrt(mean(v^2) + epsilon) in float32, rounded to the
/// output format at the end; v = x[r][:], or x[rows[r]][:] when gathering (one
/// row for each value of dim R), or x[r][:] + addend[r][:].
/// Bindings: x f32 [rows][stride], gamma f32 [depth], then rows i32 when
/// gathering, then addend and sum (both f32 [rows][depth]; sum may be x or
/// addend) when adding, then y rows. A workgroup computes one row.
struct RmsNormSpec {
  int64_t rows; ///< the largest number of rows of x and of y
  int64_t depth;
  int64_t stride = 0; ///< elements between rows of x; 0 means depth
  int64_t offset = 0; ///< first element of a row of x
  float epsilon;
  bool gather = false;
  bool add = false;
  RowFormat format = RowFormat::f32;
};
KernelInfo emitRmsNorm(ModuleOp module, StringRef name,
                       const InstructionSet &set, const RmsNormSpec &spec);

/// Emits 1 / sqrt(mean(v^2) + epsilon) as a vector of equal lanes, where
/// `load` gives the lanes at an offset of the row (zero beyond `valid`).
Value emitInverseRms(
    RowEmitter &k, int64_t depth, float epsilon,
    llvm::function_ref<Value(Value offset, int64_t valid)> load);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ROWNORM_H
