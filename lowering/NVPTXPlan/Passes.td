//===- Passes.td - Preparing model IR for NVIDIA GPUs ------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTXPLAN_PASSES_TD
#define DSV2_LOWERING_NVPTXPLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def PackForNVPTXPass : Pass<"dsv2-pack-for-nvptx", "::mlir::func::FuncOp"> {
  let summary = "Put weights and activations into the formats of GPU kernels";
  let description = [{
    Weights of matrix products become plain rows of bf16, the router's of f32.
    Weights in groups of 32 of int8 or int4 are packed row by row
    (`panels<1>`, see `lowering/NVPTX/Formats.h`); where a kernel cannot take
    their shape, and in other formats, they become bf16 of the values they stand
    for. Activations that enter a product are rounded to rows of bf16.

    Before:

    ```mlir
    %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
    ```

    After:

    ```mlir
    %0 = arith.truncf %w : tensor<32x64xf32> to tensor<32x64xbf16>
    %1 = dsv2.pack_rows %x : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<1>>
    %y = dsv2.linear %1, %0 : tensor<?x64xbf16, #dsv2.rows<1>>, tensor<32x64xbf16> -> tensor<?x32xf32>
    ```

    Changes rounding: weights and activations are rounded to their formats.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

#endif // DSV2_LOWERING_NVPTXPLAN_PASSES_TD
