//===- DSV2AttentionOps.td - Latent cache and attention ----*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2ATTENTIONOPS_TD
#define DSV2_DIALECT_DSV2ATTENTIONOPS_TD

include "dialect/DSV2Base.td"

def DSV2_CacheAppendOp : DSV2_Op<"cache_append", [Pure,
    AllTypesMatch<["cache", "result"]>]> {
  let summary = "Store the latent and the rotated key of the new tokens";
  let description = [{
    Row `cache_rows[t]` of layer `layer` becomes `latent[t, :] ++ key[t, :]`,
    rounded to the cache's element type.
    Constraints:
    - (C1) `layer` is less than the cache's number of layers.
    - (C2) `latent` and `key` are as wide as the cache's parts.

    Example:

    ```mlir
    %next = dsv2.cache_append %cache layer 1 (%c, %k) at %batch
        : tensor<?x512xf32>, tensor<?x64xf32>, !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>
    ```
  }];
  let arguments = (ins DSV2_LatentCacheType:$cache, DSV2_Layer:$layer,
                       TensorRankOf<[F32], [2]>:$latent,
                       TensorRankOf<[F32], [2]>:$key, DSV2_BatchType:$batch);
  let results = (outs DSV2_LatentCacheType:$result);
  let assemblyFormat = [{
    $cache `layer` $layer `(` $latent `,` $key `)` `at` $batch attr-dict
    `:` type($latent) `,` type($key) `,` type($cache)
  }];
  let hasVerifier = 1;
}

def DSV2_LatentAppendOp : DSV2_Op<"latent_append", [Pure,
    AllTypesMatch<["cache", "result"]>]> {
  let summary = "Normalize, rotate and store the output of the down-projection";
  let description = [{
    `cache_append(rms_norm(kv[:, :latent], gamma), rope(kv[:, latent:]))` in one
    step: what `dsv2-fuse-rope-append` makes of the three.
    Constraints:
    - (C1) `layer` is less than the cache's number of layers.
    - (C2) `kv` is as wide as a cache row and `gamma` as its latent.

    Example:

    ```mlir
    %next = dsv2.latent_append %cache layer 1, %kv norm %gamma eps 1.0e-6 by <theta = 1.0e4> at %batch
        : tensor<?x576xf32>, tensor<512xbf16>, !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>
    ```
  }];
  let arguments = (ins DSV2_LatentCacheType:$cache, DSV2_Layer:$layer,
                       TensorRankOf<[F32], [2]>:$kv, DSV2_Vector:$gamma,
                       F64Attr:$eps, DSV2_RopeAttr:$rope, DSV2_BatchType:$batch);
  let results = (outs DSV2_LatentCacheType:$result);
  let assemblyFormat = [{
    $cache `layer` $layer `,` $kv `norm` $gamma `eps` $eps `by` $rope `at` $batch
    attr-dict `:` type($kv) `,` type($gamma) `,` type($cache)
  }];
  let hasVerifier = 1;
}

def DSV2_CacheGatherOp : DSV2_Op<"cache_gather", [Pure]> {
  let summary = "The latents and keys of the whole ragged context";
  let description = [{
    Row s of the results is row `context_rows[s]` of layer `layer`.
    Constraints:
    - (C1) `layer` is less than the cache's number of layers.
    - (C2) The results are as wide as the cache's parts.

    Example:

    ```mlir
    %c, %r = dsv2.cache_gather %cache layer 1 of %batch
        : !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x512xf32>, tensor<?x64xf32>
    ```
  }];
  let arguments = (ins DSV2_LatentCacheType:$cache, DSV2_Layer:$layer,
                       DSV2_BatchType:$batch);
  let results = (outs TensorRankOf<[F32], [2]>:$latent,
                      TensorRankOf<[F32], [2]>:$key);
  let assemblyFormat = [{
    $cache `layer` $layer `of` $batch attr-dict
    `:` type($cache) `->` type($latent) `,` type($key)
  }];
  let hasVerifier = 1;
}

def DSV2_CacheRowsOp : DSV2_Op<"cache_rows", [Pure]> {
  let summary = "All physical rows of one layer of the cache";
  let description = [{
    The plane of layer `layer`: what a decomposition reads and writes.
    Constraints:
    - (C1) `layer` is less than the cache's number of layers.
    - (C2) A row is as wide as both parts of the cache together, with its
      element type; of a cache of i8, it has the bytes of the parts and scales.

    Example:

    ```mlir
    %rows = dsv2.cache_rows %cache layer 1
        : !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x576xbf16>
    ```
  }];
  let arguments = (ins DSV2_LatentCacheType:$cache, DSV2_Layer:$layer);
  let results = (outs TensorRankOf<[F32, BF16, I8], [2]>:$rows);
  let assemblyFormat = [{
    $cache `layer` $layer attr-dict `:` type($cache) `->` type($rows)
  }];
  let hasVerifier = 1;
}

def DSV2_CacheUpdateOp : DSV2_Op<"cache_update", [Pure,
    AllTypesMatch<["cache", "result"]>]> {
  let summary = "The cache with the rows of one layer replaced";
  let description = [{
    The inverse of `dsv2.cache_rows`. Constraints:
    - (C1) `layer` is less than the cache's number of layers.
    - (C2) `rows` has the type of the layer's plane.

    Example:

    ```mlir
    %next = dsv2.cache_update %cache layer 1, %rows
        : tensor<?x576xbf16>, !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>
    ```
  }];
  let arguments = (ins DSV2_LatentCacheType:$cache, DSV2_Layer:$layer,
                       TensorRankOf<[F32, BF16, I8], [2]>:$rows);
  let results = (outs DSV2_LatentCacheType:$result);
  let assemblyFormat = [{
    $cache `layer` $layer `,` $rows attr-dict `:` type($rows) `,` type($cache)
  }];
  let hasVerifier = 1;
}

def DSV2_AttentionOp : DSV2_Op<"attention", [Pure]> {
  let summary = "Causal attention over expanded heads";
  let description = [{
    For token t of a sequence and each of its context tokens s at a position not
    after t's own (paper, section 2.1):
    `score[t, h, s] = scale * (q_nope[t, h, :]·key[s, h, :] + q_rope[t, h, :]·key_rope[s, :])`,
    `result[t, h, :] = sum_s softmax_s(score[t, h, :]) * value[s, h, :]`, in f32.
    Context rows are those of `dsv2.cache_gather`.
    Constraints:
    - (C1) Heads agree.
    - (C2) `q_nope` is as wide as `key`, `q_rope` as `key_rope`.
    - (C3) The result is [T, heads, width of `value`].

    Example:

    ```mlir
    %o = dsv2.attention (%qn, %qr), (%k, %kr), %v scale 0.1147 of %batch
        : (tensor<?x16x128xf32>, tensor<?x16x64xf32>), (tensor<?x16x128xf32>, tensor<?x64xf32>), tensor<?x16x128xf32> -> tensor<?x16x128xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [3]>:$q_nope,
                       TensorRankOf<[F32], [3]>:$q_rope,
                       TensorRankOf<[F32], [3]>:$key,
                       TensorRankOf<[F32], [2]>:$key_rope,
                       TensorRankOf<[F32], [3]>:$value,
                       F64Attr:$scale, DSV2_BatchType:$batch);
  let results = (outs TensorRankOf<[F32], [3]>:$result);
  let assemblyFormat = [{
    `(` $q_nope `,` $q_rope `)` `,` `(` $key `,` $key_rope `)` `,` $value
    `scale` $scale `of` $batch attr-dict
    `:` `(` type($q_nope) `,` type($q_rope) `)` `,` `(` type($key) `,` type($key_rope) `)` `,`
    type($value) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_ExpandedAttentionOp : DSV2_Op<"expanded_attention", [Pure]> {
  let summary = "Attention over heads expanded from the latent cache";
  let description = [{
    `attention(q, (head_project(C, w_uk), R), head_project(C, w_uv))` with C and R
    gathered from layer `layer`: keys and values are expanded tile by tile and
    never held for the whole context.
    Constraints:
    - (C1) `layer` is less than the cache's number of layers.
    - (C2) Heads agree.
    - (C3) `w_uk` is [heads, width of q_nope, latent], `w_uv` [heads, width of the
      result, latent]. In panels, `w_uk` is transposed: that is the matrix which
      absorbs queries in the latent form, and both forms share it.
    - (C4) `q_rope` is as wide as the cache's key.

    Example:

    ```mlir
    %o = dsv2.expanded_attention (%qn, %qr), %w_uk, %w_uv, %cache layer 1 scale 0.1147 of %batch
        : (tensor<?x16x128xf32>, tensor<?x16x64xf32>), tensor<16x128x512xbf16>, tensor<16x128x512xbf16>,
          !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x16x128xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32, BF16], [3]>:$q_nope,
                       TensorRankOf<[F32, BF16], [3]>:$q_rope,
                       DSV2_Weight:$w_uk, DSV2_Weight:$w_uv,
                       DSV2_LatentCacheType:$cache, DSV2_Layer:$layer,
                       F64Attr:$scale, DSV2_BatchType:$batch);
  let results = (outs TensorRankOf<[F32, BF16, I8], [3]>:$result);
  let assemblyFormat = [{
    `(` $q_nope `,` $q_rope `)` `,` $w_uk `,` $w_uv `,` $cache `layer` $layer
    `scale` $scale `of` $batch attr-dict
    `:` `(` type($q_nope) `,` type($q_rope) `)` `,` type($w_uk) `,` type($w_uv) `,`
    type($cache) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_LatentAttentionOp : DSV2_Op<"latent_attention", [Pure]> {
  let summary = "Causal attention over the latent cache (absorbed form)";
  let description = [{
    Every head attends to the same cache rows, keys being whole rows and values
    their latent part (paper, section 2.1.2 and appendix C):
    `score[t, h, s] = scale * (q_latent[t, h, :]·latent[s, :] + q_rope[t, h, :]·key[s, :])`,
    `result[t, h, :] = sum_s softmax_s(score[t, h, :]) * latent[s, :]`, in f32.
    `scale` is that of the expanded form.
    Constraints:
    - (C1) `layer` is less than the cache's number of layers.
    - (C2) Heads agree.
    - (C3) `q_latent` and the result are as wide as the latent, `q_rope` as the
      key.

    Example:

    ```mlir
    %o = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.1147 of %batch
        : (tensor<?x16x512xf32>, tensor<?x16x64xf32>), !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x16x512xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32, BF16], [3]>:$q_latent,
                       TensorRankOf<[F32, BF16], [3]>:$q_rope,
                       DSV2_LatentCacheType:$cache, DSV2_Layer:$layer,
                       F64Attr:$scale, DSV2_BatchType:$batch);
  let results = (outs TensorRankOf<[F32, BF16], [3]>:$result);
  let assemblyFormat = [{
    `(` $q_latent `,` $q_rope `)` `,` $cache `layer` $layer `scale` $scale
    `of` $batch attr-dict
    `:` `(` type($q_latent) `,` type($q_rope) `)` `,` type($cache) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // DSV2_DIALECT_DSV2ATTENTIONOPS_TD
