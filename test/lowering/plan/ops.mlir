// RUN: dsv2-opt %s --verify-roundtrip | FileCheck %s
// RUN: dsv2-opt %s --mlir-print-op-generic | dsv2-opt | FileCheck %s

// CHECK: plan.rope_table @rope by <theta = 1.000000e+04> dim 64 positions 4096
plan.rope_table @rope by <theta = 1.000000e+04> dim 64 positions 4096

// CHECK: plan.program @decode max_query_tokens 8 attention "latent" {
plan.program @decode max_query_tokens 8 attention "latent" {
  // CHECK-NEXT: plan.buffer @hidden : 4096
  plan.buffer @hidden : 4096
  // CHECK-NEXT: plan.buffer @layers.0.q : 0 at 8192
  plan.buffer @layers.0.q : 0 at 8192
  // CHECK-NEXT: plan.dispatch @embed "embed" <1 x tokens by 1> (in batch(tokens), in weight(@embed + 64), out buffer(@hidden))
  plan.dispatch @embed "embed" <1 x tokens by 1> (in batch(tokens), in weight(@embed + 64), out buffer(@hidden))
  // CHECK-NEXT: plan.barrier
  plan.barrier
  // CHECK-NEXT: plan.dispatch @rope "layers.0.q" <12 x sequences by 4> (inout buffer(@layers.0.q + 512), in constant(@rope), in batch(positions))
  plan.dispatch @rope "layers.0.q" <12 x sequences by 4> (inout buffer(@layers.0.q + 512), in constant(@rope), in batch(positions))
  // CHECK-NEXT: plan.dispatch @experts "layers.0" <96 x one by 1, indirect = 1> (inout cache(3), in buffer(@hidden))
  plan.dispatch @experts "layers.0" <96 x one by 1, indirect = 1> (inout cache(3), in buffer(@hidden))
  // CHECK-NEXT: plan.dispatch @head "lm_head" <7 x logit_rows by 32> (in batch(logit_rows), out logits)
  plan.dispatch @head "lm_head" <7 x logit_rows by 32> (in batch(logit_rows), out logits)
  // CHECK-NEXT: plan.dispatch @few "" <1 x tokens by 1> to 8 tokens ()
  plan.dispatch @few "" <1 x tokens by 1> to 8 tokens ()
  // CHECK-NEXT: plan.dispatch @more "" <1 x tokens by 1> from 9 tokens to 16 tokens ()
  plan.dispatch @more "" <1 x tokens by 1> from 9 tokens to 16 tokens ()
  // CHECK-NEXT: plan.dispatch @most "" <1 x tokens by 1> from 17 tokens ()
  plan.dispatch @most "" <1 x tokens by 1> from 17 tokens ()
  // CHECK-NEXT: plan.dispatch @nothing "" <1 x context by 1> ()
  plan.dispatch @nothing "" <1 x context by 1> ()
// CHECK-NEXT: }
}

// A program for batches of any size, with a name of its own for each of the
// batch's arrays.

// CHECK: plan.program @prefill {
plan.program @prefill {
  // CHECK-NEXT: plan.dispatch @all "" <1 x one by 1> (in batch(tokens), in batch(positions), in batch(token_sequence), in batch(cache_rows), in batch(query_offsets), in batch(context_lengths), in batch(context_offsets), in batch(page_table), in batch(context_rows), in batch(context_sequence), in batch(context_position), in batch(logit_rows))
  plan.dispatch @all "" <1 x one by 1> (in batch(tokens), in batch(positions), in batch(token_sequence), in batch(cache_rows), in batch(query_offsets), in batch(context_lengths), in batch(context_offsets), in batch(page_table), in batch(context_rows), in batch(context_sequence), in batch(context_position), in batch(logit_rows))
}

// Chunks of the context, for which dispatches take turns.

// CHECK: plan.program @chunks attention "expanded" chunks by 256 of 384 rows {
plan.program @chunks attention "expanded" chunks by 256 of 384 rows {
  // CHECK-NEXT: plan.dispatch chunked @gather "layers.0" <1 x context by 8> (in batch(context_offsets))
  plan.dispatch chunked @gather "layers.0" <1 x context by 8> (in batch(context_offsets))
  // CHECK-NEXT: plan.dispatch @head "lm_head"
  plan.dispatch @head "lm_head" <7 x logit_rows by 32> (out logits)
}

// CHECK: plan.program @empty {
// CHECK-NEXT: }
plan.program @empty {}

// CHECK: module attributes {
// CHECK-SAME: binding = #plan.binding<in weight(@w + 8)>
// CHECK-SAME: logits = #plan.binding<out logits>
// CHECK-SAME: workgroups = #plan.workgroups<3 x tokens by 2, indirect = 0>
module attributes {test.binding = #plan.binding<in weight(@w + 8)>,
                   test.logits = #plan.binding<out logits>,
                   test.workgroups = #plan.workgroups<3 x tokens by 2, indirect = 0>} {}
