// RUN: dsv2-opt %s --split-input-file --verify-diagnostics

plan.program @dispatch_c1 {
  // expected-error @below {{'plan.dispatch' op expects a buffer named @missing in its program}}
  plan.dispatch @k "" <1 x one by 1> (in buffer(@missing))
}

// -----

plan.program @other {
  plan.buffer @x : 64
}
plan.program @dispatch_c1_other_program {
  // expected-error @below {{'plan.dispatch' op expects a buffer named @x in its program}}
  plan.dispatch @k "" <1 x one by 1> (in buffer(@x))
}

// -----

plan.program @dispatch_c1_no_buffer {
  plan.rope_table @x by <theta = 1.000000e+04> dim 64 positions 8
  // expected-error @below {{'plan.dispatch' op expects a buffer named @x in its program}}
  plan.dispatch @k "" <1 x one by 1> (in buffer(@x))
}

// -----

plan.program @dispatch_c2 {
  // expected-error @below {{'plan.dispatch' op expects the indirect count to be one of its 1 bindings, but found 1}}
  plan.dispatch @k "" <1 x one by 1, indirect = 1> (in batch(tokens))
}

// -----

plan.program @workgroups_c1_count {
  // expected-error @below {{expects a positive count and tile, but found 0 and 1}}
  plan.dispatch @k "" <0 x one by 1> ()
}

// -----

plan.program @workgroups_c1_tile {
  // expected-error @below {{expects a positive count and tile, but found 2 and -1}}
  plan.dispatch @k "" <2 x one by -1> ()
}

// -----

plan.program @workgroups_c2 {
  // expected-error @below {{expects the number of a binding, but found -2}}
  plan.dispatch @k "" <1 x one by 1, indirect = -2> ()
}

// -----

plan.program @workgroups_dim {
  // expected-error @below {{unknown keyword 'heads'}}
  plan.dispatch @k "" <1 x heads by 1> ()
}

// -----

plan.program @binding_c1 {
  // expected-error @below {{expects a layer of at least 0, but found -1}}
  plan.dispatch @k "" <1 x one by 1> (in cache(-1))
}

// -----

plan.program @binding_c2 {
  // expected-error @below {{expects an offset of at least 0, but found -4}}
  plan.dispatch @k "" <1 x one by 1> (in weight(@w + -4))
}

// -----

plan.program @binding_c3_weight {
  // expected-error @below {{expects a weight to be only read, but found 'out'}}
  plan.dispatch @k "" <1 x one by 1> (out weight(@w))
}

// -----

plan.program @binding_c3_batch {
  // expected-error @below {{expects a batch to be only read, but found 'inout'}}
  plan.dispatch @k "" <1 x one by 1> (inout batch(tokens))
}

// -----

plan.program @binding_access {
  // expected-error @below {{unknown keyword 'write'}}
  plan.dispatch @k "" <1 x one by 1> (write logits)
}

// -----

plan.program @binding_kind {
  // expected-error @below {{unknown keyword 'register'}}
  plan.dispatch @k "" <1 x one by 1> (in register(@x))
}

// -----

plan.program @binding_field {
  // expected-error @below {{unknown keyword 'words'}}
  plan.dispatch @k "" <1 x one by 1> (in batch(words))
}

// -----

plan.program @binding_offset {
  // expected-error @below {{expected ')'}}
  plan.dispatch @k "" <1 x one by 1> (in cache(0 + 64))
}

// -----

// expected-error @below {{'plan.buffer' op expects parent op 'plan.program'}}
plan.buffer @outside : 64

// -----

// expected-error @below {{'plan.barrier' op expects parent op 'plan.program'}}
plan.barrier

// -----

// expected-error @below {{'plan.dispatch' op expects parent op 'plan.program'}}
plan.dispatch @outside "" <1 x one by 1> ()

// -----

// expected-error @below {{attribute 'max_query_tokens' failed to satisfy constraint: 64-bit signless integer attribute whose value is positive}}
plan.program @program_queries max_query_tokens 0 {
}

// -----

plan.program @buffer_bytes {
  // expected-error @below {{attribute 'bytes' failed to satisfy constraint: 64-bit signless integer attribute whose value is non-negative}}
  plan.buffer @x : -1
}

// -----

plan.program @buffer_offset {
  // expected-error @below {{attribute 'offset' failed to satisfy constraint: 64-bit signless integer attribute whose value is non-negative}}
  plan.buffer @x : 64 at -64
}

// -----

plan.program @buffer_name {
  // expected-note @below {{see existing symbol definition here}}
  plan.buffer @x : 64
  // expected-error @below {{redefinition of symbol named 'x'}}
  plan.buffer @x : 64
}

// -----

// expected-error @below {{attribute 'positions' failed to satisfy constraint: 64-bit signless integer attribute whose value is positive}}
plan.rope_table @rope by <theta = 1.000000e+04> dim 64 positions 0

// -----

// expected-error @below {{attribute 'dim' failed to satisfy constraint: 64-bit signless integer attribute whose value is positive}}
plan.rope_table @rope by <theta = 1.000000e+04> dim 0 positions 8

// -----

plan.program @dispatch_c3 {
  // expected-error@+1 {{'plan.dispatch' op expects a range of tokens from 1 on that is not empty}}
  plan.dispatch @k "a" <1 x tokens by 1> from 9 tokens to 8 tokens ()
}

// -----

plan.program @dispatch_c4 {
  // expected-error @below {{'plan.dispatch' op expects its program to have chunks of the context}}
  plan.dispatch chunked @k "a" <1 x context by 1> ()
}

// -----

// expected-error @below {{'plan.program' op expects a step of chunks and at least as many rows}}
plan.program @program_c1 chunks by 256 {
}

// -----

// expected-error @below {{'plan.program' op expects a step of chunks and at least as many rows}}
plan.program @program_c1_rows chunks by 256 of 128 rows {
}
