// RUN: dsv2-opt %s --verify-roundtrip | FileCheck %s

// Syntax that the examples of the documentation (examples.test) leave out.

// CHECK: dsv2.weight @source : tensor<8x64xbf16> from "a.weight"
dsv2.weight @source : tensor<8x64xbf16> from "a.weight"
// CHECK: dsv2.weight @stacked : tensor<2x8x64xbf16> from "experts.*.weight"
dsv2.weight @stacked : tensor<2x8x64xbf16> from "experts.*.weight"
// CHECK: dsv2.weight @computed : tensor<8x64xbf16> attributes {note} {
// CHECK:   %[[W:.*]] = dsv2.get_weight @source
// CHECK:   dsv2.yield %[[W]] : tensor<8x64xbf16>
dsv2.weight @computed : tensor<8x64xbf16> attributes {note} {
  %0 = dsv2.get_weight @source : tensor<8x64xbf16>
  dsv2.yield %0 : tensor<8x64xbf16>
}

// CHECK-LABEL: func.func private @types
// CHECK-SAME:    !dsv2.batch, !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>
// CHECK-SAME:    !dsv2.latent_cache<16 + 2xf32, layers = 1, page = 1>
func.func private @types(!dsv2.batch, !dsv2.latent_cache<512 + 64xbf16, layers = 27, page = 64>,
                         !dsv2.latent_cache<16 + 2xf32, layers = 1, page = 1>)

// CHECK-LABEL: func.func private @formats
// CHECK-SAME:    tensor<8x64xi8, #dsv2.block_int8<32>>, tensor<8x64xi4, #dsv2.block_int4<64>>
// CHECK-SAME:    tensor<8x64xf8E4M3FN, #dsv2.block_fp8<128x64>>
// CHECK-SAME:    tensor<8x64xbf16, #dsv2.panels<32>>
// CHECK-SAME:    tensor<8x64xi8, #dsv2.panels<16, #dsv2.block_int8<32>>>
// CHECK-SAME:    tensor<16x64xbf16, #dsv2.panels<1 interleave 8>>
// CHECK-SAME:    tensor<16x64xi8, #dsv2.panels<1 interleave 8, #dsv2.block_int8<32>>>
// CHECK-SAME:    tensor<?x128xf8E4M3FN, #dsv2.rows<128>>
// CHECK-SAME:    tensor<?x64xi8, #dsv2.rows<32>>
func.func private @formats(tensor<8x64xi8, #dsv2.block_int8<32>>, tensor<8x64xi4, #dsv2.block_int4<64>>,
                           tensor<8x64xf8E4M3FN, #dsv2.block_fp8<128x64>>,
                           tensor<8x64xbf16, #dsv2.panels<32>>,
                           tensor<8x64xi8, #dsv2.panels<16, #dsv2.block_int8<32>>>,
                           tensor<16x64xbf16, #dsv2.panels<1 interleave 8>>,
                           tensor<16x64xi8, #dsv2.panels<1 interleave 8, #dsv2.block_int8<32>>>,
                           tensor<?x128xf8E4M3FN, #dsv2.rows<128>>,
                           tensor<?x64xi8, #dsv2.rows<32>>)

// CHECK-LABEL: func.func private @phase
// CHECK-SAME:    dsv2.max_query_tokens = 8 : i64
func.func private @phase() attributes {dsv2.max_query_tokens = 8 : i64}

// CHECK-LABEL: func.func @variants
// CHECK-SAME:    %[[L:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<8xf32>
func.func @variants(%l: tensor<?x8xf32>, %b: tensor<8xf32>, %batch: !dsv2.batch, %x: tensor<?x2x16xf32>,
                    %w: tensor<2x8x16xbf16>, %p: tensor<2x32x16xbf16, #dsv2.panels<32>>,
                    %v: tensor<2x8x32xbf16, #dsv2.panels<32>>, %r: tensor<?x2x8xf32>,
                    %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>) {
  // CHECK: dsv2.route %[[L]] bias %[[B]] : tensor<8xf32> sigmoid group_top2 top 2 in 2 of 4 groups normalize scale 2.500000e+00
  %w0, %e0 = dsv2.route %l bias %b : tensor<8xf32> sigmoid group_top2 top 2 in 2 of 4 groups normalize scale 2.5
      : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  // CHECK: dsv2.batch_get page_table of %{{.*}} : tensor<?x?xi32>
  %0 = dsv2.batch_get page_table of %batch : tensor<?x?xi32>
  // CHECK: dsv2.batch_get logit_rows of %{{.*}} : tensor<?xi32>
  %1 = dsv2.batch_get logit_rows of %batch : tensor<?xi32>
  // CHECK: dsv2.head_project %{{.*}} : tensor<?x2x16xf32>, tensor<2x8x16xbf16> -> tensor<?x2x8xf32>
  %2 = dsv2.head_project %x, %w : tensor<?x2x16xf32>, tensor<2x8x16xbf16> -> tensor<?x2x8xf32>
  // CHECK: dsv2.rope %{{.*}} by <theta = 1.000000e+04, yarn = <factor = 4.000000e+01, original = 4096, beta_fast = 3.200000e+01, beta_slow = 1.000000e+00, mscale = {{.*}}, mscale_all_dim = {{.*}}>> at
  %3 = dsv2.rope %x by <theta = 1.0e4, yarn = <factor = 40.0, original = 4096, beta_fast = 32.0, beta_slow = 1.0, mscale = 0.707, mscale_all_dim = 0.707>> at %batch
      : tensor<?x2x16xf32> -> tensor<?x2x16xf32>
  // In panels, the key projection is transposed.
  // CHECK: dsv2.expanded_attention
  // CHECK-SAME: tensor<2x32x16xbf16, #dsv2.panels<32>>, tensor<2x8x32xbf16, #dsv2.panels<32>>
  %4 = dsv2.expanded_attention (%x, %r), %p, %v, %cache layer 1 scale 0.2 of %batch
      : (tensor<?x2x16xf32>, tensor<?x2x8xf32>), tensor<2x32x16xbf16, #dsv2.panels<32>>, tensor<2x8x32xbf16, #dsv2.panels<32>>,
        !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x2x8xf32>
  return
}
