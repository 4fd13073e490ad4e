//===- Passes.td - Target-independent passes ---------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_PASSES_TD
#define DSV2_PASSES_PASSES_TD

include "mlir/Pass/PassBase.td"

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

    The softmax scale does not change. `form=auto` compares the work of both
    forms for the most query tokens of the function (`dsv2.max_query_tokens`, or
    as many as `context` where they are not bounded) and `context` cached tokens,
    and says so in a remark.

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
    Option<"context", "context", "int64_t", "4096",
           "Cached tokens of a typical sequence">
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

    Does not change rounding: the same sums, tile by tile.
  }];
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

#endif // DSV2_PASSES_PASSES_TD
