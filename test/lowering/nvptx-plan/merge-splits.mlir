// RUN: dsv2-opt %s --split-input-file --pass-pipeline="builtin.module(dsv2-form-gpu-programs{max-batch-tokens=16 max-context=4096})" | FileCheck %s
// RUN: dsv2-opt %s --split-input-file --pass-pipeline="builtin.module(dsv2-form-gpu-programs{max-batch-tokens=1 max-sequences=1 max-context=4096})" | FileCheck %s --check-prefix=FEW
// RUN: dsv2-opt %s --split-input-file --pass-pipeline="builtin.module(dsv2-form-gpu-programs{max-batch-tokens=16 max-context=512})" | FileCheck %s --check-prefix=SHORT

// In steps of one token the product of heads merges the splits of contexts,
// whose partial results it is bound to behind its weight. More tokens have a
// launch for that.

// CHECK-LABEL: plan.program @decode
// CHECK:         plan.dispatch @latent_attention{{.*}} out buffer([[X:@.*]]), out buffer([[PARTS:@.*]]), out buffer([[SUMS:@.*]]))
// CHECK:         plan.dispatch @latent_combine{{.*}} from 2 tokens (in buffer([[PARTS]]), in buffer([[SUMS]]), {{.*}}, inout buffer([[X]]))
// CHECK:         plan.dispatch @gemv_bf16_bf16_f32_2x32x128_merge512x[[SPLITS:[0-9]+]]of4096_max1 {{.*}} to 1 tokens (in buffer([[X]]), in weight(@w_uv), in buffer([[PARTS]]), in buffer([[SUMS]]), in batch(positions), in batch(token_sequence), in batch(context_lengths), out {{.*}})
// CHECK:         plan.dispatch @gemv_bf16_bf16_f32_2x32x128_max8 {{.*}} from 2 tokens to 8 tokens (in buffer([[X]]), in weight(@w_uv), out {{.*}})
// CHECK:         plan.dispatch @gemv_bf16_bf16_f32_2x32x128_max16 {{.*}} from 9 tokens (in buffer([[X]]), in weight(@w_uv), out {{.*}})

// Nor is there one where no step has more.

// FEW-LABEL:   plan.program @decode
// FEW-NOT:       latent_combine
// FEW:           plan.dispatch @gemv_{{.*}}_merge512x{{.*}}_max1
// FEW:         module @kernels

// Contexts of one split are whole.

// SHORT-LABEL: plan.program @decode
// SHORT-NOT:     latent_combine
// SHORT-NOT:     _merge
// SHORT:       module @kernels

!cache = !dsv2.latent_cache<128 + 64xbf16, layers = 1, page = 64>

dsv2.weight @embed : tensor<96x256xbf16> from "embed"
dsv2.weight @q_latent : tensor<2x128x256xbf16> from "q_latent"
dsv2.weight @q_rope : tensor<2x64x256xbf16> from "q_rope"
dsv2.weight @w_uv : tensor<2x32x128xbf16> from "w_uv"
dsv2.weight @head : tensor<96x64xbf16> from "head"

func.func @decode(%tokens: tensor<?xi32>, %b: !dsv2.batch, %cache: !cache) -> (tensor<?x96xf32>, !cache) attributes {dsv2.max_query_tokens = 8} {
  %table = dsv2.get_weight @embed : tensor<96x256xbf16>
  %q_latent = dsv2.get_weight @q_latent : tensor<2x128x256xbf16>
  %q_rope = dsv2.get_weight @q_rope : tensor<2x64x256xbf16>
  %w = dsv2.get_weight @w_uv : tensor<2x32x128xbf16>
  %x = dsv2.embed %tokens, %table : tensor<?xi32>, tensor<96x256xbf16> -> tensor<?x256xf32>
  %ql = dsv2.head_project %x, %q_latent : tensor<?x256xf32>, tensor<2x128x256xbf16> -> tensor<?x2x128xbf16>
  %qr = dsv2.head_project %x, %q_rope : tensor<?x256xf32>, tensor<2x64x256xbf16> -> tensor<?x2x64xbf16>
  %o = dsv2.latent_attention (%ql, %qr), %cache layer 0 scale 0.2 of %b
      : (tensor<?x2x128xbf16>, tensor<?x2x64xbf16>), !cache -> tensor<?x2x128xbf16>
  %y = dsv2.head_project %o, %w : tensor<?x2x128xbf16>, tensor<2x32x128xbf16> -> tensor<?x2x32xf32>
  %flat = tensor.collapse_shape %y [[0], [1, 2]] : tensor<?x2x32xf32> into tensor<?x64xf32>
  %head = dsv2.get_weight @head : tensor<96x64xbf16>
  %logits = dsv2.linear %flat, %head : tensor<?x64xf32>, tensor<96x64xbf16> -> tensor<?x96xf32>
  return %logits, %cache : tensor<?x96xf32>, !cache
}

// -----

// A result that something else reads too is merged once, before.

// CHECK-LABEL: plan.program @decode
// CHECK-NOT:     _merge
// CHECK:         plan.dispatch @latent_combine{{.*}} tokens by 1> (in
// CHECK-NOT:     _merge
// CHECK:       module @kernels

!cache = !dsv2.latent_cache<128 + 64xbf16, layers = 1, page = 64>

dsv2.weight @embed : tensor<96x256xbf16> from "embed"
dsv2.weight @q_latent : tensor<2x128x256xbf16> from "q_latent"
dsv2.weight @q_rope : tensor<2x64x256xbf16> from "q_rope"
dsv2.weight @w_uv : tensor<2x32x128xbf16> from "w_uv"
dsv2.weight @head : tensor<96x64xbf16> from "head"

func.func @decode(%tokens: tensor<?xi32>, %b: !dsv2.batch, %cache: !cache) -> (tensor<?x96xf32>, !cache) attributes {dsv2.max_query_tokens = 8} {
  %table = dsv2.get_weight @embed : tensor<96x256xbf16>
  %q_latent = dsv2.get_weight @q_latent : tensor<2x128x256xbf16>
  %q_rope = dsv2.get_weight @q_rope : tensor<2x64x256xbf16>
  %w = dsv2.get_weight @w_uv : tensor<2x32x128xbf16>
  %x = dsv2.embed %tokens, %table : tensor<?xi32>, tensor<96x256xbf16> -> tensor<?x256xf32>
  %ql = dsv2.head_project %x, %q_latent : tensor<?x256xf32>, tensor<2x128x256xbf16> -> tensor<?x2x128xbf16>
  %qr = dsv2.head_project %x, %q_rope : tensor<?x256xf32>, tensor<2x64x256xbf16> -> tensor<?x2x64xbf16>
  %o = dsv2.latent_attention (%ql, %qr), %cache layer 0 scale 0.2 of %b
      : (tensor<?x2x128xbf16>, tensor<?x2x64xbf16>), !cache -> tensor<?x2x128xbf16>
  %y = dsv2.head_project %o, %w : tensor<?x2x128xbf16>, tensor<2x32x128xbf16> -> tensor<?x2x32xf32>
  %z = dsv2.head_project %o, %w : tensor<?x2x128xbf16>, tensor<2x32x128xbf16> -> tensor<?x2x32xf32>
  %flat = tensor.collapse_shape %y [[0], [1, 2]] : tensor<?x2x32xf32> into tensor<?x64xf32>
  %other = tensor.collapse_shape %z [[0], [1, 2]] : tensor<?x2x32xf32> into tensor<?x64xf32>
  %sum = arith.addf %flat, %other : tensor<?x64xf32>
  %head = dsv2.get_weight @head : tensor<96x64xbf16>
  %logits = dsv2.linear %sum, %head : tensor<?x64xf32>, tensor<96x64xbf16> -> tensor<?x96xf32>
  return %logits, %cache : tensor<?x96xf32>, !cache
}
