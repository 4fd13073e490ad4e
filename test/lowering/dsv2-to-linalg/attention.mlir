// RUN: dsv2-opt %s --dsv2-to-linalg --canonicalize --cse | FileCheck %s

!cache = !dsv2.latent_cache<8 + 4xbf16, layers = 3, page = 64>

// CHECK-LABEL: func @cache_append
// CHECK-SAME:    %[[CACHE:.*]]: !dsv2.latent_cache<{{.*}}>, %[[C:.*]]: tensor<?x8xf32>, %[[K:.*]]: tensor<?x4xf32>, %[[BATCH:.*]]: !dsv2.batch
func.func @cache_append(%cache: !cache, %c: tensor<?x8xf32>, %k: tensor<?x4xf32>, %batch: !dsv2.batch) -> !cache {
  // CHECK-DAG: %[[PLANE:.*]] = dsv2.cache_rows %[[CACHE]] layer 1
  // CHECK-DAG: %[[ROWS:.*]] = dsv2.batch_get cache_rows of %[[BATCH]]
  // CHECK: %[[LATENT:.*]] = linalg.generic {{.*}} ins(%[[C]]
  // CHECK:   arith.truncf
  // CHECK: %[[FIRST:.*]] = scf.for %[[T:.*]] = {{.*}} iter_args(%[[P:.*]] = %[[PLANE]])
  // CHECK:   %[[R:.*]] = tensor.extract %[[ROWS]][%[[T]]]
  // CHECK:   %[[ROW:.*]] = arith.index_cast %[[R]]
  // CHECK:   tensor.insert_slice %{{.*}} into %[[P]][%[[ROW]], 0] [1, 8]
  // CHECK: %[[KEY:.*]] = linalg.generic {{.*}} ins(%[[K]]
  // CHECK: %[[BOTH:.*]] = scf.for {{.*}} iter_args(%[[P2:.*]] = %[[FIRST]])
  // CHECK:   tensor.insert_slice %{{.*}} into %[[P2]][%{{.*}}, 8] [1, 4]
  // CHECK: %[[NEXT:.*]] = dsv2.cache_update %[[CACHE]] layer 1, %[[BOTH]]
  // CHECK: return %[[NEXT]]
  %next = dsv2.cache_append %cache layer 1 (%c, %k) at %batch : tensor<?x8xf32>, tensor<?x4xf32>, !cache
  return %next : !cache
}

// Quants of groups, their scales and the key are bytes of one row.

!int8_cache = !dsv2.latent_cache<130 + 4xi8, layers = 3, page = 64>

// CHECK-LABEL: func @int8_cache_append
func.func @int8_cache_append(%cache: !int8_cache, %c: tensor<?x130xf32>, %k: tensor<?x4xf32>, %batch: !dsv2.batch) -> !int8_cache {
  // CHECK: dsv2.cache_rows {{.*}} -> tensor<?x148xi8>
  // CHECK: math.roundeven
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 0] [1, 128]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 140] [1, 4]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 128] [1, 2]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 144] [1, 4]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 132] [1, 8]
  %next = dsv2.cache_append %cache layer 1 (%c, %k) at %batch : tensor<?x130xf32>, tensor<?x4xf32>, !int8_cache
  return %next : !int8_cache
}

// CHECK-LABEL: func @int8_cache_gather
func.func @int8_cache_gather(%cache: !int8_cache, %batch: !dsv2.batch) -> (tensor<?x130xf32>, tensor<?x4xf32>) {
  // CHECK: linalg.generic
  // CHECK:   arith.bitcast {{.*}} : i32 to f32
  // CHECK:   arith.sitofp
  // CHECK:   arith.mulf
  // CHECK: linalg.generic
  // CHECK:   arith.bitcast {{.*}} : i16 to bf16
  %c, %r = dsv2.cache_gather %cache layer 1 of %batch : !int8_cache -> tensor<?x130xf32>, tensor<?x4xf32>
  return %c, %r : tensor<?x130xf32>, tensor<?x4xf32>
}

// In fp8 the scales lie before the key.

!fp8_cache = !dsv2.latent_cache<130 + 4xf8E4M3FN, layers = 3, page = 64>

// CHECK-LABEL: func @fp8_cache_append
func.func @fp8_cache_append(%cache: !fp8_cache, %c: tensor<?x130xf32>, %k: tensor<?x4xf32>, %batch: !dsv2.batch) -> !fp8_cache {
  // CHECK: dsv2.cache_rows {{.*}} -> tensor<?x148xi8>
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 0] [1, 128]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 132] [1, 4]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 128] [1, 2]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 136] [1, 4]
  // CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 140] [1, 8]
  %next = dsv2.cache_append %cache layer 1 (%c, %k) at %batch : tensor<?x130xf32>, tensor<?x4xf32>, !fp8_cache
  return %next : !fp8_cache
}

// The norm sees the latent part alone, the rotation the key alone.

// CHECK-LABEL: func @latent_append
// CHECK-SAME:    %[[CACHE:.*]]: !dsv2.latent_cache<{{.*}}>, %[[KV:.*]]: tensor<?x12xf32>
func.func @latent_append(%cache: !cache, %kv: tensor<?x12xf32>, %gamma: tensor<8xbf16>, %batch: !dsv2.batch) -> !cache {
  // CHECK: %[[LATENT:.*]] = tensor.extract_slice %[[KV]][0, 0] [%{{.*}}, 8] [1, 1]
  // CHECK: %[[KEY:.*]] = tensor.extract_slice %[[KV]][0, 8] [%{{.*}}, 4] [1, 1]
  // CHECK: linalg.generic {{.*}} ins(%[[LATENT]]
  // CHECK: linalg.generic {{.*}} ins(%[[KEY]]
  // CHECK: dsv2.cache_update
  %next = dsv2.latent_append %cache layer 1, %kv norm %gamma eps 1.0e-6 by <theta = 1.0e4> at %batch : tensor<?x12xf32>, tensor<8xbf16>, !cache
  return %next : !cache
}

// A token sees the rows of its sequence up to its own position.

// CHECK-LABEL: func @attention
// CHECK-SAME:    %[[QN:.*]]: tensor<?x2x6xf32>, %[[QR:.*]]: tensor<?x2x4xf32>, %[[K:.*]]: tensor<?x2x6xf32>, %[[R:.*]]: tensor<?x4xf32>, %[[V:.*]]: tensor<?x2x5xf32>, %[[BATCH:.*]]: !dsv2.batch
func.func @attention(%qn: tensor<?x2x6xf32>, %qr: tensor<?x2x4xf32>, %k: tensor<?x2x6xf32>, %r: tensor<?x4xf32>, %v: tensor<?x2x5xf32>, %batch: !dsv2.batch) -> tensor<?x2x5xf32> {
  // CHECK: %[[NOPE:.*]] = linalg.generic {{.*}} ins(%[[QN]], %[[K]]
  // CHECK: %[[SCORES:.*]] = linalg.generic {{.*}} ins(%[[QR]], %[[R]] : {{.*}}) outs(%[[NOPE]]
  // CHECK-DAG: %[[SEQ:.*]] = dsv2.batch_get token_sequence
  // CHECK-DAG: %[[POS:.*]] = dsv2.batch_get positions
  // CHECK-DAG: %[[CSEQ:.*]] = dsv2.batch_get context_sequence
  // CHECK-DAG: %[[CPOS:.*]] = dsv2.batch_get context_position
  // CHECK: %[[MASKED:.*]] = linalg.generic {{.*}} ins(%[[SCORES]], %[[SEQ]], %[[POS]], %[[CSEQ]], %[[CPOS]]
  // CHECK: ^bb0(%{{.*}}: f32, %[[S1:.*]]: i32, %[[P1:.*]]: i32, %[[S2:.*]]: i32, %[[P2:.*]]: i32, %{{.*}}: f32):
  // CHECK-DAG: %[[SAME:.*]] = arith.cmpi eq, %[[S1]], %[[S2]]
  // CHECK-DAG: %[[BEFORE:.*]] = arith.cmpi sle, %[[P2]], %[[P1]]
  // CHECK:   %[[SEEN:.*]] = arith.andi %[[SAME]], %[[BEFORE]]
  // CHECK:   arith.select %[[SEEN]]
  // CHECK: %[[MAXIMA:.*]] = linalg.generic {{.*}} ins(%[[MASKED]]
  // CHECK: %[[POWERS:.*]] = linalg.generic {{.*}} ins(%[[MASKED]], %[[MAXIMA]]
  // CHECK: %[[SUMS:.*]] = linalg.generic {{.*}} ins(%[[POWERS]] :
  // CHECK: %[[WEIGHTED:.*]] = linalg.generic {{.*}} ins(%[[POWERS]], %[[V]]
  // CHECK: linalg.generic {{.*}} ins(%[[WEIGHTED]], %[[SUMS]]
  // CHECK:   arith.divf
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.5 of %batch : (tensor<?x2x6xf32>, tensor<?x2x4xf32>), (tensor<?x2x6xf32>, tensor<?x4xf32>), tensor<?x2x5xf32> -> tensor<?x2x5xf32>
  return %o : tensor<?x2x5xf32>
}

// Both parts of a context row are read from one plane.

// CHECK-LABEL: func @latent_attention
// CHECK-SAME:    %[[QL:.*]]: tensor<?x2x8xbf16>, %[[QR:.*]]: tensor<?x2x4xbf16>, %[[CACHE:.*]]: !dsv2.latent_cache<
func.func @latent_attention(%ql: tensor<?x2x8xbf16>, %qr: tensor<?x2x4xbf16>, %cache: !cache, %batch: !dsv2.batch) -> tensor<?x2x8xbf16> {
  // CHECK-DAG: %[[PLANE:.*]] = dsv2.cache_rows %[[CACHE]] layer 2
  // CHECK-DAG: %[[ROWS:.*]] = dsv2.batch_get context_rows
  // CHECK: %[[LATENT:.*]] = linalg.generic {{.*}} ins(%[[ROWS]]
  // CHECK:   tensor.extract %[[PLANE]]
  // CHECK: %[[KEY:.*]] = linalg.generic {{.*}} ins(%[[ROWS]]
  // CHECK:   tensor.extract %[[PLANE]]
  // CHECK: %[[SCORES:.*]] = linalg.generic {{.*}} ins(%[[QL]], %[[LATENT]]
  // CHECK: linalg.generic {{.*}} ins(%[[QR]], %[[KEY]] : {{.*}}) outs(%[[SCORES]]
  // CHECK: arith.truncf %{{.*}} : f32 to bf16
  %o = dsv2.latent_attention (%ql, %qr), %cache layer 2 scale 0.5 of %batch : (tensor<?x2x8xbf16>, tensor<?x2x4xbf16>), !cache -> tensor<?x2x8xbf16>
  return %o : tensor<?x2x8xbf16>
}

// CHECK-LABEL: func @expanded_attention
// CHECK-SAME:    %[[UK:[a-z0-9]*]]: tensor<2x6x8xf32>, %[[UV:[a-z0-9]*]]: tensor<2x5x8xf32>
func.func @expanded_attention(%uk: tensor<2x6x8xf32>, %uv: tensor<2x5x8xf32>, %qn: tensor<?x2x6xf32>, %qr: tensor<?x2x4xf32>, %cache: !cache, %batch: !dsv2.batch) -> tensor<?x2x5xf32> {
  // CHECK: %[[LATENT:.*]] = linalg.generic
  // CHECK-DAG: %{{.*}} = linalg.generic {{.*}} ins(%[[LATENT]], %[[UK]]
  // CHECK-DAG: %{{.*}} = linalg.generic {{.*}} ins(%[[LATENT]], %[[UV]]
  // CHECK-NOT: dsv2.expanded_attention
  %o = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 0 scale 0.5 of %batch : (tensor<?x2x6xf32>, tensor<?x2x4xf32>), tensor<2x6x8xf32>, tensor<2x5x8xf32>, !cache -> tensor<?x2x5xf32>
  return %o : tensor<?x2x5xf32>
}
