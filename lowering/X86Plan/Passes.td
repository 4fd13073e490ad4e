//===- Passes.td - Preparing model IR for x86-64 -----------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86PLAN_PASSES_TD
#define DSV2_LOWERING_X86PLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def PackForX86Pass : Pass<"dsv2-pack-for-x86", "::mlir::func::FuncOp"> {
  let summary = "Put weights and activations into the formats of x86 kernels";
  let description = [{
    Weights of matrix products are stored in panels of 32 rows: quantized ones as
    they are, the router's in f32, all others in bf16, and so are the values of
    those that `dsv2.expanded_attention` reads. Activations that enter a product
    are packed to the format that goes with its weight: i8 rows for integer
    weights, bf16 rows for bf16.

    Before:

    ```mlir
    %h = dsv2.rms_norm %x, %g eps 1.0e-6 : tensor<?x64xf32>, tensor<64xbf16> -> tensor<?x64xf32>
    %y = dsv2.linear %h, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
    ```

    After:

    ```mlir
    %0 = arith.extf %g : tensor<64xbf16> to tensor<64xf32>
    %h = dsv2.rms_norm %x, %0 eps 1.0e-6 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
    %1 = arith.truncf %w : tensor<32x64xf32> to tensor<32x64xbf16>
    %2 = dsv2.pack_weight %1 : tensor<32x64xbf16> -> tensor<32x64xbf16, #dsv2.panels<32>>
    %3 = dsv2.pack_rows %h : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
    %y = dsv2.linear %3, %2 : tensor<?x64xbf16, #dsv2.rows<32>>, tensor<32x64xbf16, #dsv2.panels<32>> -> tensor<?x32xf32>
    ```

    Changes rounding: weights and activations are rounded to their formats.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def DequantizeWeightsPass : Pass<"dsv2-dequantize-weights"> {
  let summary = "Compute with the values that quantized weights stand for";
  let description = [{
    For targets whose kernels know no block formats.

    Before:

    ```mlir
    %y = dsv2.linear %x, %q : tensor<?x64xf32>, tensor<32x64xi4, #dsv2.block_int4<32>> -> tensor<?x32xf32>
    ```

    After:

    ```mlir
    %w = dsv2.dequantize %q : tensor<32x64xi4, #dsv2.block_int4<32>> -> tensor<32x64xf32>
    %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
    ```

    Does not change rounding.
  }];
}

def FoldRowPackingPass : Pass<"dsv2-fold-row-packing"> {
  let summary = "Let an operation write its result packed";
  let description = [{
    `pack_rows` of a result that nothing else reads becomes the format of that
    result, for operations whose kernels can write it.

    Before:

    ```mlir
    %a = dsv2.swiglu %g, %u : tensor<?x64xf32> -> tensor<?x64xf32>
    %p = dsv2.pack_rows %a : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
    ```

    After:

    ```mlir
    %p = dsv2.swiglu %g, %u : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
    ```

    Leaves the packing alone when the unpacked result has other uses. Does not
    change rounding.
  }];
  let statistics = [
    Statistic<"numFolded", "num-folded", "Number of packings folded">
  ];
}

def FormX86ProgramsPass
    : Pass<"dsv2-form-x86-programs", "::mlir::ModuleOp"> {
  let summary = "Turn functions into programs that dispatch x86 kernels";
  let description = [{
    Each function becomes a `plan.program`: its tensors are placed in buffers,
    and every operation that computes becomes dispatches of kernels, which are
    emitted into a module `@kernels`. An operation without a kernel for the
    instruction set gets one from its decomposition; with the instruction set
    `none`, which is how the reference target computes, all do.

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
      func.func private @add_8(memref<4096xf32>, memref<4096xf32>, memref<4096xf32>, memref<4xindex>, index)
    }
    ```

    Does not change rounding.
  }];
  let options = [
    Option<"instructionSet", "instruction-set", "std::string",
           /*default=*/"\"avx512-bf16-vnni\"",
           "amx, avx512-bf16-vnni, avx512, avx2 or none">,
    Option<"maxBatchTokens", "max-batch-tokens", "int64_t", /*default=*/"512",
           "Tokens of a step at most">,
    Option<"maxSequences", "max-sequences", "int64_t", /*default=*/"16",
           "Sequences of a step at most">,
    Option<"maxContext", "max-context", "int64_t", /*default=*/"4096",
           "Tokens of a sequence at most">
  ];
}

#endif // DSV2_LOWERING_X86PLAN_PASSES_TD
