//===- DSV2Attributes.td - Enums, RoPE and number formats --*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2ATTRIBUTES_TD
#define DSV2_DIALECT_DSV2ATTRIBUTES_TD

include "dialect/DSV2Dialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/EnumAttr.td"

class DSV2_Attr<string name, string mnemonicText, list<Trait> traits = []>
    : AttrDef<DSV2_Dialect, name, traits> {
  let mnemonic = mnemonicText;
}

/// A double; APFloat is what attribute storage can hash.
def DSV2_Double : AttrParameter<"::llvm::APFloat", "a double"> {
  let comparator = "$_lhs.bitwiseIsEqual($_rhs)";
  let parser = "parseDouble($_parser)";
  let printer = "printDouble($_printer, $_self)";
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

def DSV2_Scoring : I32EnumAttr<"Scoring", "how router logits become scores", [
    I32EnumAttrCase<"Softmax", 0, "softmax">,
    I32EnumAttrCase<"Sigmoid", 1, "sigmoid">]> {
  let cppNamespace = "::mlir::dsv2";
  let genSpecializedAttr = 0;
}
def DSV2_ScoringAttr : EnumAttr<DSV2_Dialect, DSV2_Scoring, "scoring">;

def DSV2_Selection : I32EnumAttr<"Selection", "how experts are selected", [
    I32EnumAttrCase<"Greedy", 0, "greedy">,
    I32EnumAttrCase<"GroupMax", 1, "group_max">,
    I32EnumAttrCase<"GroupTop2", 2, "group_top2">]> {
  let cppNamespace = "::mlir::dsv2";
  let genSpecializedAttr = 0;
}
def DSV2_SelectionAttr : EnumAttr<DSV2_Dialect, DSV2_Selection, "selection">;

//===----------------------------------------------------------------------===//
// Batch
//===----------------------------------------------------------------------===//

def DSV2_BatchField : I32EnumAttr<"BatchField", "an array of a ragged batch", [
    I32EnumAttrCase<"Tokens", 0, "tokens">,
    I32EnumAttrCase<"Positions", 1, "positions">,
    I32EnumAttrCase<"TokenSequence", 2, "token_sequence">,
    I32EnumAttrCase<"CacheRows", 3, "cache_rows">,
    I32EnumAttrCase<"QueryOffsets", 4, "query_offsets">,
    I32EnumAttrCase<"ContextLengths", 5, "context_lengths">,
    I32EnumAttrCase<"ContextOffsets", 6, "context_offsets">,
    I32EnumAttrCase<"PageTable", 7, "page_table">,
    I32EnumAttrCase<"ContextRows", 8, "context_rows">,
    I32EnumAttrCase<"ContextSequence", 9, "context_sequence">,
    I32EnumAttrCase<"ContextPosition", 10, "context_position">,
    I32EnumAttrCase<"LogitRows", 11, "logit_rows">]> {
  let cppNamespace = "::mlir::dsv2";
  let genSpecializedAttr = 0;
}
def DSV2_BatchFieldAttr : EnumAttr<DSV2_Dialect, DSV2_BatchField, "batch_field">;

//===----------------------------------------------------------------------===//
// RoPE
//===----------------------------------------------------------------------===//

def DSV2_YarnAttr : DSV2_Attr<"Yarn", "yarn"> {
  let summary = "YaRN scaling of rotary frequencies";
  let description = [{
    Frequencies below `beta_slow` rotations over `original` positions are divided
    by `factor`, those above `beta_fast` are kept, with a linear ramp between
    (whose ends are whole dimensions unless `truncate` is false).
    `mscale / mscale_all_dim`, through `m(mu) = 0.1 * mu * ln(factor) + 1`, is the
    magnitude of the rotation; the softmax scale of the model contains
    `m(mscale_all_dim)^2` and is stated on the attention operations. Source:
    DeepSeek-V2 paper, section 3.1.4.

    Example: `#dsv2.yarn<factor = 40.0, original = 4096, beta_fast = 32.0,
    beta_slow = 1.0, mscale = 0.707, mscale_all_dim = 0.707>`
  }];
  let parameters = (ins DSV2_Double:$factor, "int64_t":$original,
                        DSV2_Double:$beta_fast, DSV2_Double:$beta_slow,
                        DSV2_Double:$mscale, DSV2_Double:$mscale_all_dim,
                        DefaultValuedParameter<"bool", "true">:$truncate);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def DSV2_RopeAttr : DSV2_Attr<"Rope", "rope"> {
  let summary = "Rotary position embedding";
  let description = [{
    Pair i of a vector of d elements, (x[2i], x[2i+1]), turns by
    `position * theta^(-2i/d)` (adjacent pairs), after YaRN when it is present.

    Example: `#dsv2.rope<theta = 1.0e4>`
  }];
  let parameters = (ins DSV2_Double:$theta, OptionalParameter<"YarnAttr">:$yarn);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The angle of each pair of a vector of `dim` elements per position.
    SmallVector<double> getInverseFrequencies(int64_t dim) const;
    /// The factor of both sine and cosine.
    double getMagnitude() const;
  }];
}

//===----------------------------------------------------------------------===//
// Number formats: encodings of tensor types
//===----------------------------------------------------------------------===//

def DSV2_BlockInt8Attr : DSV2_Attr<"BlockInt8", "block_int8"> {
  let summary = "int8 in groups along the last dimension, one f16 scale a group";
  let description = [{
    `value = quant * scale`, symmetric. The element type is i8.

    Example: `tensor<3072x2048xi8, #dsv2.block_int8<32>>`
  }];
  let parameters = (ins "int64_t":$group);
  let assemblyFormat = "`<` $group `>`";
  let genVerifyDecl = 1;
}

def DSV2_BlockInt4Attr : DSV2_Attr<"BlockInt4", "block_int4"> {
  let summary = "int4 in groups along the last dimension, one f16 scale a group";
  let description = [{
    `value = quant * scale` with quants from -8 to 7. The element type is i4.

    Example: `tensor<3072x2048xi4, #dsv2.block_int4<32>>`
  }];
  let parameters = (ins "int64_t":$group);
  let assemblyFormat = "`<` $group `>`";
  let genVerifyDecl = 1;
}

def DSV2_BlockFp8Attr : DSV2_Attr<"BlockFp8", "block_fp8"> {
  let summary = "e4m3 in two-dimensional blocks, one f32 scale a block";
  let description = [{
    The format of DeepSeek-V3 checkpoints: `value = quant * scale_inv` of its
    `rows` x `columns` block. The element type is f8E4M3FN.

    Example: `tensor<3072x2048xf8E4M3FN, #dsv2.block_fp8<128x128>>`
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$columns);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def DSV2_PanelsAttr : DSV2_Attr<"Panels", "panels"> {
  let summary = "a weight packed in panels of output rows";
  let description = [{
    The matrix (last two dimensions) is stored in panels of `rows` output rows,
    32 for x86, the last dimension padded to whole groups; the byte layout of
    each format is documented in `lowering/X86/Formats.h`. GPUs have panels of
    one row (`lowering/NVPTX/Formats.h`). `format` is the number format
    before packing, absent for f32 and bf16.

    With `interleave`, so many rows of the first half of a matrix and as many of
    its second half lie in turn: a kernel that computes a few rows then has both
    gate and up.

    Example: `tensor<3072x2048xi4, #dsv2.panels<32, #dsv2.block_int4<32>>>`,
    `tensor<3072x2048xbf16, #dsv2.panels<1 interleave 8>>`
  }];
  let parameters = (ins "int64_t":$rows, OptionalParameter<"Attribute">:$format,
                        DefaultValuedParameter<"int64_t", "0">:$interleave);
  let builders = [AttrBuilder<(ins "int64_t":$rows, "Attribute":$format), [{
    return $_get($_ctxt, rows, format, /*interleave=*/0);
  }]>];
  let assemblyFormat = "`<` $rows (`interleave` $interleave^)? (`,` $format^)? `>`";
  let genVerifyDecl = 1;
}

def DSV2_RowsAttr : DSV2_Attr<"Rows", "rows"> {
  let summary = "activations in the input format of a matrix product";
  let description = [{
    Each row is padded with zeros to a multiple of `group` elements: with a group
    of 1 it lies as it is. bf16 rows hold rounded values; i8 rows hold symmetric
    quants, then one f32 scale and one i32 sum of quants for each group
    (`lowering/X86/Formats.h`). e4m3 rows lie together, and behind all of them
    their f32 scales, one for each group (`lowering/NVPTX/RowEmitter.h`).

    Example: `tensor<?x2048xi8, #dsv2.rows<32>>`
  }];
  let parameters = (ins "int64_t":$group);
  let assemblyFormat = "`<` $group `>`";
  let genVerifyDecl = 1;
}

#endif // DSV2_DIALECT_DSV2ATTRIBUTES_TD
