//===- DSV2WeightOps.td - Weights and their formats --------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2WEIGHTOPS_TD
#define DSV2_DIALECT_DSV2WEIGHTOPS_TD

include "dialect/DSV2Base.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"

def DSV2_WeightOp : DSV2_Op<"weight", [Symbol, IsolatedFromAbove,
    NoRegionArguments, SingleBlock]> {
  let summary = "A weight: a checkpoint tensor, or computed from others";
  let description = [{
    Names a tensor of the checkpoint, or holds a region that computes its value
    from other weights and ends in `dsv2.yield`. A `*` in the checkpoint name
    stands for the index of the first dimension: one tensor an expert. The
    compiler evaluates regions tensor by tensor while it writes the artifact.

    Constraints:
    - (C1) Either a source or a body, not both.
    - (C2) The yielded type is the weight's type.
    - (C3) A source with a `*` has a type of rank 2 or more.

    Example:

    ```mlir
    dsv2.weight @kv_b : tensor<4096x512xbf16> from "model.layers.0.self_attn.kv_b_proj.weight"
    dsv2.weight @up : tensor<64x1408x2048xbf16> from "model.layers.1.mlp.experts.*.up_proj.weight"
    dsv2.weight @uk : tensor<2048x512xbf16> {
      %0 = dsv2.get_weight @kv_b : tensor<4096x512xbf16>
      %1 = tensor.extract_slice %0[0, 0] [2048, 512] [1, 1] : tensor<4096x512xbf16> to tensor<2048x512xbf16>
      dsv2.yield %1 : tensor<2048x512xbf16>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type,
                       OptionalAttr<StrAttr>:$source);
  let regions = (region MaxSizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `:` $type (`from` $source^)? attr-dict-with-keyword ($body^)?
  }];
  let extraClassDeclaration = [{
    RankedTensorType getWeightType() { return cast<RankedTensorType>(getType()); }
    /// The computed value; only where the weight has a body.
    Value getYielded();
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def DSV2_YieldOp : DSV2_Op<"yield", [Pure, Terminator, HasParent<"WeightOp">]> {
  let summary = "End the computation of a weight";
  let arguments = (ins AnyRankedTensor:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def DSV2_GetWeightOp : DSV2_Op<"get_weight", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "The value of a weight";
  let description = [{
    Constraints:
    - (C1) `weight` names a `dsv2.weight` of the result type.

    Example: `%w = dsv2.get_weight @layers.0.kv_b : tensor<4096x512xbf16>`
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def DSV2_QuantizeOp : DSV2_Op<"quantize", [Pure]> {
  let summary = "Quantize a weight";
  let description = [{
    To integers in groups along the last dimension. To e4m3 in blocks:
    `scale = max|x| / 448` of the block, quants rounded to nearest even.
    Constraints:
    - (C1) Shapes agree.
    - (C2) The result has a `block_int8`, `block_int4` or `block_fp8` encoding
      and its element type.

    Example:

    ```mlir
    %q = dsv2.quantize %w : tensor<3072x2048xbf16> -> tensor<3072x2048xi4, #dsv2.block_int4<32>>
    ```
  }];
  let arguments = (ins RankedTensorOf<[AnyFloat]>:$weight);
  let results = (outs RankedTensorOf<[F8E4M3FN, I8, DSV2_I4]>:$result);
  let assemblyFormat = "$weight attr-dict `:` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def DSV2_DequantizeOp : DSV2_Op<"dequantize", [Pure]> {
  let summary = "The values a quantized weight stands for";
  let description = [{
    Constraints:
    - (C1) Shapes agree.
    - (C2) The operand has a block encoding.

    Example:

    ```mlir
    %w = dsv2.dequantize %q : tensor<3072x2048xi4, #dsv2.block_int4<32>> -> tensor<3072x2048xf32>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F8E4M3FN, I8, DSV2_I4]>:$weight);
  let results = (outs RankedTensorOf<[F32, BF16]>:$result);
  let assemblyFormat = "$weight attr-dict `:` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def DSV2_PackWeightOp : DSV2_Op<"pack_weight", [Pure]> {
  let summary = "Store a weight in panels of output rows";
  let description = [{
    The values do not change. Constraints:
    - (C1) Shapes and element types agree.
    - (C2) The result has a `panels` encoding whose format is the operand's
      encoding.
    - (C3) With `interleave`, half of the rows of a matrix are a multiple of it.

    Example:

    ```mlir
    %p = dsv2.pack_weight %w : tensor<64x2048xbf16> -> tensor<64x2048xbf16, #dsv2.panels<32>>
    ```
  }];
  let arguments = (ins DSV2_Weight:$weight);
  let results = (outs DSV2_Weight:$result);
  let assemblyFormat = "$weight attr-dict `:` type($weight) `->` type($result)";
  let hasVerifier = 1;
}

def DSV2_PackRowsOp : DSV2_Op<"pack_rows", [Pure, DSV2_RowWise]> {
  let summary = "Round or quantize activations for a matrix product";
  let description = [{
    To bf16: each element is rounded to nearest even. To i8: in groups along the
    last dimension, `scale = max|x| / 127`, `quant = round(x / scale)`. To e4m3:
    likewise, with `scale = max|x| / 448`.
    Constraints:
    - (C1) Shapes agree.
    - (C2) The result has a `rows` encoding.

    Example:

    ```mlir
    %p = dsv2.pack_rows %x : tensor<?x2048xf32> -> tensor<?x2048xi8, #dsv2.rows<32>>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input);
  let results = (outs RankedTensorOf<[BF16, I8, F8E4M3FN]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

#endif // DSV2_DIALECT_DSV2WEIGHTOPS_TD
