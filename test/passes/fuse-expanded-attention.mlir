// RUN: dsv2-opt %s --dsv2-fuse-expanded-attention --split-input-file | FileCheck %s
// RUN: dsv2-opt %s --dsv2-fuse-expanded-attention=int8 --split-input-file | FileCheck %s --check-prefix=INT8

// INT8-LABEL: func.func @fuse
// INT8:         dsv2.expanded_attention{{.*}} {dsv2.int8_expansion} :

// CHECK-LABEL: func.func @fuse
// CHECK-SAME:    %[[QN:.*]]: tensor<?x4x16xf32>, %[[QR:.*]]: tensor<?x4x8xf32>
// CHECK-SAME:    %[[UK:.*]]: tensor<4x16x32xi8, #dsv2.block_int8<32>>, %[[UV:.*]]: tensor<4x24x32xbf16>
// CHECK-SAME:    %[[CACHE:.*]]: !dsv2.latent_cache<{{.*}}>, %[[BATCH:.*]]: !dsv2.batch
// CHECK-NEXT:    %[[O:.*]] = dsv2.expanded_attention(%[[QN]], %[[QR]]), %[[UK]], %[[UV]], %[[CACHE]] layer 1 scale 1.147000e-01 of %[[BATCH]]
// CHECK-SAME:      -> tensor<?x4x24xf32>
// CHECK-NEXT:    return %[[O]]
func.func @fuse(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                %uk: tensor<4x16x32xi8, #dsv2.block_int8<32>>, %uv: tensor<4x24x32xbf16>,
                %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                %batch: !dsv2.batch) -> tensor<?x4x24xf32> {
  %c, %r = dsv2.cache_gather %cache layer 1 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xi8, #dsv2.block_int8<32>> -> tensor<?x4x16xf32>
  %v = dsv2.head_project %c, %uv : tensor<?x32xf32>, tensor<4x24x32xbf16> -> tensor<?x4x24xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x24xf32> -> tensor<?x4x24xf32>
  return %o : tensor<?x4x24xf32>
}

// -----

// CHECK-LABEL: func.func @keys_not_projected
// CHECK:         dsv2.attention
func.func @keys_not_projected(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                              %k: tensor<?x4x16xf32>, %r: tensor<?x8xf32>, %v: tensor<?x4x16xf32>,
                              %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// CHECK-LABEL: func.func @values_not_projected
// CHECK:         dsv2.attention
func.func @values_not_projected(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                                %uk: tensor<4x16x32xbf16>, %v: tensor<?x4x16xf32>,
                                %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %c, %r = dsv2.cache_gather %cache layer 1 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// CHECK-LABEL: func.func @latent_not_gathered
// CHECK:         dsv2.attention
func.func @latent_not_gathered(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                               %uk: tensor<4x16x32xbf16>, %c: tensor<?x32xf32>, %r: tensor<?x8xf32>,
                               %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %k scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// Keys and values come from different layers.

// CHECK-LABEL: func.func @values_of_another_layer
// CHECK:         dsv2.attention
func.func @values_of_another_layer(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                                   %uk: tensor<4x16x32xbf16>,
                                   %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                   %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %c, %r = dsv2.cache_gather %cache layer 1 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %c0, %r0 = dsv2.cache_gather %cache layer 0 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %v = dsv2.head_project %c0, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// CHECK-LABEL: func.func @rotated_key_of_another_layer
// CHECK:         dsv2.attention
func.func @rotated_key_of_another_layer(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                                        %uk: tensor<4x16x32xbf16>,
                                        %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                        %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %c, %r = dsv2.cache_gather %cache layer 1 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %c0, %r0 = dsv2.cache_gather %cache layer 0 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r0), %k scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// CHECK-LABEL: func.func @context_of_another_batch
// CHECK:         dsv2.attention
func.func @context_of_another_batch(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                                    %uk: tensor<4x16x32xbf16>,
                                    %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                    %batch: !dsv2.batch, %other: !dsv2.batch) -> tensor<?x4x16xf32> {
  %c, %r = dsv2.cache_gather %cache layer 1 of %other
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %k scale 0.1147 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}
