// RUN: dsv2-opt %s --pass-pipeline="builtin.module(func.func(dsv2-pack-for-x86))" --split-input-file | FileCheck %s
// What is packed stays as it is.
// RUN: dsv2-opt %s --pass-pipeline="builtin.module(func.func(dsv2-pack-for-x86,dsv2-pack-for-x86))" --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @bf16
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[W:.*]]: tensor<32x64xbf16>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_weight %[[W]] : tensor<32x64xbf16> -> tensor<32x64xbf16, #dsv2.panels<32>>
// CHECK-NEXT:    %[[R:.*]] = dsv2.pack_rows %[[X]] : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
// CHECK-NEXT:    %[[Y:.*]] = dsv2.linear %[[R]], %[[P]]
// CHECK-NEXT:    return %[[Y]]
func.func @bf16(%x: tensor<?x64xf32>, %w: tensor<32x64xbf16>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @f32
// CHECK-SAME:    %{{.*}}: tensor<?x64xf32>, %[[W:.*]]: tensor<32x64xf32>
// CHECK-NEXT:    %[[N:.*]] = arith.truncf %[[W]] : tensor<32x64xf32> to tensor<32x64xbf16>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_weight %[[N]]
// CHECK:         dsv2.linear %{{.*}}, %[[P]] : tensor<?x64xbf16, #dsv2.rows<32>>, tensor<32x64xbf16, #dsv2.panels<32>>
func.func @f32(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @f16
// CHECK-SAME:    %{{.*}}: tensor<?x64xf32>, %[[W:.*]]: tensor<32x64xf16>
// CHECK-NEXT:    %[[F:.*]] = arith.extf %[[W]] : tensor<32x64xf16> to tensor<32x64xf32>
// CHECK-NEXT:    %[[N:.*]] = arith.truncf %[[F]] : tensor<32x64xf32> to tensor<32x64xbf16>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_weight %[[N]]
// CHECK:         dsv2.linear %{{.*}}, %[[P]]
func.func @f16(%x: tensor<?x64xf32>, %w: tensor<32x64xf16>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf16> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// Integers stay, and so do the panels' groups; activations meet them in i8.

// CHECK-LABEL: func.func @int4
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[W:.*]]: tensor<32x64xi4, #dsv2.block_int4<32>>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_weight %[[W]] : {{.*}} -> tensor<32x64xi4, #dsv2.panels<32, #dsv2.block_int4<32>>>
// CHECK-NEXT:    %[[R:.*]] = dsv2.pack_rows %[[X]] : tensor<?x64xf32> -> tensor<?x64xi8, #dsv2.rows<32>>
// CHECK-NEXT:    dsv2.linear %[[R]], %[[P]]
func.func @int4(%x: tensor<?x64xf32>, %w: tensor<32x64xi4, #dsv2.block_int4<32>>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xi4, #dsv2.block_int4<32>> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// There are no fp8 kernels.

// CHECK-LABEL: func.func @fp8
// CHECK-SAME:    %{{.*}}: tensor<?x64xf32>, %[[W:.*]]: tensor<32x64xf8E4M3FN
// CHECK-NEXT:    %[[D:.*]] = dsv2.dequantize %[[W]] : {{.*}} -> tensor<32x64xbf16>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_weight %[[D]]
// CHECK:         dsv2.linear %{{.*}}, %[[P]]
func.func @fp8(%x: tensor<?x64xf32>, %w: tensor<32x64xf8E4M3FN, #dsv2.block_fp8<32x32>>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf8E4M3FN, #dsv2.block_fp8<32x32>> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Which experts run is decided in f32.

// CHECK-LABEL: func.func @router
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[W:.*]]: tensor<8x64xbf16>
// CHECK-NEXT:    %[[F:.*]] = arith.extf %[[W]] : tensor<8x64xbf16> to tensor<8x64xf32>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_weight %[[F]] : tensor<8x64xf32> -> tensor<8x64xf32, #dsv2.panels<32>>
// CHECK-NEXT:    dsv2.linear %[[X]], %[[P]] : tensor<?x64xf32>
func.func @router(%x: tensor<?x64xf32>, %w: tensor<8x64xbf16>) -> tensor<?x2xf32> {
  %l = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<8x64xbf16> -> tensor<?x8xf32>
  %weights, %experts = dsv2.route %l softmax greedy top 2 in 1 of 1 groups scale 1.0
      : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return %weights : tensor<?x2xf32>
}

// -----

// CHECK-LABEL: func.func @grouped_linear
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[SLOT:.*]]: tensor<?xi32>, %[[W:.*]]: tensor<8x32x64xbf16>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_weight %[[W]] : {{.*}} -> tensor<8x32x64xbf16, #dsv2.panels<32>>
// CHECK-NEXT:    %[[R:.*]] = dsv2.pack_rows %[[X]]
// CHECK-NEXT:    dsv2.grouped_linear %[[R]] gather %[[SLOT]] : tensor<?xi32>, %[[P]] by
func.func @grouped_linear(%x: tensor<?x64xf32>, %slot: tensor<?xi32>, %w: tensor<8x32x64xbf16>,
                          %offsets: tensor<9xi32>, %active: tensor<8xi32>, %count: tensor<1xi32>) -> tensor<?x32xf32> {
  %y = dsv2.grouped_linear %x gather %slot : tensor<?xi32>, %w by (%offsets, %active, %count)
      : tensor<?x64xf32>, tensor<8x32x64xbf16>, tensor<9xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Whoever makes a query only for attention rounds it, as it writes it.

// CHECK-LABEL: func.func @latent_attention
// CHECK-SAME:    %[[Q:.*]]: tensor<?x4x16xf32>, %[[QR:.*]]: tensor<?x4x8xf32>, %[[UK:.*]]: tensor<4x32x16xbf16>
// CHECK:         %[[P:.*]] = dsv2.pack_weight %[[UK]]
// CHECK-NEXT:    %[[R:.*]] = dsv2.pack_rows %[[Q]]
// CHECK-NEXT:    %[[QL:.*]] = dsv2.head_project %[[R]], %[[P]] : {{.*}} -> tensor<?x4x32xbf16>
// CHECK-NEXT:    %[[T:.*]] = dsv2.rope %[[QR]] {{.*}} -> tensor<?x4x8xbf16>
// CHECK-NEXT:    %[[O:.*]] = dsv2.latent_attention(%[[QL]], %[[T]])
// CHECK-NEXT:    return %[[O]]
func.func @latent_attention(%q: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %uk: tensor<4x32x16xbf16>,
                            %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                            %batch: !dsv2.batch) -> tensor<?x4x32xf32> {
  %ql = dsv2.head_project %q, %uk : tensor<?x4x16xf32>, tensor<4x32x16xbf16> -> tensor<?x4x32xf32>
  %r = dsv2.rope %qr by <theta = 1.0e4> at %batch : tensor<?x4x8xf32> -> tensor<?x4x8xf32>
  %o = dsv2.latent_attention (%ql, %r), %cache layer 1 scale 0.5 of %batch
      : (tensor<?x4x32xf32>, tensor<?x4x8xf32>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  return %o : tensor<?x4x32xf32>
}

// Others get rows of their own: queries from outside, and those that something
// else reads in f32.

// CHECK-LABEL: func.func @packed_queries
// CHECK-SAME:    %[[QL:.*]]: tensor<?x4x32xf32>, %[[QR:.*]]: tensor<?x4x8xf32>
// CHECK-NEXT:    %[[T:.*]] = dsv2.rope %[[QR]] {{.*}} -> tensor<?x4x8xf32>
// CHECK-DAG:     %[[PL:.*]] = dsv2.pack_rows %[[QL]] : {{.*}} -> tensor<?x4x32xbf16, #dsv2.rows<32>>
// CHECK-DAG:     %[[PT:.*]] = dsv2.pack_rows %[[T]] : {{.*}} -> tensor<?x4x8xbf16, #dsv2.rows<32>>
// CHECK:         %[[O:.*]] = dsv2.latent_attention(%[[PL]], %[[PT]])
// CHECK-NEXT:    return %[[O]], %[[T]]
func.func @packed_queries(%ql: tensor<?x4x32xf32>, %qr: tensor<?x4x8xf32>,
                          %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                          %batch: !dsv2.batch) -> (tensor<?x4x32xf32>, tensor<?x4x8xf32>) {
  %r = dsv2.rope %qr by <theta = 1.0e4> at %batch : tensor<?x4x8xf32> -> tensor<?x4x8xf32>
  %o = dsv2.latent_attention (%ql, %r), %cache layer 1 scale 0.5 of %batch
      : (tensor<?x4x32xf32>, tensor<?x4x8xf32>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  return %o, %r : tensor<?x4x32xf32>, tensor<?x4x8xf32>
}

// -----

// Both forms of attention share one copy of the key projection: transposed.

// CHECK-LABEL: func.func @expanded_attention
// CHECK-SAME:    %[[QN:[^:]*]]: tensor<?x4x16xf32>, %[[QR:[^:]*]]: tensor<?x4x8xf32>, %[[UK:[^:]*]]: tensor<4x16x32xbf16>, %[[UV:[^:]*]]: tensor<4x16x32xf32>
// CHECK-DAG:     %[[PN:.*]] = dsv2.pack_rows %[[QN]]
// CHECK-DAG:     %[[PR:.*]] = dsv2.pack_rows %[[QR]]
// CHECK:         %[[INIT:.*]] = tensor.empty() : tensor<4x32x16xbf16>
// CHECK-NEXT:    %[[KU:.*]] = linalg.transpose ins(%[[UK]] : {{.*}}) outs(%[[INIT]] : {{.*}}) permutation = [0, 2, 1]
// CHECK-NEXT:    %[[PK:.*]] = dsv2.pack_weight %[[KU]] : {{.*}} -> tensor<4x32x16xbf16, #dsv2.panels<32>>
// CHECK-NEXT:    %[[NV:.*]] = arith.truncf %[[UV]]
// CHECK-NEXT:    %[[PV:.*]] = dsv2.pack_weight %[[NV]] : {{.*}} -> tensor<4x16x32xbf16, #dsv2.panels<32>>
// CHECK-NEXT:    dsv2.expanded_attention(%[[PN]], %[[PR]]), %[[PK]], %[[PV]],
func.func @expanded_attention(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                              %uk: tensor<4x16x32xbf16>, %uv: tensor<4x16x32xf32>,
                              %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                              %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %o = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.5 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<4x16x32xbf16>, tensor<4x16x32xf32>,
        !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// The scales of fp8 blocks do not survive a transposition.

// CHECK-LABEL: func.func @expanded_attention_fp8
// CHECK-SAME:    %[[UK:[^:]*]]: tensor<4x32x32xf8E4M3FN
// CHECK:         %[[D:.*]] = dsv2.dequantize %[[UK]] : {{.*}} -> tensor<4x32x32xbf16>
// CHECK:         linalg.transpose ins(%[[D]] : tensor<4x32x32xbf16>)
func.func @expanded_attention_fp8(%uk: tensor<4x32x32xf8E4M3FN, #dsv2.block_fp8<32x32>>,
                                  %qn: tensor<?x4x32xf32>, %qr: tensor<?x4x8xf32>, %uv: tensor<4x16x32xbf16>,
                                  %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                  %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %o = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.5 of %batch
      : (tensor<?x4x32xf32>, tensor<?x4x8xf32>), tensor<4x32x32xf8E4M3FN, #dsv2.block_fp8<32x32>>, tensor<4x16x32xbf16>,
        !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// The kernel of the expanded form reads bf16 alone.

// CHECK-LABEL: func.func @expanded_attention_int8
// CHECK-SAME:    %[[UK:[^:]*]]: tensor<4x16x32xi8, #dsv2.block_int8<32>>, %[[UV:[^:]*]]: tensor<4x16x32xi4, #dsv2.block_int4<32>>
// CHECK:         %[[DK:.*]] = dsv2.dequantize %[[UK]] : {{.*}} -> tensor<4x16x32xbf16>
// CHECK:         linalg.transpose ins(%[[DK]] : tensor<4x16x32xbf16>)
// CHECK:         %[[DV:.*]] = dsv2.dequantize %[[UV]] : {{.*}} -> tensor<4x16x32xbf16>
// CHECK-NEXT:    dsv2.pack_weight %[[DV]] : {{.*}} -> tensor<4x16x32xbf16, #dsv2.panels<32>>
func.func @expanded_attention_int8(%uk: tensor<4x16x32xi8, #dsv2.block_int8<32>>, %uv: tensor<4x16x32xi4, #dsv2.block_int4<32>>,
                                   %qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                                   %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                                   %batch: !dsv2.batch) -> tensor<?x4x16xf32> {
  %o = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.5 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<4x16x32xi8, #dsv2.block_int8<32>>, tensor<4x16x32xi4, #dsv2.block_int4<32>>,
        !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return %o : tensor<?x4x16xf32>
}

// -----

// Vectors become f32. An embedding table stays in bf16.

// CHECK-LABEL: func.func @vectors
// CHECK-SAME:    %{{.*}}: tensor<?xi32>, %[[TABLE:.*]]: tensor<100x40xbf16>, %[[G:.*]]: tensor<40xbf16>, %[[H:.*]]: tensor<32xf32>
// CHECK-NEXT:    %[[X:.*]] = dsv2.embed %{{.*}}, %[[TABLE]]
// CHECK-NEXT:    %[[F:.*]] = arith.extf %[[G]] : tensor<40xbf16> to tensor<40xf32>
// CHECK-NEXT:    %[[N:.*]] = dsv2.rms_norm %[[X]], %[[F]]
// CHECK-NEXT:    dsv2.latent_append %{{.*}} layer 0, %[[N]] norm %[[H]]
func.func @vectors(%tokens: tensor<?xi32>, %table: tensor<100x40xbf16>, %g: tensor<40xbf16>, %h: tensor<32xf32>,
                   %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                   %batch: !dsv2.batch) -> !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> {
  %x = dsv2.embed %tokens, %table : tensor<?xi32>, tensor<100x40xbf16> -> tensor<?x40xf32>
  %n = dsv2.rms_norm %x, %g eps 1.0e-6 : tensor<?x40xf32>, tensor<40xbf16> -> tensor<?x40xf32>
  %next = dsv2.latent_append %cache layer 0, %n norm %h eps 1.0e-6 by <theta = 1.0e4> at %batch
      : tensor<?x40xf32>, tensor<32xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return %next : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
}

// CHECK-LABEL: func.func @table_f16
// CHECK-SAME:    %{{.*}}: tensor<?xi32>, %[[TABLE:.*]]: tensor<100x40xf16>
// CHECK-NEXT:    %[[F:.*]] = arith.extf %[[TABLE]] : tensor<100x40xf16> to tensor<100x40xf32>
// CHECK-NEXT:    dsv2.embed %{{.*}}, %[[F]]
func.func @table_f16(%tokens: tensor<?xi32>, %table: tensor<100x40xf16>) -> tensor<?x40xf32> {
  %x = dsv2.embed %tokens, %table : tensor<?xi32>, tensor<100x40xf16> -> tensor<?x40xf32>
  return %x : tensor<?x40xf32>
}
