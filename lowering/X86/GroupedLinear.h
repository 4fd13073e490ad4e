//===- GroupedLinear.h - The linear layers of experts -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_GROUPEDLINEAR_H
#define DSV2_LOWERING_X86_GROUPEDLINEAR_H

#include "lowering/X86/Formats.h"
#include "lowering/X86/Kernel.h"

#include <optional>

namespace mlir::dsv2::x86 {

/// y[s][n] = sum over k of x[row(s)][k] * w[e][n][k] for the slots s of expert
/// e, which are [offsets[e], offsets[e + 1]). row(s) is slotToken[s] with
/// gather and s without.
///
/// Bindings, in order:
///   x           packed activations (Formats.h)
///   w           packed weights, `experts` matrices back to back
///   offsets     i32 [experts + 1]
///   active      i32 [experts]: the experts that have slots, then anything
///   activeCount i32 [1]: how many those are
///   [slotToken] i32 [maxSlots], with gather
///   y           f32 [maxSlots][rows], or with swiglu packed rows
///               [maxSlots] of rows / 2 elements: silu of the first half times
///               the second, for tens of slots an expert
/// Workgroups: runs of panels times the number of active experts.
struct GroupedLinearSpec {
  int64_t rows;  ///< N
  int64_t depth; ///< K
  WeightFormat format;
  int64_t experts;
  int64_t maxSlots;
  bool gather = false;
  std::optional<RowFormat> swiglu; ///< rows are a multiple of 64 then
};

KernelInfo emitGroupedLinear(ModuleOp module, StringRef name,
                             const InstructionSet &set,
                             const GroupedLinearSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_GROUPEDLINEAR_H
