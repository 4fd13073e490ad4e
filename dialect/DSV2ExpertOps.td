//===- DSV2ExpertOps.td - Routing and experts --------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2EXPERTOPS_TD
#define DSV2_DIALECT_DSV2EXPERTOPS_TD

include "dialect/DSV2Base.td"
include "mlir/IR/OpAsmInterface.td"

def DSV2_RouteOp : DSV2_Op<"route", [Pure, DSV2_RowWise]> {
  let summary = "Select the experts of each token and their weights";
  let description = [{
    Scores are the softmax or sigmoid of a row of `logits`. Selection looks at
    scores plus `bias` (selection only). `group_max` and `group_top2` first keep
    the `top_groups` groups of consecutive experts with the largest maximum, or
    the largest sum of their two best; `greedy` looks at all experts. The `top_k`
    best remain, in descending order; ties go to the lower index. A weight is the
    score without bias, divided by the sum of the selected scores (plus 1e-20)
    when `normalize` is present, times `scale`. All in f32. With `shared` n, the
    n experts behind those of `logits` follow for every token, in order, with a
    weight of 1.
    Constraints:
    - (C1) The number of experts is a multiple of `groups`.
    - (C2) `top_groups` is at most `groups`; `greedy` has one group.
    - (C3) `top_k` is at most `top_groups * experts / groups`.
    - (C4) The results are [T, top_k + shared].
    - (C5) `bias` has one element an expert.

    Example:

    ```mlir
    %weights, %experts = dsv2.route %logits softmax group_max top 6 in 3 of 8 groups scale 16.0
        : tensor<?x160xf32> -> tensor<?x6xf32>, tensor<?x6xi32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [2]>:$logits,
                       Optional<TensorRankOf<[F32], [1]>>:$bias,
                       DSV2_ScoringAttr:$scoring, DSV2_SelectionAttr:$selection,
                       ConfinedAttr<I64Attr, [IntPositive]>:$top_k,
                       ConfinedAttr<I64Attr, [IntPositive]>:$top_groups,
                       ConfinedAttr<I64Attr, [IntPositive]>:$groups,
                       OptionalAttr<ConfinedAttr<I64Attr, [IntPositive]>>:$shared,
                       UnitAttr:$normalize, F64Attr:$scale);
  let results = (outs TensorRankOf<[F32], [2]>:$weights,
                      TensorRankOf<[I32], [2]>:$experts);
  let assemblyFormat = [{
    $logits (`bias` $bias^ `:` type($bias))? $scoring $selection `top` $top_k `in` $top_groups
    `of` $groups `groups` (`shared` $shared^)? (`normalize` $normalize^)? `scale` $scale attr-dict
    `:` type($logits) `->` type($weights) `,` type($experts)
  }];
  let hasVerifier = 1;
}

def DSV2_ExpertsOp : DSV2_Op<"experts", [Pure, DSV2_RowWise]> {
  let summary = "The weighted sum of the selected experts' networks";
  let description = [{
    `result[t, :] = sum_k weights[t, k] * down_e·(silu(gate_e·x) * (up_e·x))` with
    `e = experts[t, k]` and `x = input[t, :]` (paper, section 2.2), summed in the
    order of k.
    Constraints:
    - (C1) `gate` and `up` have the same shape [experts, width, hidden].
    - (C2) `down` is [experts, hidden, width].
    - (C3) `weights` and `experts` have the same shape.

    Example:

    ```mlir
    %y = dsv2.experts %x, %weights, %experts, %gate, %up, %down
        : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [2]>:$input,
                       TensorRankOf<[F32], [2]>:$weights,
                       TensorRankOf<[I32], [2]>:$experts,
                       DSV2_Weight:$gate, DSV2_Weight:$up, DSV2_Weight:$down);
  let results = (outs TensorRankOf<[F32], [2]>:$result);
  let assemblyFormat = [{
    $input `,` $weights `,` $experts `,` $gate `,` $up `,` $down attr-dict
    `:` type($input) `,` type($weights) `,` type($experts) `,` type($gate) `,` type($up) `,` type($down)
    `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_GroupTokensOp : DSV2_Op<"group_tokens", [Pure]> {
  let summary = "Sort the (token, choice) pairs by expert";
  let description = [{
    Slots are the T * top_k pairs (t, k) in the order of their expert, then of
    their token. `offsets[e]` is the first slot of expert e; `active` lists the
    experts that have any, ascending, and `count` says how many;
    `slot_token[s]` is the token of slot s and `token_slot[t, k]` the slot of a
    pair.
    Constraints:
    - (C1) `offsets` has one element more than there are experts, `active` one an
      expert.
    - (C2) `token_slot` has the shape of `experts`.

    Example:

    ```mlir
    %offsets, %active, %count, %slot_token, %token_slot = dsv2.group_tokens %experts
        : tensor<?x6xi32> -> tensor<65xi32>, tensor<64xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x6xi32>
    ```
  }];
  let arguments = (ins TensorRankOf<[I32], [2]>:$experts);
  let results = (outs TensorRankOf<[I32], [1]>:$offsets,
                      TensorRankOf<[I32], [1]>:$active,
                      1DTensorOf<[I32]>:$count,
                      1DTensorOf<[I32]>:$slot_token,
                      TensorRankOf<[I32], [2]>:$token_slot);
  let assemblyFormat = [{
    $experts attr-dict `:` type($experts) `->` type($offsets) `,` type($active) `,`
    type($count) `,` type($slot_token) `,` type($token_slot)
  }];
  let hasVerifier = 1;
}

def DSV2_GroupedLinearOp : DSV2_Op<"grouped_linear", [Pure]> {
  let summary = "x·Wᵀ with the matrix of each slot's expert";
  let description = [{
    `result[s, :] = weight[e, :, :]·input[r, :]` for every slot s of expert e,
    with `r = slot_token[s]` when `gather` is given, else `r = s`.
    Constraints:
    - (C1) `weight` is [experts, width of the result, width of the input].
    - (C2) `offsets` has one element more than there are experts.

    Example:

    ```mlir
    %y = dsv2.grouped_linear %x gather %slot_token : tensor<?xi32>, %w by (%offsets, %active, %count)
        : tensor<?x2048xf32>, tensor<64x1408x2048xbf16>, tensor<65xi32>, tensor<64xi32>, tensor<1xi32> -> tensor<?x1408xf32>
    ```
  }];
  let arguments = (ins DSV2_Activation:$input,
                       Optional<TensorRankOf<[I32], [1]>>:$slot_token,
                       DSV2_Weight:$weight,
                       TensorRankOf<[I32], [1]>:$offsets,
                       TensorRankOf<[I32], [1]>:$active,
                       1DTensorOf<[I32]>:$count);
  let results = (outs TensorRankOf<[F32], [2]>:$result);
  let assemblyFormat = [{
    $input (`gather` $slot_token^ `:` type($slot_token))? `,` $weight `by` `(` $offsets `,` $active `,` $count `)`
    attr-dict `:` type($input) `,` type($weight) `,` type($offsets) `,` type($active) `,` type($count)
    `->` type($result)
  }];
  let hasVerifier = 1;
}

def DSV2_CombineExpertsOp : DSV2_Op<"combine_experts", [Pure]> {
  let summary = "The weighted sum of each token's slots";
  let description = [{
    `result[t, :] = sum_k weights[t, k] * slots[token_slot[t, k], :]`, in the
    order of k, in f32.
    Constraints:
    - (C1) `weights` and `token_slot` have the same shape.
    - (C2) The result is [T, width of `slots`].

    Example:

    ```mlir
    %y = dsv2.combine_experts %slots, %weights, %token_slot
        : tensor<?x2048xf32>, tensor<?x6xf32>, tensor<?x6xi32> -> tensor<?x2048xf32>
    ```
  }];
  let arguments = (ins TensorRankOf<[F32], [2]>:$slots,
                       TensorRankOf<[F32], [2]>:$weights,
                       TensorRankOf<[I32], [2]>:$token_slot);
  let results = (outs TensorRankOf<[F32], [2]>:$result);
  let assemblyFormat = [{
    $slots `,` $weights `,` $token_slot attr-dict
    `:` type($slots) `,` type($weights) `,` type($token_slot) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // DSV2_DIALECT_DSV2EXPERTOPS_TD
