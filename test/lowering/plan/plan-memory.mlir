// RUN: dsv2-opt %s --pass-pipeline="builtin.module(plan.program(plan-memory))" | FileCheck %s
// RUN: dsv2-opt %s --pass-pipeline="builtin.module(plan.program(plan-memory,plan-memory))" | FileCheck %s

// @a is dead when @c is written: they share their bytes. @b lives next to both.

// CHECK-LABEL: plan.program @disjoint
// CHECK-NEXT:    plan.buffer @a : 128 at 0
// CHECK-NEXT:    plan.buffer @b : 128 at 128
// CHECK-NEXT:    plan.buffer @c : 128 at 0
plan.program @disjoint {
  plan.buffer @a : 128
  plan.buffer @b : 128
  plan.buffer @c : 128
  plan.dispatch @k "" <1 x one by 1> (out buffer(@a))
  plan.barrier
  plan.dispatch @k "" <1 x one by 1> (in buffer(@a), out buffer(@b))
  plan.barrier
  plan.dispatch @k "" <1 x one by 1> (in buffer(@b), out buffer(@c))
}

// Dispatches of one interval run at the same time, so nothing that one of them
// binds may lie on what another does, although no dispatch binds both.

// CHECK-LABEL: plan.program @one_interval
// CHECK-NEXT:    plan.buffer @a : 64 at 0
// CHECK-NEXT:    plan.buffer @b : 64 at 64
plan.program @one_interval {
  plan.buffer @a : 64
  plan.buffer @b : 64
  plan.dispatch @k "" <1 x one by 1> (out buffer(@a))
  plan.dispatch @k "" <1 x one by 1> (out buffer(@b))
}

// A buffer lives between its dispatches too.

// CHECK-LABEL: plan.program @long_life
// CHECK-NEXT:    plan.buffer @kept : 64 at 0
// CHECK-NEXT:    plan.buffer @x : 64 at 64
// CHECK-NEXT:    plan.buffer @y : 64 at 64
plan.program @long_life {
  plan.buffer @kept : 64
  plan.buffer @x : 64
  plan.buffer @y : 64
  plan.dispatch @k "" <1 x one by 1> (out buffer(@kept))
  plan.barrier
  plan.dispatch @k "" <1 x one by 1> (inout buffer(@x))
  plan.barrier
  plan.dispatch @k "" <1 x one by 1> (inout buffer(@y))
  plan.barrier
  plan.dispatch @k "" <1 x one by 1> (in buffer(@kept))
}

// The large buffers are placed first, wherever they are declared; @small fills
// the gap that @large2 leaves, and offsets keep 64 bytes of alignment.

// CHECK-LABEL: plan.program @gaps
// CHECK-NEXT:    plan.buffer @small : 7 at 192
// CHECK-NEXT:    plan.buffer @last : 65 at 256
// CHECK-NEXT:    plan.buffer @large1 : 256 at 0
// CHECK-NEXT:    plan.buffer @large2 : 190 at 0
// CHECK-NEXT:    plan.dispatch
plan.program @gaps {
  plan.buffer @small : 7
  plan.buffer @last : 65
  plan.buffer @large1 : 256
  plan.buffer @large2 : 190
  plan.dispatch @k "" <1 x one by 1> (inout buffer(@large1), out buffer(@last))
  plan.barrier
  plan.dispatch @k "" <1 x one by 1> (inout buffer(@large2), in buffer(@last), out buffer(@small))
}

// Chunked dispatches take turns: what the second writes for one chunk must not
// lie on what the first has written for all, nor on what the third keeps.

// CHECK-LABEL: plan.program @turns
// CHECK-NEXT:    plan.buffer @before : 128 at 0
// CHECK-NEXT:    plan.buffer @x : 64 at 128
// CHECK-NEXT:    plan.buffer @y : 64 at 192
// CHECK-NEXT:    plan.buffer @kept : 64 at 256
// CHECK-NEXT:    plan.buffer @after : 64 at 0
plan.program @turns chunks by 128 of 256 rows {
  plan.buffer @before : 128
  plan.buffer @x : 64
  plan.buffer @y : 64
  plan.buffer @kept : 64
  plan.buffer @after : 64
  plan.dispatch @k "" <1 x one by 1> (out buffer(@before))
  plan.barrier
  plan.dispatch chunked @k "" <1 x context by 1> (in buffer(@before), out buffer(@x))
  plan.barrier
  plan.dispatch chunked @k "" <1 x context by 1> (in buffer(@x), out buffer(@y))
  plan.barrier
  plan.dispatch chunked @k "" <1 x context by 1> (in buffer(@y), inout buffer(@kept))
  plan.barrier
  plan.dispatch @k "" <1 x one by 1> (in buffer(@kept), out buffer(@after))
}

// A buffer that no dispatch binds, and an offset from before.

// CHECK-LABEL: plan.program @unused
// CHECK-NEXT:    plan.buffer @x : 128 at 0
// CHECK-NEXT:    plan.dispatch
plan.program @unused {
  plan.buffer @nobody : 4096
  plan.buffer @x : 128 at 512
  plan.dispatch @k "" <1 x one by 1> (out buffer(@x), in weight(@nobody))
}

// CHECK-LABEL: plan.program @empty {
// CHECK-NEXT:  }
plan.program @empty {
}
