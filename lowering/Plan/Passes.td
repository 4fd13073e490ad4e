//===- Passes.td - Passes on plans -------------------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_PASSES_TD
#define DSV2_LOWERING_PLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlanMemoryPass : Pass<"plan-memory", "::mlir::dsv2::plan::ProgramOp"> {
  let summary = "Give every buffer of a program its place in the arena";
  let description = [{
    Buffers that are alive at the same time do not overlap. A buffer lives from
    the first to the last dispatch that binds it, in whole intervals between
    barriers, since dispatches of one interval run in any order. The largest
    buffers are placed first, each at the lowest offset that is free.

    Before:

    ```mlir
    plan.program @decode {
      plan.buffer @a : 4096
      plan.dispatch @k "a" <1 x one by 1> (out buffer(@a))
    }
    ```

    After:

    ```mlir
    plan.program @decode {
      plan.buffer @a : 4096 at 0
      plan.dispatch @k "a" <1 x one by 1> (out buffer(@a))
    }
    ```

    A buffer that nothing binds is removed. Does not change rounding.
  }];
  let statistics = [
    Statistic<"arenaBytes", "arena-bytes", "Bytes of the arena">,
    Statistic<"bufferBytes", "buffer-bytes", "Bytes of all buffers">
  ];
}

#endif // DSV2_LOWERING_PLAN_PASSES_TD
