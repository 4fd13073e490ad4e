// Valid IR from which no plan can be made is reported.

// RUN: split-file %s %t
// RUN: not dsv2-compile %t/argument.mlir --weights=none --compile-to=plan 2>&1 | FileCheck %s --check-prefix=ARGUMENT
// ARGUMENT: error: {{.*}}expects to return computed logits as its first result
// RUN: not dsv2-compile %t/weight.mlir --weights=none --compile-to=plan 2>&1 | FileCheck %s --check-prefix=WEIGHT
// WEIGHT: error: {{.*}}expects to return computed logits as its first result
// RUN: not dsv2-compile %t/tokens.mlir --weights=none --compile-to=plan 2>&1 | FileCheck %s --check-prefix=TOKENS
// TOKENS: error: {{.*}}expects token ids, tensor<?xi32>, as its only tensor argument, but found 'tensor<?x8xf32>'
// RUN: not dsv2-compile %t/batch.mlir --weights=none --compile-to=plan 2>&1 | FileCheck %s --check-prefix=BATCH
// BATCH: error: {{.*}}expects an array with one element for each new token, but found context_rows
// RUN: not dsv2-compile %t/slice.mlir --weights=none --compile-to=plan 2>&1 | FileCheck %s --check-prefix=SLICE
// SLICE: error: {{.*}}expects a slice or reshape that needs no copy

//--- argument.mlir
module attributes {dsv2.source = "deepseek-v2-lite"} {
  dsv2.weight @wc : tensor<100x32xbf16> from "wc"
  dsv2.weight @wr : tensor<100x8xbf16> from "wr"
  func.func @forward(%tokens: tensor<?xi32>,
                     %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>, %batch: !dsv2.batch)
      -> (tensor<?xi32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>) {
    %wc = dsv2.get_weight @wc : tensor<100x32xbf16>
    %wr = dsv2.get_weight @wr : tensor<100x8xbf16>
    %c = dsv2.embed %tokens, %wc : tensor<?xi32>, tensor<100x32xbf16> -> tensor<?x32xf32>
    %r = dsv2.embed %tokens, %wr : tensor<?xi32>, tensor<100x8xbf16> -> tensor<?x8xf32>
    %next = dsv2.cache_append %cache layer 0 (%c, %r) at %batch
        : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
    return %tokens, %next : tensor<?xi32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
  }
}

//--- weight.mlir
module attributes {dsv2.source = "deepseek-v2-lite"} {
  dsv2.weight @wc : tensor<100x32xbf16> from "wc"
  dsv2.weight @wr : tensor<100x8xbf16> from "wr"
  func.func @forward(%tokens: tensor<?xi32>,
                     %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>, %batch: !dsv2.batch)
      -> (tensor<100x8xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>) {
    %wc = dsv2.get_weight @wc : tensor<100x32xbf16>
    %wr = dsv2.get_weight @wr : tensor<100x8xbf16>
    %c = dsv2.embed %tokens, %wc : tensor<?xi32>, tensor<100x32xbf16> -> tensor<?x32xf32>
    %r = dsv2.embed %tokens, %wr : tensor<?xi32>, tensor<100x8xbf16> -> tensor<?x8xf32>
    %next = dsv2.cache_append %cache layer 0 (%c, %r) at %batch
        : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
    return %wr, %next : tensor<100x8xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
  }
}

//--- tokens.mlir
module attributes {dsv2.source = "deepseek-v2-lite"} {
  dsv2.weight @wc : tensor<100x32xbf16> from "wc"
  dsv2.weight @wr : tensor<100x8xbf16> from "wr"
  func.func @forward(%tokens: tensor<?xi32>, %x: tensor<?x8xf32>,
                     %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>, %batch: !dsv2.batch)
      -> (tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>) {
    %wc = dsv2.get_weight @wc : tensor<100x32xbf16>
    %wr = dsv2.get_weight @wr : tensor<100x8xbf16>
    %c = dsv2.embed %tokens, %wc : tensor<?xi32>, tensor<100x32xbf16> -> tensor<?x32xf32>
    %r = dsv2.embed %tokens, %wr : tensor<?xi32>, tensor<100x8xbf16> -> tensor<?x8xf32>
    %y = arith.addf %x, %r : tensor<?x8xf32>
    %next = dsv2.cache_append %cache layer 0 (%c, %r) at %batch
        : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
    return %y, %next : tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
  }
}

//--- batch.mlir
module attributes {dsv2.source = "deepseek-v2-lite"} {
  dsv2.weight @wc : tensor<100x32xbf16> from "wc"
  dsv2.weight @wr : tensor<100x8xbf16> from "wr"
  func.func @forward(%tokens: tensor<?xi32>,
                     %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>, %batch: !dsv2.batch)
      -> (tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>) {
    %wc = dsv2.get_weight @wc : tensor<100x32xbf16>
    %wr = dsv2.get_weight @wr : tensor<100x8xbf16>
    %c = dsv2.embed %tokens, %wc : tensor<?xi32>, tensor<100x32xbf16> -> tensor<?x32xf32>
    %r = dsv2.embed %tokens, %wr : tensor<?xi32>, tensor<100x8xbf16> -> tensor<?x8xf32>
    %rows = dsv2.batch_get context_rows of %batch : tensor<?xi32>
    %y = dsv2.embed %rows, %wr : tensor<?xi32>, tensor<100x8xbf16> -> tensor<?x8xf32>
    %next = dsv2.cache_append %cache layer 0 (%c, %r) at %batch
        : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
    return %y, %next : tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
  }
}

//--- slice.mlir
module attributes {dsv2.source = "deepseek-v2-lite"} {
  dsv2.weight @wc : tensor<100x32xbf16> from "wc"
  dsv2.weight @wr : tensor<100x8xbf16> from "wr"
  func.func @forward(%tokens: tensor<?xi32>,
                     %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>, %batch: !dsv2.batch)
      -> (tensor<4x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>) {
    %wc = dsv2.get_weight @wc : tensor<100x32xbf16>
    %wr = dsv2.get_weight @wr : tensor<100x8xbf16>
    %c = dsv2.embed %tokens, %wc : tensor<?xi32>, tensor<100x32xbf16> -> tensor<?x32xf32>
    %r = dsv2.embed %tokens, %wr : tensor<?xi32>, tensor<100x8xbf16> -> tensor<?x8xf32>
    %part = tensor.extract_slice %r[0, 0] [4, 8] [1, 1] : tensor<?x8xf32> to tensor<4x8xf32>
    %y = arith.addf %part, %part : tensor<4x8xf32>
    %next = dsv2.cache_append %cache layer 0 (%c, %r) at %batch
        : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
    return %y, %next : tensor<4x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 1, page = 64>
  }
}
