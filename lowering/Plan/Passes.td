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
    buffers are placed first, each at the lowest offset that is free. Chunked
    dispatches take turns, so their buffers live through all of them.

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

def OrderDispatchesPass
    : Pass<"plan-order-dispatches", "::mlir::dsv2::plan::ProgramOp"> {
  let summary = "Order dispatches for few barriers and even intervals";
  let description = [{
    A dispatch runs in the interval after those it depends on, so that there are
    as few barriers as the longest chain has. One that can wait moves on: a large
    product to an interval without another one, where it keeps the threads busy
    that a small dispatch leaves idle, and a small dispatch to one with a large
    product. Small ones come first in their interval.

    Before:

    ```mlir
    plan.program @decode {
      plan.buffer @x : 64
      plan.buffer @y : 64
      plan.dispatch @a "a" <1 x one by 1> (out buffer(@x))
      plan.barrier
      plan.dispatch @b "b" <1 x one by 1> (inout buffer(@x))
      plan.barrier
      plan.dispatch @c "c" <1 x one by 1> (out buffer(@y))
      plan.barrier
      plan.dispatch @d "d" <1 x one by 1> (in buffer(@x), in buffer(@y))
    }
    ```

    After:

    ```mlir
    plan.program @decode {
      plan.buffer @x : 64
      plan.buffer @y : 64
      plan.dispatch @a "a" <1 x one by 1> (out buffer(@x))
      plan.dispatch @c "c" <1 x one by 1> (out buffer(@y))
      plan.barrier
      plan.dispatch @b "b" <1 x one by 1> (inout buffer(@x))
      plan.barrier
      plan.dispatch @d "d" <1 x one by 1> (in buffer(@x), in buffer(@y))
    }
    ```

    Alternatives for numbers of tokens stay together. Leaves programs with chunks
    of the context alone, whose dispatches take turns. Does not change rounding.
  }];
  let statistics = [
    Statistic<"numBarriers", "num-barriers", "Number of barriers left">
  ];
}

#endif // DSV2_LOWERING_PLAN_PASSES_TD
