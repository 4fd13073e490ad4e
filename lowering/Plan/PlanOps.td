//===- PlanOps.td - Programs, buffers and dispatches -------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_PLANOPS_TD
#define DSV2_LOWERING_PLAN_PLANOPS_TD

include "dialect/DSV2Attributes.td"
include "lowering/Plan/PlanDialect.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"

class Plan_Op<string mnemonic, list<Trait> traits = []>
    : Op<Plan_Dialect, mnemonic, traits>;

def Plan_Positive : ConfinedAttr<I64Attr, [IntPositive]>;
def Plan_NonNegative : ConfinedAttr<I64Attr, [IntNonNegative]>;

def Plan_ProgramOp : Plan_Op<"program", [Symbol, SymbolTable,
    IsolatedFromAbove, NoTerminator, SingleBlock]> {
  let summary = "One phase of the model";
  let description = [{
    Its dispatches, in order. The engine takes the first program whose
    `max_query_tokens` covers the longest query of the batch; absent, it covers
    any. `attention` names the form the phase uses. Dispatches that are `chunked`
    run for each `step` rows of the context, on up to `rows` rows: consecutive
    ones in turn, for one chunk after the other.

    Constraints:
    - (C1) A step and rows of chunks come together; rows are at least a step.

    Example:

    ```mlir
    plan.program @decode max_query_tokens 8 attention "latent" {
      plan.buffer @h : 4096
      plan.dispatch @norm "layers.0" <1 x tokens by 1> (out buffer(@h))
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       OptionalAttr<Plan_Positive>:$max_query_tokens,
                       OptionalAttr<StrAttr>:$attention,
                       OptionalAttr<Plan_Positive>:$chunk_step,
                       OptionalAttr<Plan_Positive>:$chunk_rows);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name (`max_query_tokens` $max_query_tokens^)? (`attention` $attention^)?
    (`chunks` `by` $chunk_step^)? (`of` $chunk_rows^ `rows`)?
    attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
}

def Plan_BufferOp : Plan_Op<"buffer", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "Bytes that live during a part of a step";
  let description = [{
    `offset` is its place in the arena, once `plan-memory` has run.

    Example: `plan.buffer @h : 4096 at 0`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Plan_NonNegative:$bytes,
                       OptionalAttr<Plan_NonNegative>:$offset);
  let assemblyFormat = "$sym_name `:` $bytes (`at` $offset^)? attr-dict";
}

def Plan_DispatchOp : Plan_Op<"dispatch", [HasParent<"ProgramOp">]> {
  let summary = "Run a kernel over its workgroups";
  let description = [{
    With `from` or `to` it runs only in steps of at least or at most so many new
    tokens: variants of one computation follow each other with ranges that do
    not overlap, and a step runs one of them.

    Constraints:
    - (C1) Every buffer is one of the program's.
    - (C2) The count that multiplies the workgroups is one of the bindings.
    - (C3) A range of tokens is not empty and starts at 1 or later.
    - (C4) One that is `chunked` is in a program with chunks.

    Example:

    ```mlir
    plan.program @decode {
      plan.buffer @x : 4096
      plan.dispatch @norm "layers.0.input_norm" <1 x tokens by 1> (in weight(@w), inout buffer(@x))
      plan.dispatch @few "layers.0" <1 x tokens by 1> to 8 tokens (inout buffer(@x))
      plan.dispatch @many "layers.0" <1 x tokens by 1> from 9 tokens (inout buffer(@x))
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, StrAttr:$label,
                       Plan_WorkgroupsAttr:$workgroups,
                       TypedArrayAttrBase<Plan_BindingAttr, "bindings">:$bindings,
                       OptionalAttr<I64Attr>:$min_tokens,
                       OptionalAttr<I64Attr>:$max_tokens,
                       UnitAttr:$chunked);
  let assemblyFormat = [{
    (`chunked` $chunked^)? $kernel $label $workgroups
    (`from` $min_tokens^ `tokens`)? (`to` $max_tokens^ `tokens`)?
    custom<Bindings>($bindings) attr-dict
  }];
  let extraClassDeclaration = [{
    auto getBindingRange() { return getBindings().getAsRange<BindingAttr>(); }
  }];
  let hasVerifier = 1;
}

def Plan_BarrierOp : Plan_Op<"barrier", [HasParent<"ProgramOp">]> {
  let summary = "Every earlier dispatch is complete before the next starts";
  let description = [{
    Example: `plan.barrier`
  }];
  let assemblyFormat = "attr-dict";
}

def Plan_RopeTableOp : Plan_Op<"rope_table", [Symbol]> {
  let summary = "A constant: cosines and sines of every position";
  let description = [{
    f32 [positions][dim / 2][2], magnitude included.

    Example: `plan.rope_table @rope by <theta = 1.0e4> dim 64 positions 4096`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DSV2_RopeAttr:$rope,
                       Plan_Positive:$dim, Plan_Positive:$positions);
  let assemblyFormat = [{
    $sym_name `by` $rope `dim` $dim `positions` $positions attr-dict
  }];
}

#endif // DSV2_LOWERING_PLAN_PLANOPS_TD
