//===- RowMap.h - Kernels that compute rows column by column ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Embedding, packing, SwiGLU, sums and gathering: every element of an output
// row depends on elements of the same column. A block computes 512 columns of
// one row.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ROWMAP_H
#define DSV2_LOWERING_NVPTX_ROWMAP_H

#include "lowering/NVPTX/RowEmitter.h"

namespace mlir::dsv2::nvptx {

/// Output rows: `rowsPerToken` for each value of `dim`, dense.
struct MapShape {
  int64_t rowsPerToken = 1;
  int64_t depth;
  RowFormat format = RowFormat::f32;
  Dim dim = Dim::tokens;
};

/// The f32 values of four columns.
using ColumnBody = std::function<Columns(Value column)>;
/// What to compute in row `sub` of `token`: emits what the whole row shares.
using RowBody =
    std::function<ColumnBody(RowEmitter &k, Value token, Value sub)>;

/// A kernel whose last bindings are the output; `inputs` come first.
KernelInfo emitRowMap(ModuleOp module, StringRef name, unsigned inputs,
                      const MapShape &shape, const RowBody &body);

/// y[t * heads + h][:] = x[t * tokenStride + h * headStride + offset + (:)].
/// Bindings: x, y rows.
struct PackRowsSpec {
  int64_t heads = 1;
  int64_t depth;
  int64_t tokenStride; ///< elements
  int64_t headStride = 0;
  int64_t offset = 0;
  bool bf16Input = false; ///< else f32
  RowFormat format = RowFormat::bf16;
  Dim dim = Dim::tokens;
};
KernelInfo emitPackRows(ModuleOp module, StringRef name,
                        const PackRowsSpec &spec);

/// y[r][:] = x[rows[r]][:] for one row of each value of `dim`. Bindings: x
/// [..][stride], rows i32, y rows.
struct GatherRowsSpec {
  int64_t depth;
  int64_t stride; ///< elements
  bool bf16Input = false;
  RowFormat format = RowFormat::f32;
  Dim dim = Dim::logitRows;
};
KernelInfo emitGatherRows(ModuleOp module, StringRef name,
                          const GatherRowsSpec &spec);

/// y[r][:] = x[rows[r]][:] in fp8 as it is, for rowsPerToken rows a token.
/// Bindings: x, its scales, rows i32, y, its scales.
struct GatherFp8Spec {
  int64_t rowsPerToken;
  int64_t depth;
};
KernelInfo emitGatherFp8(ModuleOp module, StringRef name,
                         const GatherFp8Spec &spec);

/// y[r][:] = silu(gate[r][:]) * up[r][:] for rowsPerToken rows a token, in
/// float32. Bindings: gate, up (may be the same buffer), y rows.
struct SwiGluSpec {
  int64_t rowsPerToken = 1; ///< slots of a token for routed experts
  int64_t depth;
  int64_t stride; ///< elements between rows of gate and of up
  int64_t gateOffset = 0;
  int64_t upOffset = 0;
  bool bf16Input = false;
  RowFormat format = RowFormat::bf16;
};
KernelInfo emitSwiGlu(ModuleOp module, StringRef name, const SwiGluSpec &spec);

/// y[t][:] = table[tokens[t]][:]. Bindings: tokens i32 [T], table, y rows. Ids
/// must be in range: the runtime refuses others before a step starts.
struct EmbedSpec {
  int64_t depth;
  bool bf16Table = true; ///< else f32
  RowFormat format = RowFormat::f32;
};
KernelInfo emitEmbed(ModuleOp module, StringRef name, const EmbedSpec &spec);

/// y[t][:] = scales[0] * x0[t][:] + scales[1] * x1[t][:] + ..., summed from
/// left to right. Bindings: x0, x1, ... f32 [T][depth], y rows.
struct SumRowsSpec {
  int64_t depth;
  SmallVector<float> scales = {1.0f, 1.0f};
  RowFormat format = RowFormat::f32;
};
KernelInfo emitSumRows(ModuleOp module, StringRef name,
                       const SumRowsSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ROWMAP_H
