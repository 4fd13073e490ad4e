//===- PlanDialect.td - The plan dialect -------------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_PLANDIALECT_TD
#define DSV2_LOWERING_PLAN_PLANDIALECT_TD

include "mlir/IR/DialectBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/EnumAttr.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let cppNamespace = "::mlir::dsv2::plan";
  let summary = "What runs, in which order, on which bytes";
  let description = [{
    Between tensors and machine code: programs of dispatches over buffers of one
    arena, weights, the cache and the arrays of a batch. It maps one to one onto
    the artifact (`runtime/schema/artifact.fbs`).
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::dsv2::DSV2Dialect"];
  let extraClassDeclaration = "void registerAttributes();";
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

class Plan_Enum<string name, string text, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, text, cases> {
  let cppNamespace = "::mlir::dsv2::plan";
  let genSpecializedAttr = 0;
}

def Plan_Dim : Plan_Enum<"Dim", "a size that varies from step to step", [
    I32EnumAttrCase<"One", 0, "one">,
    I32EnumAttrCase<"Tokens", 1, "tokens">,
    I32EnumAttrCase<"Sequences", 2, "sequences">,
    I32EnumAttrCase<"Context", 3, "context">,
    I32EnumAttrCase<"LogitRows", 4, "logit_rows">]>;

def Plan_Access : Plan_Enum<"Access", "what a kernel does to a binding", [
    I32EnumAttrCase<"In", 0, "in">,
    I32EnumAttrCase<"Out", 1, "out">,
    I32EnumAttrCase<"InOut", 2, "inout">]>;

def Plan_BindingKind : Plan_Enum<"BindingKind", "where a binding's bytes are", [
    I32EnumAttrCase<"Buffer", 0, "buffer">,
    I32EnumAttrCase<"Weight", 1, "weight">,
    I32EnumAttrCase<"Cache", 2, "cache">,
    I32EnumAttrCase<"Batch", 3, "batch">,
    I32EnumAttrCase<"Constant", 4, "constant">,
    I32EnumAttrCase<"Logits", 5, "logits">]>;

def Plan_WorkgroupsAttr : AttrDef<Plan_Dialect, "Workgroups"> {
  let mnemonic = "workgroups";
  let summary = "how many workgroups a dispatch has";
  let description = [{
    `count * ceil(dim / tile)`, times the int32 at the start of binding
    `indirect` when that is not -1.

    Constraints:
    - (C1) `count` and `tile` are positive.
    - (C2) `indirect` is a binding's number or -1.

    Example: `#plan.workgroups<96 x tokens by 4>`
  }];
  let parameters = (ins "int64_t":$count, "Dim":$dim, "int64_t":$tile,
                        "int64_t":$indirect);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Plan_BindingAttr : AttrDef<Plan_Dialect, "Binding"> {
  let mnemonic = "binding";
  let summary = "one argument of a kernel";
  let description = [{
    `buffer(@name + offset)`, `weight(@name + offset)`, `constant(@name)`,
    `cache(layer)`, `batch(field)` or `logits + offset`, and whether the kernel
    reads or writes it. Offsets are in bytes.

    Constraints:
    - (C1) A layer is at least 0.
    - (C2) An offset is at least 0.
    - (C3) Only buffers, the cache and the logits are written.

    Example: `#plan.binding<in buffer(@hidden + 512)>`
  }];
  let parameters = (ins "Access":$access, "BindingKind":$kind,
                        OptionalParameter<"FlatSymbolRefAttr">:$symbol,
                        "int64_t":$index, "int64_t":$offset);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // DSV2_LOWERING_PLAN_PLANDIALECT_TD
