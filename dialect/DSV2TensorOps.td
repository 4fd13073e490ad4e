//===- DSV2TensorOps.td - Embedding, norm, linear, RoPE ----*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2TENSOROPS_TD
#define DSV2_DIALECT_DSV2TENSOROPS_TD

include "dialect/DSV2Base.td"

def DSV2_BatchGetOp : DSV2_Op<"batch_get", [Pure]> {
  let summary = "One array of the batch";
  let description = [{
    Constraints:
    - (C1) The result has rank 2 for `page_table`, else rank 1.

    Example: `%p = dsv2.batch_get positions of %batch : tensor<?xi32>`
  }];
  let arguments = (ins DSV2_BatchFieldAttr:$field, DSV2_BatchType:$batch);
  let results = (outs TensorRankOf<[I32], [1, 2]>:$result);
  let assemblyFormat = "$field `of` $batch attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def DSV2_EmbedOp : DSV2_Op<"embed", [Pure, DSV2_RowWise]> {
  let summary = "Rows of the embedding table";
  let description = [{
    `result[t, :] = table[tokens[t], :]`. Ids are validated by the runtime.
    Constraints:
    - (C1) The result is as wide as the table.

    Example:

    ```mlir
    %x = dsv2.embed %tokens, %table : tensor<?xi32>, tensor<102400x2048xbf16> -> tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[I32], [1]>:$tokens,
                       TensorRankOf<[F32, F16, BF16], [2]>:$table);
  let results = (outs TensorRankOf<[F32], [2]>:$result);
  let assemblyFormat = [{
    $tokens `,` $table attr-dict `:` type($tokens) `,` type($table) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_SelectRowsOp : DSV2_Op<"select_rows", [Pure]> {
  let summary = "The rows whose logits are wanted";
  let description = [{
    `result[r, :] = input[logit_rows[r], :]`, from T rows to R.
    Constraints:
    - (C1) Input and result agree but for the number of rows.

    Example: `%y = dsv2.select_rows %x of %batch : tensor<?x2048xf32> -> tensor<?x2048xf32>`
  }];
  let arguments = (ins TensorRankOf<[F32], [2]>:$input, DSV2_BatchType:$batch);
  let results = (outs TensorRankOf<[F32], [2]>:$result);
  let assemblyFormat = "$input `of` $batch attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def DSV2_RMSNormOp : DSV2_Op<"rms_norm", [Pure, DSV2_RowWise]> {
  let summary = "Root-mean-square normalization of each row";
  let description = [{
    `result = x / sqrt(mean(x^2) + eps) * gamma`, in f32. A packed result is
    rounded once, as by `dsv2.pack_rows`.
    Constraints:
    - (C1) Input and result have the same shape.
    - (C2) `gamma` is as long as a row.

    Example:

    ```mlir
    %h = dsv2.rms_norm %x, %gamma eps 1.0e-6 : tensor<?x2048xf32>, tensor<2048xbf16> -> tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [2]>:$input, DSV2_Vector:$gamma,
                       F64Attr:$eps);
  let results = (outs DSV2_Activation:$result);
  let assemblyFormat = [{
    $input `,` $gamma `eps` $eps attr-dict `:` type($input) `,` type($gamma) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_LinearOp : DSV2_Op<"linear", [Pure, DSV2_RowWise]> {
  let summary = "x·Wᵀ with f32 accumulation";
  let description = [{
    `result[t, n] = sum_k input[t, k] * weight[n, k]`. `weight` may have any
    number format; its values are those it stands for.
    Constraints:
    - (C1) `weight` is a matrix whose last dimension is the input's.
    - (C2) The result's last dimension is the weight's first.
    - (C3) Packed inputs go with packed weights: i8 rows with integer formats,
      bf16 rows with bf16, and on a GPU with all.

    Example:

    ```mlir
    %q = dsv2.linear %h, %w : tensor<?x2048xf32>, tensor<3072x2048xbf16> -> tensor<?x3072xf32>
    ```
  }];
  let arguments = (ins DSV2_Activation:$input, DSV2_Weight:$weight);
  let results = (outs TensorRankOf<[F32], [2]>:$result);
  let assemblyFormat = [{
    $input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_HeadProjectOp : DSV2_Op<"head_project", [Pure, DSV2_RowWise]> {
  let summary = "A linear map for each head";
  let description = [{
    `result[t, h, n] = sum_k input[t, (h,) k] * weight[h, n, k]`: the input has
    its own row a head (rank 3), or one that all heads share (rank 2).
    Constraints:
    - (C1) `weight` has rank 3 and its last dimension is the input's.
    - (C2) The result is [rows, heads, weight dimension 1].
    - (C3) An input of rank 3 has the weight's number of heads.

    Example:

    ```mlir
    %k = dsv2.head_project %c, %w_uk : tensor<?x512xf32>, tensor<16x128x512xbf16> -> tensor<?x16x128xf32>
    ```
  }];
  let arguments = (ins DSV2_Activation:$input, DSV2_Weight:$weight);
  let results = (outs TensorRankOf<[F32, BF16], [3]>:$result);
  let assemblyFormat = [{
    $input `,` $weight attr-dict `:` type($input) `,` type($weight) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_RopeOp : DSV2_Op<"rope", [Pure]> {
  let summary = "Rotate adjacent pairs by the token's position";
  let description = [{
    For pair i of each vector (the last dimension, of size d):
    `(y[2i], y[2i+1]) = m * (x[2i] cos a - x[2i+1] sin a, x[2i+1] cos a + x[2i] sin a)`
    with `a = positions[t] * inverse_frequency[i]` and the magnitude m of `rope`
    (spec of `#dsv2.rope`). Order and layout are kept.
    Constraints:
    - (C1) Input and result have the same shape.
    - (C2) The last dimension is even.

    Example:

    ```mlir
    %r = dsv2.rope %x by <theta = 1.0e4> at %batch : tensor<?x16x64xf32> -> tensor<?x16x64xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [2, 3]>:$input, DSV2_BatchType:$batch,
                       DSV2_RopeAttr:$rope);
  let results = (outs TensorRankOf<[F32, BF16], [2, 3]>:$result);
  let assemblyFormat = [{
    $input `by` $rope `at` $batch attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_SwigluOp : DSV2_Op<"swiglu", [Pure, DSV2_RowWise,
    AllTypesMatch<["gate", "up"]>]> {
  let summary = "silu(gate) * up";
  let description = [{
    `result = gate / (1 + exp(-gate)) * up`, elementwise in f32. A packed result
    is rounded once, as by `dsv2.pack_rows`.
    Constraints:
    - (C1) All shapes agree.

    Example:

    ```mlir
    %a = dsv2.swiglu %g, %u : tensor<?x1408xf32> -> tensor<?x1408xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [2]>:$gate, TensorRankOf<[F32], [2]>:$up);
  let results = (outs DSV2_Activation:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($gate) `->` type($result)";
  let hasVerifier = 1;
}

#endif // DSV2_DIALECT_DSV2TENSOROPS_TD
