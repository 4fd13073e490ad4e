//===- Passes.td - Target-independent passes ---------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_PASSES_TD
#define DSV2_PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

/// An option that gives a class of weights a number format.
class DSV2_FormatOption<string cppName, string flag, string default,
                        string what>
    : Option<cppName, flag, "::mlir::dsv2::WeightFormat",
             "::mlir::dsv2::WeightFormat::" # default, what, [{
      ::llvm::cl::values(
        clEnumValN(::mlir::dsv2::WeightFormat::Default, "default",
                   "As `format` says"),
        clEnumValN(::mlir::dsv2::WeightFormat::Keep, "keep",
                   "The format it has"),
        clEnumValN(::mlir::dsv2::WeightFormat::Bf16, "bf16",
                   "16-bit floating point"),
        clEnumValN(::mlir::dsv2::WeightFormat::Fp8, "fp8",
                   "e4m3 in blocks of 128 x 128"),
        clEnumValN(::mlir::dsv2::WeightFormat::Int8, "int8",
                   "8-bit integers in groups of 32"),
        clEnumValN(::mlir::dsv2::WeightFormat::Int4, "int4",
                   "4-bit integers in groups of 32"))
    }]>;

def SpecializePhasesPass : Pass<"dsv2-specialize-phases", "::mlir::ModuleOp"> {
  let summary = "Clone @forward for decoding and for prefill";
  let description = [{
    Before:

    ```mlir
    func.func @forward(%tokens: tensor<?xi32>) { return }
    ```

    After:

    ```mlir
    func.func @decode(%tokens: tensor<?xi32>) attributes {dsv2.max_query_tokens = 8 : i64} { return }
    func.func @prefill(%tokens: tensor<?xi32>) { return }
    ```

    `dsv2.max_query_tokens` states how many query tokens a sequence has at most
    in one step; without it the number is not bounded. Later passes choose by it,
    function by function. Both clones read the same weights.

    Leaves alone every other function, and a module without @forward.

    Does not change rounding.
  }];
  let options = [
    Option<"decodeQueryTokens", "decode-query-tokens", "int64_t", "8",
           "Most query tokens a sequence of a decode step">
  ];
  let statistics = [
    Statistic<"numSpecialized", "num-specialized", "Number of functions cloned">
  ];
}

def AbsorbUpProjectionsPass : Pass<"dsv2-absorb-up-projections"> {
  let summary = "Attend over the latent cache where that costs less";
  let description = [{
    Moves the key projection to the queries and the value projection behind the
    softmax, so that all heads attend to the cached latents (paper, section
    2.1.2). Before:

    ```mlir
    %c, %r = dsv2.cache_gather %cache layer 1 of %batch
        : !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x512xf32>, tensor<?x64xf32>
    %k = dsv2.head_project %c, %w_uk : tensor<?x512xf32>, tensor<16x128x512xbf16> -> tensor<?x16x128xf32>
    %v = dsv2.head_project %c, %w_uv : tensor<?x512xf32>, tensor<16x128x512xbf16> -> tensor<?x16x128xf32>
    %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
        : (tensor<?x16x128xf32>, tensor<?x16x64xf32>), (tensor<?x16x128xf32>, tensor<?x64xf32>), tensor<?x16x128xf32> -> tensor<?x16x128xf32>
    ```

    After:

    ```mlir
    %init = tensor.empty() : tensor<16x512x128xbf16>
    %w_ku = linalg.transpose ins(%w_uk : tensor<16x128x512xbf16>) outs(%init : tensor<16x512x128xbf16>) permutation = [0, 2, 1]
    %ql = dsv2.head_project %qn, %w_ku : tensor<?x16x128xf32>, tensor<16x512x128xbf16> -> tensor<?x16x512xf32>
    %ol = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.1147 of %batch
        : (tensor<?x16x512xf32>, tensor<?x16x64xf32>), !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x16x512xf32>
    %o = dsv2.head_project %ol, %w_uv : tensor<?x16x512xf32>, tensor<16x128x512xbf16> -> tensor<?x16x128xf32>
    ```

    The softmax scale does not change. `form=auto` compares the time of both
    forms for the most query tokens of the function (`dsv2.max_query_tokens`, or
    as many as `context` where they are not bounded) and `context` cached tokens:
    the work of each part over the rate of its kernel, which was measured on
    Zen 4 and is estimated for Hopper (`AttentionRates`). A remark states the work
    and from how many query tokens on the expanded form is faster.

    Leaves alone attention whose keys and values are not projected from one
    gathered latent, whose key projection has a number format, and that which
    costs less as it is.

    Changes rounding: the sums over the latent and over the head are exchanged.
  }];
  let options = [
    Option<"form", "form", "::mlir::dsv2::AttentionForm",
           "::mlir::dsv2::AttentionForm::Auto", "The form of attention", [{
      ::llvm::cl::values(
        clEnumValN(::mlir::dsv2::AttentionForm::Auto, "auto",
                   "Whichever costs less"),
        clEnumValN(::mlir::dsv2::AttentionForm::Latent, "latent",
                   "Attend over the latent cache"),
        clEnumValN(::mlir::dsv2::AttentionForm::Expanded, "expanded",
                   "Expand keys and values from the latent"))
    }]>,
    Option<"machine", "machine", "::mlir::dsv2::AttentionMachine",
           "::mlir::dsv2::AttentionMachine::Zen4", "Whose rates count", [{
      ::llvm::cl::values(
        clEnumValN(::mlir::dsv2::AttentionMachine::Zen4, "zen4",
                   "A CPU, measured"),
        clEnumValN(::mlir::dsv2::AttentionMachine::Hopper, "hopper",
                   "A GPU, estimated"))
    }]>,
    Option<"context", "context", "int64_t", "4096",
           "Cached tokens of a typical sequence">,
    Option<"int8Expansion", "int8-expansion", "bool", "false",
           "Keys and values will be expanded with products of int8">
  ];
  let statistics = [
    Statistic<"numAbsorbed", "num-absorbed", "Number of attentions absorbed">
  ];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def FuseExpandedAttentionPass : Pass<"dsv2-fuse-expanded-attention"> {
  let summary = "Expand keys and values inside of attention";
  let description = [{
    Before:

    ```mlir
    %c, %r = dsv2.cache_gather %cache layer 1 of %batch
        : !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x512xf32>, tensor<?x64xf32>
    %k = dsv2.head_project %c, %w_uk : tensor<?x512xf32>, tensor<16x128x512xbf16> -> tensor<?x16x128xf32>
    %v = dsv2.head_project %c, %w_uv : tensor<?x512xf32>, tensor<16x128x512xbf16> -> tensor<?x16x128xf32>
    %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
        : (tensor<?x16x128xf32>, tensor<?x16x64xf32>), (tensor<?x16x128xf32>, tensor<?x64xf32>), tensor<?x16x128xf32> -> tensor<?x16x128xf32>
    ```

    After:

    ```mlir
    %o = dsv2.expanded_attention (%qn, %qr), %w_uk, %w_uv, %cache layer 1 scale 0.1147 of %batch
        : (tensor<?x16x128xf32>, tensor<?x16x64xf32>), tensor<16x128x512xbf16>, tensor<16x128x512xbf16>,
          !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64> -> tensor<?x16x128xf32>
    ```

    Leaves alone attention whose keys and values are not projected from one
    gathered latent.

    Does not change rounding: the same sums, tile by tile. With `int8`, the
    operation gets the attribute `dsv2.int8_expansion`: a target may then round
    latents (in groups of 128) and the two weights (a scale for each row of a
    head) to int8 for the expansion, as the fast kernels do.
  }];
  let options = [
    Option<"int8", "int8", "bool", "false",
           "Let targets expand keys and values with products of int8">
  ];
  let statistics = [
    Statistic<"numFused", "num-fused", "Number of attentions fused">
  ];
}

def FuseRopeAppendPass : Pass<"dsv2-fuse-rope-append"> {
  let summary = "Normalize, rotate and store the latent in one step";
  let description = [{
    Before:

    ```mlir
    %c = tensor.extract_slice %kv[0, 0] [%rows, 512] [1, 1] : tensor<?x576xf32> to tensor<?x512xf32>
    %n = dsv2.rms_norm %c, %gamma eps 1.0e-6 : tensor<?x512xf32>, tensor<512xbf16> -> tensor<?x512xf32>
    %k = tensor.extract_slice %kv[0, 512] [%rows, 64] [1, 1] : tensor<?x576xf32> to tensor<?x64xf32>
    %r = dsv2.rope %k by <theta = 1.0e4> at %batch : tensor<?x64xf32> -> tensor<?x64xf32>
    %next = dsv2.cache_append %cache layer 1 (%n, %r) at %batch
        : tensor<?x512xf32>, tensor<?x64xf32>, !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>
    ```

    After:

    ```mlir
    %next = dsv2.latent_append %cache layer 1, %kv norm %gamma eps 1.0e-6 by <theta = 1.0e4> at %batch
        : tensor<?x576xf32>, tensor<512xbf16>, !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>
    ```

    Leaves alone appends of anything but the two parts of all rows of one tensor,
    and keys rotated by the positions of another batch.

    Does not change rounding.
  }];
  let statistics = [
    Statistic<"numFused", "num-fused", "Number of appends fused">
  ];
}

def FuseDownProjectionsPass : Pass<"dsv2-fuse-down-projections"> {
  let summary = "Compute all projections of one input in one product";
  let description = [{
    For the query and the latent of a layer. Before:

    ```mlir
    %q = dsv2.linear %h, %w_q : tensor<?x2048xf32>, tensor<3072x2048xbf16> -> tensor<?x3072xf32>
    %kv = dsv2.linear %h, %w_kv : tensor<?x2048xf32>, tensor<576x2048xbf16> -> tensor<?x576xf32>
    ```

    After:

    ```mlir
    %w = tensor.concat dim(0) %w_q, %w_kv : (tensor<3072x2048xbf16>, tensor<576x2048xbf16>) -> tensor<3648x2048xbf16>
    %y = dsv2.linear %h, %w : tensor<?x2048xf32>, tensor<3648x2048xbf16> -> tensor<?x3648xf32>
    %q = tensor.extract_slice %y[0, 0] [%rows, 3072] [1, 1] : tensor<?x3648xf32> to tensor<?x3072xf32>
    %kv = tensor.extract_slice %y[0, 3072] [%rows, 576] [1, 1] : tensor<?x3648xf32> to tensor<?x576xf32>
    ```

    Weights that `dsv2.quantize` makes of one type are concatenated before it.

    Leaves alone routers, both halves of gated units (`dsv2-fuse-gate-up`),
    weights of different types, those that are computed from the first product,
    and weights behind one in `block_fp8` that ends within a block.

    Does not change rounding.
  }];
  let statistics = [
    Statistic<"numFused", "num-fused", "Number of fused products made">
  ];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def FuseGateUpPass : Pass<"dsv2-fuse-gate-up"> {
  let summary = "Compute gate and up in one product";
  let description = [{
    Before:

    ```mlir
    %g = dsv2.linear %h, %w_gate : tensor<?x2048xf32>, tensor<1408x2048xbf16> -> tensor<?x1408xf32>
    %u = dsv2.linear %h, %w_up : tensor<?x2048xf32>, tensor<1408x2048xbf16> -> tensor<?x1408xf32>
    %a = dsv2.swiglu %g, %u : tensor<?x1408xf32> -> tensor<?x1408xf32>
    ```

    After:

    ```mlir
    %w = tensor.concat dim(0) %w_gate, %w_up : (tensor<1408x2048xbf16>, tensor<1408x2048xbf16>) -> tensor<2816x2048xbf16>
    %y = dsv2.linear %h, %w : tensor<?x2048xf32>, tensor<2816x2048xbf16> -> tensor<?x2816xf32>
    %g = tensor.extract_slice %y[0, 0] [%rows, 1408] [1, 1] : tensor<?x2816xf32> to tensor<?x1408xf32>
    %u = tensor.extract_slice %y[0, 1408] [%rows, 1408] [1, 1] : tensor<?x2816xf32> to tensor<?x1408xf32>
    %a = dsv2.swiglu %g, %u : tensor<?x1408xf32> -> tensor<?x1408xf32>
    ```

    The same for `dsv2.grouped_linear`, whose weights are concatenated along
    dimension 1.

    Weights that `dsv2.quantize` makes of one type are concatenated before it.

    Leaves alone gate and up of different inputs, with other uses, or whose
    weights have different types, and a gate in `block_fp8` that ends within a
    block.

    Does not change rounding.
  }];
  let statistics = [
    Statistic<"numFused", "num-fused", "Number of gated units fused">
  ];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def MergeSharedExpertsPass : Pass<"dsv2-merge-shared-experts"> {
  let summary = "Compute shared experts as experts that every token visits";
  let description = [{
    A shared network n times as wide as an expert is n experts. Before:

    ```mlir
    %weights, %experts = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups scale 1.0
        : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
    %r = dsv2.experts %x, %weights, %experts, %gate, %up, %down
        : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
    %g = dsv2.linear %x, %s_gate : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
    %u = dsv2.linear %x, %s_up : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
    %a = dsv2.swiglu %g, %u : tensor<?x32xf32> -> tensor<?x32xf32>
    %s = dsv2.linear %a, %s_down : tensor<?x32xf32>, tensor<64x32xbf16> -> tensor<?x64xf32>
    %y = arith.addf %r, %s : tensor<?x64xf32>
    ```

    After:

    ```mlir
    %0 = tensor.expand_shape %s_gate [[0, 1], [2]] output_shape [1, 32, 64] : tensor<32x64xbf16> into tensor<1x32x64xbf16>
    %gates = tensor.concat dim(0) %gate, %0 : (tensor<8x32x64xbf16>, tensor<1x32x64xbf16>) -> tensor<9x32x64xbf16>
    %1 = tensor.expand_shape %s_up [[0, 1], [2]] output_shape [1, 32, 64] : tensor<32x64xbf16> into tensor<1x32x64xbf16>
    %ups = tensor.concat dim(0) %up, %1 : (tensor<8x32x64xbf16>, tensor<1x32x64xbf16>) -> tensor<9x32x64xbf16>
    %2 = tensor.expand_shape %s_down [[0, 1], [2]] output_shape [1, 64, 32] : tensor<64x32xbf16> into tensor<1x64x32xbf16>
    %downs = tensor.concat dim(0) %down, %2 : (tensor<8x64x32xbf16>, tensor<1x64x32xbf16>) -> tensor<9x64x32xbf16>
    %weights, %experts = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups shared 1 scale 1.0
        : tensor<?x8xf32> -> tensor<?x3xf32>, tensor<?x3xi32>
    %y = dsv2.experts %x, %weights, %experts, %gates, %ups, %downs
        : tensor<?x64xf32>, tensor<?x3xf32>, tensor<?x3xi32>, tensor<9x32x64xbf16>, tensor<9x32x64xbf16>, tensor<9x64x32xbf16> -> tensor<?x64xf32>
    ```

    Saves three launches of a GPU where few tokens leave most of it idle.

    Leaves alone shared networks of another input, of weights in other formats,
    of a width that is no multiple of an expert's, and results that have other
    uses.

    Changes rounding: the result of a shared network is rounded once for each of
    the experts it becomes.
  }];
  let statistics = [
    Statistic<"numMerged", "num-merged", "Number of shared networks merged">
  ];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def GroupExpertsPass : Pass<"dsv2-group-experts"> {
  let summary = "Compute expert by expert instead of token by token";
  let description = [{
    Before:

    ```mlir
    %y = dsv2.experts %x, %weights, %experts, %gate, %up, %down
        : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
    ```

    After:

    ```mlir
    %offsets, %active, %count, %slot_token, %token_slot = dsv2.group_tokens %experts
        : tensor<?x2xi32> -> tensor<9xi32>, tensor<8xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x2xi32>
    %g = dsv2.grouped_linear %x gather %slot_token : tensor<?xi32>, %gate by (%offsets, %active, %count)
        : tensor<?x64xf32>, tensor<8x32x64xbf16>, tensor<9xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<?x32xf32>
    %u = dsv2.grouped_linear %x gather %slot_token : tensor<?xi32>, %up by (%offsets, %active, %count)
        : tensor<?x64xf32>, tensor<8x32x64xbf16>, tensor<9xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<?x32xf32>
    %a = dsv2.swiglu %g, %u : tensor<?x32xf32> -> tensor<?x32xf32>
    %d = dsv2.grouped_linear %a, %down by (%offsets, %active, %count)
        : tensor<?x32xf32>, tensor<8x64x32xbf16>, tensor<9xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<?x64xf32>
    %y = dsv2.combine_experts %d, %weights, %token_slot
        : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x64xf32>
    ```

    Leaves alone experts whose number or width is not static.

    Does not change rounding: a token's experts are summed in the same order.
  }];
  let statistics = [
    Statistic<"numGrouped", "num-grouped", "Number of expert layers grouped">
  ];
}

def QuantizeWeightsPass : Pass<"dsv2-quantize-weights"> {
  let summary = "Quantize classes of weights to integers in groups of 32";
  let description = [{
    Before:

    ```mlir
    %y = dsv2.linear %h, %w : tensor<?x2048xf32>, tensor<3072x2048xbf16> -> tensor<?x3072xf32>
    ```

    After `dsv2-quantize-weights{attention=int4}`:

    ```mlir
    %q = dsv2.quantize %w : tensor<3072x2048xbf16> -> tensor<3072x2048xi4, #dsv2.block_int4<32>>
    %y = dsv2.linear %h, %q : tensor<?x2048xf32>, tensor<3072x2048xi4, #dsv2.block_int4<32>> -> tensor<?x3072xf32>
    ```

    A class has its own option; `format` is for classes without. The classes are
    found by what a product feeds: `experts` are selected by a route, `dense`
    products are next to `dsv2.swiglu`, `shared` ones too, but their results are
    added to those of experts, those of the `head` are returned, and the
    remaining ones are `attention`. Shared experts without an option have that of
    `dense`. Up-projections of heads are small and stay precise unless their
    option says otherwise; quantize them after `dsv2-absorb-up-projections`.

    The values of a weight in another block format are quantized; where
    `dsv2.quantize` computes them, its operand is. `bf16` replaces quantized
    weights by their values and rounds them.

    Leaves alone routers, embeddings and norms, weights in the chosen format
    already, and those that depend on activations. Any width is allowed: the last
    group of a row may be shorter.

    Changes rounding: weights are rounded to their format.
  }];
  let options = [
    DSV2_FormatOption<"format", "format", "Int8", "Classes without an option">,
    DSV2_FormatOption<"attention", "attention", "Default",
                      "Projections of queries, latents and results">,
    DSV2_FormatOption<"dense", "dense", "Default",
                      "Gated units for all tokens, shared experts among them">,
    DSV2_FormatOption<"shared", "shared", "Default",
                      "Gated units for all tokens beside experts">,
    DSV2_FormatOption<"experts", "experts", "Default",
                      "Gated units for selected tokens">,
    DSV2_FormatOption<"head", "head", "Default", "Logits">,
    DSV2_FormatOption<"upProjections", "up-projections", "Keep",
                      "Maps between each head and the latent">
  ];
  let statistics = [
    Statistic<"numQuantized", "num-quantized", "Number of weights given a format">
  ];
}

def HoistWeightsPass : Pass<"dsv2-hoist-weights", "::mlir::ModuleOp"> {
  let summary = "Move computations of weights alone out of functions";
  let description = [{
    Before:

    ```mlir
    dsv2.weight @layers.0.kv_b : tensor<4096x512xbf16> from "kv_b"
    func.func @forward(%x: tensor<?x512xf32>) -> tensor<?x2048xf32> {
      %w = dsv2.get_weight @layers.0.kv_b : tensor<4096x512xbf16>
      %uk = tensor.extract_slice %w[0, 0] [2048, 512] [1, 1] : tensor<4096x512xbf16> to tensor<2048x512xbf16>
      %k = dsv2.linear %x, %uk : tensor<?x512xf32>, tensor<2048x512xbf16> -> tensor<?x2048xf32>
      return %k : tensor<?x2048xf32>
    }
    ```

    After:

    ```mlir
    dsv2.weight @layers.0.kv_b : tensor<4096x512xbf16> from "kv_b"
    dsv2.weight @layers.0.kv_b.0to2048 : tensor<2048x512xbf16> {
      %w = dsv2.get_weight @layers.0.kv_b : tensor<4096x512xbf16>
      %uk = tensor.extract_slice %w[0, 0] [2048, 512] [1, 1] : tensor<4096x512xbf16> to tensor<2048x512xbf16>
      dsv2.yield %uk : tensor<2048x512xbf16>
    }
    func.func @forward(%x: tensor<?x512xf32>) -> tensor<?x2048xf32> {
      %uk = dsv2.get_weight @layers.0.kv_b.0to2048 : tensor<2048x512xbf16>
      %k = dsv2.linear %x, %uk : tensor<?x512xf32>, tensor<2048x512xbf16> -> tensor<?x2048xf32>
      return %k : tensor<?x2048xf32>
    }
    ```

    Equal computations become one weight, and weights that nothing uses any more
    are removed. A computed weight is named after what it is computed from and
    how: `a.b` and `a.c` concatenated are `a.b_c`; a slice adds its range, a
    transposition `t`, quantization the format, packing `packed`; a new shape or
    type adds the element type, if nothing else is done. A name location of the
    computation (`loc("uk")`) takes the place of what it would add.

    Leaves alone results that are not tensors of a static shape, and operations
    with side effects.

    Does not change rounding.
  }];
  let statistics = [
    Statistic<"numHoisted", "num-hoisted", "Number of weights computed">,
    Statistic<"numRemoved", "num-removed", "Number of unused weights removed">
  ];
}

#endif // DSV2_PASSES_PASSES_TD
