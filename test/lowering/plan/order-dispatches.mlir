// RUN: dsv2-opt %s --pass-pipeline="builtin.module(plan.program(plan-order-dispatches))" --split-input-file | FileCheck %s

// @c depends on nothing, so it needs no barrier.

// CHECK-LABEL: plan.program @independent
// CHECK:         plan.dispatch @a
// CHECK-NEXT:    plan.dispatch @c
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @b
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @d
// CHECK-NEXT:  }
plan.program @independent {
  plan.buffer @x : 64
  plan.buffer @y : 64
  plan.dispatch @a "" <1 x one by 1> (out buffer(@x))
  plan.barrier
  plan.dispatch @b "" <1 x one by 1> (inout buffer(@x))
  plan.barrier
  plan.dispatch @c "" <1 x one by 1> (out buffer(@y))
  plan.barrier
  plan.dispatch @d "" <1 x one by 1> (in buffer(@x), in buffer(@y))
}

// A shorter program behind a longer one.

// CHECK-LABEL: plan.program @short
// CHECK:         plan.dispatch @a
// CHECK-NEXT:  }
plan.program @short {
  plan.buffer @x : 64
  plan.dispatch @a "" <1 x one by 1> (out buffer(@x))
}

// -----

// A write waits for the reads before it, and a write for a write.

// CHECK-LABEL: plan.program @overwritten
// CHECK:         plan.dispatch @a
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @b
// CHECK-NEXT:    plan.dispatch @c
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @d
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @e
plan.program @overwritten {
  plan.buffer @x : 64
  plan.dispatch @a "" <1 x one by 1> (out buffer(@x))
  plan.dispatch @b "" <1 x one by 1> (in buffer(@x))
  plan.dispatch @c "" <1 x one by 1> (in buffer(@x))
  plan.dispatch @d "" <1 x one by 1> (out buffer(@x))
  plan.dispatch @e "" <1 x one by 1> (out buffer(@x))
}

// -----

// So does the cache of a layer, but not that of another.

// CHECK-LABEL: plan.program @cache
// CHECK:         plan.dispatch @a
// CHECK-NEXT:    plan.dispatch @c
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @b
plan.program @cache {
  plan.buffer @x : 64
  plan.dispatch @a "" <1 x one by 1> (out cache(0))
  plan.dispatch @b "" <1 x one by 1> (in cache(0), out buffer(@x))
  plan.dispatch @c "" <1 x one by 1> (out cache(1))
}

// -----

// Alternatives for numbers of tokens stay side by side, and wait for nothing of
// each other.

// CHECK-LABEL: plan.program @alternatives
// CHECK:         plan.dispatch @a
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @few "" <1 x one by 1> to 8 tokens
// CHECK-NEXT:    plan.dispatch @many "" <1 x one by 1> from 9 tokens
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @d
plan.program @alternatives {
  plan.buffer @x : 64
  plan.dispatch @a "" <1 x one by 1> (out buffer(@x))
  plan.dispatch @few "" <1 x one by 1> to 8 tokens (inout buffer(@x))
  plan.dispatch @many "" <1 x one by 1> from 9 tokens (inout buffer(@x))
  plan.dispatch @d "" <1 x one by 1> (in buffer(@x))
}

// -----

// The product with @w can run anywhere before @e: it goes beside the small @b,
// which comes first, and not beside the product with @v.

dsv2.weight @v : tensor<1024x1024xbf16, #dsv2.panels<32>> from "v"
dsv2.weight @w : tensor<1024x1024xbf16, #dsv2.panels<32>> from "w"

// CHECK-LABEL: plan.program @large
// CHECK:         plan.dispatch @a
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @b
// CHECK-NEXT:    plan.dispatch @d
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @c
// CHECK-NEXT:    plan.barrier
// CHECK-NEXT:    plan.dispatch @e
plan.program @large {
  plan.buffer @x : 64
  plan.buffer @y : 64
  plan.dispatch @a "" <1 x one by 1> (in weight(@v), out buffer(@x))
  plan.dispatch @d "" <1 x one by 1> (in weight(@w), out buffer(@y))
  plan.dispatch @b "" <1 x one by 1> (inout buffer(@x))
  plan.dispatch @c "" <1 x one by 1> (in weight(@v), inout buffer(@x))
  plan.dispatch @e "" <1 x one by 1> (in buffer(@x), in buffer(@y))
}
