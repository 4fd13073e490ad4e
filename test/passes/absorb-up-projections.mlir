// RUN: dsv2-opt %s --dsv2-absorb-up-projections --split-input-file 2>/dev/null | FileCheck %s
// RUN: dsv2-opt %s --dsv2-absorb-up-projections=form=latent --split-input-file 2>&1 | FileCheck %s --check-prefix=LATENT
// RUN: dsv2-opt %s --dsv2-absorb-up-projections=form=expanded --split-input-file 2>&1 | FileCheck %s --check-prefix=EXPANDED
// RUN: dsv2-opt %s --dsv2-absorb-up-projections --split-input-file --verify-diagnostics
// RUN: dsv2-opt %s --dsv2-absorb-up-projections=machine=hopper --split-input-file 2>&1 | FileCheck %s --check-prefix=HOPPER

// RUN: not dsv2-opt %s --dsv2-absorb-up-projections=context=0 2>&1 | FileCheck %s --check-prefix=ZERO
// ZERO: expects context of at least 1, but found 0

// Few query tokens: the projections move to the query and to the result.

// CHECK-LABEL: func.func @decode
// CHECK-SAME:    %[[QN:.*]]: tensor<?x16x128xf32>, %[[QR:.*]]: tensor<?x16x64xf32>
// CHECK-SAME:    %[[UK:.*]]: tensor<16x128x512xbf16>, %[[UV:.*]]: tensor<16x96x512xbf16>
// CHECK-SAME:    %[[CACHE:.*]]: !dsv2.latent_cache<{{.*}}>, %[[BATCH:.*]]: !dsv2.batch
// CHECK-NOT:     dsv2.cache_gather
// CHECK:         %[[INIT:.*]] = tensor.empty() : tensor<16x512x128xbf16>
// CHECK-NEXT:    %[[KU:.*]] = linalg.transpose ins(%[[UK]] : {{.*}}) outs(%[[INIT]] : {{.*}}) permutation = [0, 2, 1]
// CHECK-NEXT:    %[[QL:.*]] = dsv2.head_project %[[QN]], %[[KU]]
// CHECK-SAME:      -> tensor<?x16x512xf32>
// CHECK-NEXT:    %[[O:.*]] = dsv2.latent_attention(%[[QL]], %[[QR]]), %[[CACHE]] layer 1 scale 1.147000e-01 of %[[BATCH]]
// CHECK-SAME:      -> tensor<?x16x512xf32>
// CHECK-NEXT:    %[[R:.*]] = dsv2.head_project %[[O]], %[[UV]]
// CHECK-SAME:      -> tensor<?x16x96xf32>
// CHECK-NEXT:    return %[[R]]

// HOPPER: remark: latent form: 8 query tokens after 4096 {{.*}} break-even at 100.7 query tokens

// EXPANDED:       remark: expanded form (forced): 8 query tokens after 4096
// EXPANDED-LABEL: func.func @decode
// EXPANDED:         dsv2.attention
func.func @decode(%qn: tensor<?x16x128xf32>, %qr: tensor<?x16x64xf32>,
                  %uk: tensor<16x128x512xbf16>, %uv: tensor<16x96x512xbf16>,
                  %cache: !dsv2.latent_cache<512 + 64xbf16, layers = 2, page = 64>,
                  %batch: !dsv2.batch) -> tensor<?x16x96xf32>
    attributes {dsv2.max_query_tokens = 8 : i64} {
  %c, %r = dsv2.cache_gather %cache layer 1 of %batch
      : !dsv2.latent_cache<512 + 64xbf16, layers = 2, page = 64> -> tensor<?x512xf32>, tensor<?x64xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x512xf32>, tensor<16x128x512xbf16> -> tensor<?x16x128xf32>
  %v = dsv2.head_project %c, %uv : tensor<?x512xf32>, tensor<16x96x512xbf16> -> tensor<?x16x96xf32>
  // 2 * 16 * (8 * 4100 * 1088 + 8 * 512 * 224) and
  // 2 * 16 * (8 * 4100 * 288 + 4104 * 512 * 224) operations.
  // expected-remark @below {{latent form: 8 query tokens after 4096 cost 1171.3 MFLOP latent, 15364.0 MFLOP expanded; break-even at 132.1 query tokens}}
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x16x128xf32>, tensor<?x16x64xf32>), (tensor<?x16x128xf32>, tensor<?x64xf32>), tensor<?x16x96xf32> -> tensor<?x16x96xf32>
  return %o : tensor<?x16x96xf32>
}

// -----

// The number of query tokens is not bounded, so a prompt may be as long as the
// context: expanding costs less.

// CHECK-LABEL: func.func @prefill
// CHECK:         dsv2.attention
// CHECK-NOT:     dsv2.latent_attention

// LATENT:       remark: latent form (forced): 4096 query tokens after 4096
// LATENT-LABEL: func.func @prefill
// LATENT:         dsv2.latent_attention
func.func @prefill(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                   %uk: tensor<4x16x32xbf16>, %uv: tensor<4x16x32xbf16>,
                   %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                   %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %c, %r = dsv2.cache_gather %cache layer 0 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %v = dsv2.head_project %c, %uv : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  // expected-remark @below {{expanded form: 4096 query tokens after 4096}}
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// A quantized matrix cannot be transposed.

// CHECK-LABEL: func.func @number_format
// CHECK:         dsv2.attention
// CHECK-NOT:     dsv2.latent_attention
func.func @number_format(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                         %uk: tensor<4x16x32xi8, #dsv2.block_int8<32>>, %uv: tensor<4x16x32xbf16>,
                         %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                         %batch: !dsv2.batch) -> tensor<?x4x16xf32>
    attributes {dsv2.max_query_tokens = 1 : i64} {
  %c, %r = dsv2.cache_gather %cache layer 0 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xi8, #dsv2.block_int8<32>> -> tensor<?x4x16xf32>
  %v = dsv2.head_project %c, %uv : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// CHECK-LABEL: func.func @dynamic_heads
// CHECK:         dsv2.attention
// CHECK-NOT:     dsv2.latent_attention
func.func @dynamic_heads(%qn: tensor<?x?x16xf32>, %qr: tensor<?x?x8xf32>,
                         %uk: tensor<?x16x32xbf16>, %uv: tensor<?x16x32xbf16>,
                         %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                         %batch: !dsv2.batch) -> tensor<?x?x16xf32>
    attributes {dsv2.max_query_tokens = 1 : i64} {
  %c, %r = dsv2.cache_gather %cache layer 0 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<?x16x32xbf16> -> tensor<?x?x16xf32>
  %v = dsv2.head_project %c, %uv : tensor<?x32xf32>, tensor<?x16x32xbf16> -> tensor<?x?x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x?x16xf32>, tensor<?x?x8xf32>), (tensor<?x?x16xf32>, tensor<?x8xf32>), tensor<?x?x16xf32> -> tensor<?x?x16xf32>
  return %o : tensor<?x?x16xf32>
}
