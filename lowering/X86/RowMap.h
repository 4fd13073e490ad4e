//===- RowMap.h - Kernels that compute rows column by column ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Embedding, packing, SwiGLU and sums: every element of an output row depends
// on elements of the same column. A workgroup computes 512 columns of one row,
// so that a single token keeps several threads busy.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ROWMAP_H
#define DSV2_LOWERING_X86_ROWMAP_H

#include "lowering/X86/RowEmitter.h"

#include <functional>

namespace mlir::dsv2::x86 {

/// Output rows: `rowsPerToken` for each of up to `tokens` values of `dim`.
/// Rows of f32, bf16 and int8 are as in Formats.h, but f32 rows lie
/// `outputStride` elements apart when that is not 0.
struct MapShape {
  int64_t tokens;
  int64_t rowsPerToken = 1;
  int64_t depth;
  RowFormat format = RowFormat::f32;
  int64_t outputStride = 0;
  Dim dim = Dim::tokens;
};

/// The f32 vectors of columns [column, column + 32), of which `valid` exist
/// (zero beyond them).
using GroupBody =
    std::function<SmallVector<Value>(Value column, int64_t valid)>;
/// What to compute in row `sub` of `token`: emits what the whole row shares.
using RowBody = std::function<GroupBody(RowEmitter &k, Value token, Value sub)>;

/// A kernel whose last binding is the output; `inputs` come first.
KernelInfo emitRowMap(ModuleOp module, StringRef name,
                      const InstructionSet &set, ArrayRef<MemRefType> inputs,
                      const MapShape &shape, const RowBody &body);

/// y[t * heads + h][:] = x[t * tokenStride + h * headStride + offset + (:)].
/// Bindings: x f32, y rows.
struct PackRowsSpec {
  int64_t tokens;
  int64_t heads = 1;
  int64_t depth;
  int64_t tokenStride; ///< elements
  int64_t headStride = 0;
  int64_t offset = 0;
  RowFormat format = RowFormat::bf16;
  Dim dim = Dim::tokens;
};
KernelInfo emitPackRows(ModuleOp module, StringRef name,
                        const InstructionSet &set, const PackRowsSpec &spec);

/// y[r][:] = silu(gate[r][:]) * up[r][:] for rowsPerToken rows a token, in
/// float32. Bindings: gate f32, up f32 (may be the same buffer), y rows.
struct SwiGluSpec {
  int64_t tokens;
  int64_t rowsPerToken = 1; ///< slots of a token for routed experts
  int64_t depth;
  int64_t stride; ///< elements between rows of gate and of up
  int64_t gateOffset = 0;
  int64_t upOffset = 0;
  RowFormat format = RowFormat::bf16;
};
KernelInfo emitSwiGlu(ModuleOp module, StringRef name,
                      const InstructionSet &set, const SwiGluSpec &spec);

/// y[t][:] = table[tokens[t]][:]. Bindings: tokens i32 [T], table, y rows. Ids
/// must be in range: the runtime refuses others before a step starts.
struct EmbedSpec {
  int64_t tokens;
  int64_t vocab;
  int64_t depth;
  bool bf16Table = true; ///< else f32
  RowFormat format = RowFormat::f32;
};
KernelInfo emitEmbed(ModuleOp module, StringRef name, const InstructionSet &set,
                     const EmbedSpec &spec);

/// y[t][:] = scales[0] * x0[t][:] + scales[1] * x1[t][:] + ..., summed from
/// left to right. Bindings: x0, x1, ... f32 [T][depth], y rows.
struct SumRowsSpec {
  int64_t tokens;
  int64_t depth;
  SmallVector<float> scales = {1.0f, 1.0f};
  RowFormat format = RowFormat::f32;
};
KernelInfo emitSumRows(ModuleOp module, StringRef name,
                       const InstructionSet &set, const SumRowsSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ROWMAP_H
