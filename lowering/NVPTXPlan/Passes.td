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
    (`panels<1>`, see `lowering/NVPTX/Formats.h`), and so are those in blocks of
    128 x 128 of fp8; where a kernel cannot take their shape, and in other
    formats, they become bf16 of the values they stand for. Activations that
    enter a product are rounded to rows of bf16, or of fp8 where tensor cores
    multiply them with weights in fp8: in functions without
    `dsv2.max_query_tokens`. In the others, products round their input
    themselves, where it is not written rounded anyway.

    The halves of a weight whose products only go through a SwiGLU into another
    product are interleaved, for kernels that compute both.

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

def FormGpuProgramsPass
    : Pass<"dsv2-form-gpu-programs", "::mlir::ModuleOp"> {
  let summary = "Turn functions into programs that dispatch GPU kernels";
  let description = [{
    Each function becomes a `plan.program`: its tensors are placed in buffers,
    and every operation that computes becomes dispatches of kernels, which are
    emitted into a module `@kernels`.

    Before:

    ```mlir
    func.func @decode(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> tensor<?x8xf32> {
      %0 = arith.addf %a, %b : tensor<?x8xf32>
      return %0 : tensor<?x8xf32>
    }
    ```

    After:

    ```mlir
    plan.program @decode {
      plan.buffer @a : 16384
      plan.buffer @b : 16384
      plan.dispatch @add_8 "add" <1 x tokens by 1> (in buffer(@a), in buffer(@b), out logits)
    }
    module @kernels {
      llvm.func @add_8(!llvm.ptr, !llvm.ptr, !llvm.ptr, !llvm.ptr)
    }
    ```

    Does not change rounding.
  }];
  let options = [
    Option<"maxBatchTokens", "max-batch-tokens", "int64_t", /*default=*/"512",
           "Tokens of a step at most">,
    Option<"maxSequences", "max-sequences", "int64_t", /*default=*/"16",
           "Sequences of a step at most">,
    Option<"maxContext", "max-context", "int64_t", /*default=*/"4096",
           "Tokens of a sequence at most">
  ];
}

#endif // DSV2_LOWERING_NVPTXPLAN_PASSES_TD
