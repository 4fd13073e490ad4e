//===- RowEmitter.h - What row kernels of the GPU share ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A block works on one row, or on a part of it. A thread takes four columns at
// a time: thread i those from 4 * i, then 4 * threads further on, and so on.
// Depths, strides and offsets are multiples of 4 elements, so that accesses are
// of 8 or 16 bytes.
//
// fp8 rows are e4m3 with an f32 scale for each 128 columns, in an array of
// their own: value = quant * scale. The 128 columns of a scale are those of the
// 32 lanes of a warp. The depth of fp8 rows is a multiple of 128.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ROWEMITTER_H
#define DSV2_LOWERING_NVPTX_ROWEMITTER_H

#include "lowering/NVPTX/Kernel.h"

#include <functional>

namespace mlir::dsv2::nvptx {

/// The formats of activation rows.
enum class RowFormat : uint8_t { f32, bf16, fp8 };

/// Columns that share a scale in fp8 rows.
inline constexpr int64_t scaleColumns = 128;

/// Bindings that rows of a format take: fp8 has quants and scales.
inline constexpr unsigned rowBindings(RowFormat format) {
  return format == RowFormat::fp8 ? 2 : 1;
}

/// Four consecutive columns.
using Columns = SmallVector<Value, 4>;

class RowEmitter : public KernelBuilder {
public:
  using KernelBuilder::KernelBuilder;

  /// The address of a row of `stride` elements of `type`, `start` elements on.
  Value rowAt(Value base, Type type, Value row, int64_t stride,
              int64_t start = 0);
  /// Four columns of f32 or bf16 (`type`) as f32.
  Columns loadColumns(Value row, Type type, Value column);
  /// Four f32 as f32 or bf16.
  void storeColumns(ArrayRef<Value> values, Value row, Type type, Value column);

  /// Where rows of a format are written.
  struct Target {
    RowFormat format;
    Value rows;        ///< base address
    Value scales = {}; ///< of fp8 rows, f32 [rows][depth / 128]
    int64_t depth;     ///< elements from row to row
  };
  /// The target whose bindings begin at `binding`.
  Target target(RowFormat format, unsigned binding, int64_t depth);
  /// Writes four columns of row `row`. All lanes of the warp must be here and
  /// hold columns of the same 128 when the format is fp8.
  void storeTarget(ArrayRef<Value> values, const Target &target, Value row,
                   Value column);

  /// body(column, step) for the columns of this thread; `step` counts them.
  /// Threads without columns in a step skip it as whole warps, if depth is a
  /// multiple of 128.
  void forColumns(int64_t depth, int64_t threads,
                  llvm::function_ref<void(Value column, int64_t step)> body);

  /// The sum over the block, in all threads; the order is fixed. `warps` f32 of
  /// shared memory at `scratch` may be used again after the next barrier.
  Value blockSum(Value value, int64_t threads, Value scratch);

  /// The maximum of |v| of four columns and of the warp as the scale of e4m3:
  /// at least 1e-4 / 448.
  Value warpScale(ArrayRef<Value> values);
  /// Four f32 divided by a scale as four e4m3 in an i32.
  Value quantize(ArrayRef<Value> values, Value scale);
};

/// Threads of a block that has a row of `depth` columns to itself.
int64_t rowThreads(int64_t depth);

/// f32 or bf16.
Type elementType(MLIRContext *context, bool isBf16);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ROWEMITTER_H
