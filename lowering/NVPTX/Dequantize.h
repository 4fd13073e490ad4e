//===- Dequantize.h - Integer weights as bf16 -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_DEQUANTIZE_H
#define DSV2_LOWERING_NVPTX_DEQUANTIZE_H

#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// w[m][n][k] in bf16, from int8 or int4 (Formats.h): for products of so many
/// rows that unpacking is a small part of the work (Gemm.h).
///
/// Bindings: the packed weight, the result [matrices][N][K]. K is a multiple of
/// 32.
struct DequantizeSpec {
  int64_t rows;  ///< N
  int64_t depth; ///< K
  WeightFormat format = WeightFormat::int4;
  int64_t matrices = 1;
};

KernelInfo emitDequantize(ModuleOp module, StringRef name,
                          const DequantizeSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_DEQUANTIZE_H
