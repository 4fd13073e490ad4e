//===- Passes.td - Reference lowering ----------------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_DSV2TOLINALG_PASSES_TD
#define DSV2_LOWERING_DSV2TOLINALG_PASSES_TD

include "mlir/Pass/PassBase.td"

def DSV2ToLinalgPass : Pass<"dsv2-to-linalg"> {
  let summary = "Decompose dsv2 operations to linalg, arith, math, tensor and scf";
  let description = [{
    The reference semantics of the dialect: every operation that computes is
    replaced by upstream operations on tensors, with all arithmetic and all sums
    in f32. Rounding happens only where a result is narrower than f32.

    Before:

    ```mlir
    %y = dsv2.swiglu %g, %u : tensor<?x1408xf32> -> tensor<?x1408xf32>
    ```

    After:

    ```mlir
    %d = tensor.dim %g, %c0 : tensor<?x1408xf32>
    %e = tensor.empty(%d) : tensor<?x1408xf32>
    %y = linalg.generic {...} ins(%g, %u : ...) outs(%e : tensor<?x1408xf32>) {...}
    ```

    `dsv2.batch_get`, `dsv2.cache_rows`, `dsv2.cache_update` and what concerns
    weights alone are left. An operation on a format that a tensor type does not
    spell out (int8 rows, blocks, panels) has no decomposition and is an error.

    Angles of rotary embedding are multiplied, and their sine and cosine taken,
    in f64, then rounded to f32: at position p an f32 angle would be off by up to
    p * 2^-24.
  }];
}

#endif // DSV2_LOWERING_DSV2TOLINALG_PASSES_TD
