// RUN: dsv2-opt %s --dsv2-fuse-rope-append --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @fuse
// CHECK-SAME:    %[[KV:.*]]: tensor<?x40xf32>, %[[GAMMA:.*]]: tensor<32xbf16>
// CHECK-SAME:    %[[CACHE:.*]]: !dsv2.latent_cache<{{.*}}>, %[[BATCH:.*]]: !dsv2.batch
// CHECK-NEXT:    %[[NEXT:.*]] = dsv2.latent_append %[[CACHE]] layer 1, %[[KV]] norm %[[GAMMA]] eps {{.*}} by <theta = 1.000000e+04> at %[[BATCH]]
// CHECK-NEXT:    return %[[NEXT]]
func.func @fuse(%kv: tensor<?x40xf32>, %gamma: tensor<32xbf16>,
                %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                %batch: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %kv, %c0 : tensor<?x40xf32>
  %c = tensor.extract_slice %kv[0, 0] [%rows, 32] [1, 1] : tensor<?x40xf32> to tensor<?x32xf32>
  %n = dsv2.rms_norm %c, %gamma eps 1.0e-6 : tensor<?x32xf32>, tensor<32xbf16> -> tensor<?x32xf32>
  %k = tensor.extract_slice %kv[0, 32] [%rows, 8] [1, 1] : tensor<?x40xf32> to tensor<?x8xf32>
  %r = dsv2.rope %k by <theta = 1.0e4> at %batch : tensor<?x8xf32> -> tensor<?x8xf32>
  %next = dsv2.cache_append %cache layer 1 (%n, %r) at %batch
      : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}

// -----

// The number of rows is that of the tokens, from which every row comes.

// CHECK-LABEL: func.func @rows_of_tokens
// CHECK:         %[[KV:.*]] = dsv2.linear
// CHECK:         dsv2.latent_append %{{.*}} layer 1, %[[KV]]
func.func @rows_of_tokens(%tokens: tensor<?xi32>, %table: tensor<100x16xbf16>, %w: tensor<40x16xbf16>,
                          %gamma: tensor<32xbf16>,
                          %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                          %batch: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %tokens, %c0 : tensor<?xi32>
  %x = dsv2.embed %tokens, %table : tensor<?xi32>, tensor<100x16xbf16> -> tensor<?x16xf32>
  %y = arith.addf %x, %x : tensor<?x16xf32>
  %kv = dsv2.linear %y, %w : tensor<?x16xf32>, tensor<40x16xbf16> -> tensor<?x40xf32>
  %c = tensor.extract_slice %kv[0, 0] [%rows, 32] [1, 1] : tensor<?x40xf32> to tensor<?x32xf32>
  %n = dsv2.rms_norm %c, %gamma eps 1.0e-6 : tensor<?x32xf32>, tensor<32xbf16> -> tensor<?x32xf32>
  %k = tensor.extract_slice %kv[0, 32] [%rows, 8] [1, 1] : tensor<?x40xf32> to tensor<?x8xf32>
  %r = dsv2.rope %k by <theta = 1.0e4> at %batch : tensor<?x8xf32> -> tensor<?x8xf32>
  %next = dsv2.cache_append %cache layer 1 (%n, %r) at %batch
      : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}

// -----

// CHECK-LABEL: func.func @latent_not_normalized
// CHECK:         dsv2.cache_append
func.func @latent_not_normalized(%n: tensor<5x32xf32>, %k: tensor<5x8xf32>,
                                 %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                 %batch: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %r = dsv2.rope %k by <theta = 1.0e4> at %batch : tensor<5x8xf32> -> tensor<5x8xf32>
  %next = dsv2.cache_append %cache layer 1 (%n, %r) at %batch
      : tensor<5x32xf32>, tensor<5x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}

// -----

// CHECK-LABEL: func.func @key_not_rotated
// CHECK:         dsv2.cache_append
func.func @key_not_rotated(%c: tensor<5x32xf32>, %gamma: tensor<32xbf16>, %k: tensor<5x8xf32>,
                           %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                           %batch: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %n = dsv2.rms_norm %c, %gamma eps 1.0e-6 : tensor<5x32xf32>, tensor<32xbf16> -> tensor<5x32xf32>
  %next = dsv2.cache_append %cache layer 1 (%n, %k) at %batch
      : tensor<5x32xf32>, tensor<5x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}

// -----

// CHECK-LABEL: func.func @positions_of_another_batch
// CHECK:         dsv2.cache_append
func.func @positions_of_another_batch(%kv: tensor<5x40xf32>, %gamma: tensor<32xbf16>,
                                      %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                      %batch: !dsv2.batch, %other: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %c = tensor.extract_slice %kv[0, 0] [5, 32] [1, 1] : tensor<5x40xf32> to tensor<5x32xf32>
  %n = dsv2.rms_norm %c, %gamma eps 1.0e-6 : tensor<5x32xf32>, tensor<32xbf16> -> tensor<5x32xf32>
  %k = tensor.extract_slice %kv[0, 32] [5, 8] [1, 1] : tensor<5x40xf32> to tensor<5x8xf32>
  %r = dsv2.rope %k by <theta = 1.0e4> at %other : tensor<5x8xf32> -> tensor<5x8xf32>
  %next = dsv2.cache_append %cache layer 1 (%n, %r) at %batch
      : tensor<5x32xf32>, tensor<5x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}

// -----

// CHECK-LABEL: func.func @two_sources
// CHECK:         dsv2.cache_append
func.func @two_sources(%c: tensor<5x32xf32>, %k: tensor<5x8xf32>, %gamma: tensor<32xbf16>,
                       %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                       %batch: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %n = dsv2.rms_norm %c, %gamma eps 1.0e-6 : tensor<5x32xf32>, tensor<32xbf16> -> tensor<5x32xf32>
  %r = dsv2.rope %k by <theta = 1.0e4> at %batch : tensor<5x8xf32> -> tensor<5x8xf32>
  %next = dsv2.cache_append %cache layer 1 (%n, %r) at %batch
      : tensor<5x32xf32>, tensor<5x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}

// -----

// Five of seven rows are stored; the fused form stores all.

// CHECK-LABEL: func.func @some_rows
// CHECK:         dsv2.cache_append
func.func @some_rows(%kv: tensor<7x40xf32>, %gamma: tensor<32xbf16>,
                     %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                     %batch: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %c = tensor.extract_slice %kv[0, 0] [5, 32] [1, 1] : tensor<7x40xf32> to tensor<5x32xf32>
  %n = dsv2.rms_norm %c, %gamma eps 1.0e-6 : tensor<5x32xf32>, tensor<32xbf16> -> tensor<5x32xf32>
  %k = tensor.extract_slice %kv[0, 32] [5, 8] [1, 1] : tensor<7x40xf32> to tensor<5x8xf32>
  %r = dsv2.rope %k by <theta = 1.0e4> at %batch : tensor<5x8xf32> -> tensor<5x8xf32>
  %next = dsv2.cache_append %cache layer 1 (%n, %r) at %batch
      : tensor<5x32xf32>, tensor<5x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}
