//===- Linear.h - Linear layers ---------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_LINEAR_H
#define DSV2_LOWERING_X86_LINEAR_H

#include "lowering/X86/Formats.h"
#include "lowering/X86/Kernel.h"

#include <optional>

namespace mlir::dsv2::x86 {

enum class OutputType : uint8_t { f32, bf16 };

/// y[t][h][n] = sum over k of x[t][h][k] * w[h][n][k] [+ residual[t][h][n]]
///
/// Bindings, in order:
///   x         packed activations (Formats.h) of the format's RowFormat:
///             [T][heads] rows, or [T] rows with sharedInput
///   w         packed weights, `heads` matrices back to back
///   [rows]    i32 [dim], with gather: x row of output row t is rows[t]
///   [residual] f32, with residual; may be y itself
///   y         f32 or bf16; with swiglu [T] packed rows of N / 2 elements: silu
///             of the first half times the second, for tens of tokens, without
///             heads, residual and strides
/// Workgroups cover `dim` in tiles of tokens and the weights in runs of panels.
struct LinearSpec {
  int64_t rows;  ///< N
  int64_t depth; ///< K
  WeightFormat format;
  int64_t maxTokens; ///< rows of x (per head), and the most of y
  int64_t heads = 1;
  bool sharedInput = false;
  bool gather = false;
  bool residual = false;
  std::optional<RowFormat> swiglu; ///< N is a multiple of 64 then
  OutputType output = OutputType::f32;
  /// Also writes the zeros that pad N to a multiple of 32, as packed bf16 rows
  /// need; the strides leave room for them. Not with residual.
  bool paddedOutput = false;
  /// Elements from one token (head) of y to the next; 0 when dense.
  int64_t outputStride = 0;
  int64_t outputHeadStride = 0;
  /// The same for residual.
  int64_t residualStride = 0;
  int64_t residualHeadStride = 0;
  /// What runs over the rows of y.
  Dim dim = Dim::tokens;
};

KernelInfo emitLinear(ModuleOp module, StringRef name,
                      const InstructionSet &set, const LinearSpec &spec);

/// Panels a workgroup multiplies: about 64 KiB of weights.
int64_t panelsPerWorkgroup(WeightFormat format, int64_t depth);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_LINEAR_H
