// RUN: dsv2-opt %s --pass-pipeline="builtin.module(func.func(dsv2-pack-for-nvptx))" --split-input-file | FileCheck %s

// Weights and activations of a product become rows of bf16.

// CHECK-LABEL: func.func @linear
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[W:.*]]: tensor<32x64xf32>
// CHECK-DAG:     %[[ROUNDED:.*]] = arith.truncf %[[W]] : tensor<32x64xf32> to tensor<32x64xbf16>
// CHECK-DAG:     %[[ROWS:.*]] = dsv2.pack_rows %[[X]] : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<1>>
// CHECK:         dsv2.linear %[[ROWS]], %[[ROUNDED]] :
func.func @linear(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// A quantized weight is packed by rows.

// CHECK-LABEL: func.func @quantized
// CHECK-SAME:    %{{.*}}: tensor<?x64xf32>, %[[Q:.*]]: tensor<32x64xi4, #dsv2.block_int4<32>>
// CHECK:         %[[W:.*]] = dsv2.pack_weight %[[Q]] : {{.*}} -> tensor<32x64xi4, #dsv2.panels<1, #dsv2.block_int4<32>>>
// CHECK:         dsv2.linear %{{.*}}, %[[W]] :
func.func @quantized(%x: tensor<?x64xf32>, %q: tensor<32x64xi4, #dsv2.block_int4<32>>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %q : tensor<?x64xf32>, tensor<32x64xi4, #dsv2.block_int4<32>> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// One whose rows do not fill a tile becomes the values it stands for.

// CHECK-LABEL: func.func @odd
// CHECK-SAME:    %{{.*}}: tensor<?x64xf32>, %[[Q:.*]]: tensor<30x64xi4, #dsv2.block_int4<32>>
// CHECK:         %[[W:.*]] = dsv2.dequantize %[[Q]] : {{.*}} -> tensor<30x64xbf16>
// CHECK:         dsv2.linear %{{.*}}, %[[W]] :
func.func @odd(%x: tensor<?x64xf32>, %q: tensor<30x64xi4, #dsv2.block_int4<32>>) -> tensor<?x30xf32> {
  %y = dsv2.linear %x, %q : tensor<?x64xf32>, tensor<30x64xi4, #dsv2.block_int4<32>> -> tensor<?x30xf32>
  return %y : tensor<?x30xf32>
}

// -----

// Weights in blocks of fp8 stay what they are. Many rows meet them in fp8; few
// are rounded by the product.

// CHECK-LABEL: func.func @fp8_prefill
// CHECK-SAME:    %[[X:.*]]: tensor<?x256xf32>
// CHECK-DAG:     %[[ROWS:.*]] = dsv2.pack_rows %[[X]] : tensor<?x256xf32> -> tensor<?x256xf8E4M3FN, #dsv2.rows<128>>
// CHECK-DAG:     %[[W:.*]] = dsv2.pack_weight %{{.*}} -> tensor<64x256xf8E4M3FN, #dsv2.panels<1, #dsv2.block_fp8<128x128>>>
// CHECK:         dsv2.linear %[[ROWS]], %[[W]] :
func.func @fp8_prefill(%x: tensor<?x256xf32>, %w: tensor<64x256xf8E4M3FN, #dsv2.block_fp8<128x128>>) -> tensor<?x64xf32> {
  %y = dsv2.linear %x, %w : tensor<?x256xf32>, tensor<64x256xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @fp8_decode
// CHECK-SAME:    %[[X:.*]]: tensor<?x256xf32>
// CHECK-NOT:     dsv2.pack_rows
// CHECK:         dsv2.linear %[[X]], %{{.*}} tensor<64x256xf8E4M3FN, #dsv2.panels<1, #dsv2.block_fp8<128x128>>>
func.func @fp8_decode(%x: tensor<?x256xf32>, %w: tensor<64x256xf8E4M3FN, #dsv2.block_fp8<128x128>>) -> tensor<?x64xf32> attributes {dsv2.max_query_tokens = 8} {
  %y = dsv2.linear %x, %w : tensor<?x256xf32>, tensor<64x256xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @fp8_odd
// CHECK:         dsv2.dequantize %{{.*}} -> tensor<64x192xbf16>
func.func @fp8_odd(%x: tensor<?x192xf32>, %w: tensor<64x192xf8E4M3FN, #dsv2.block_fp8<128x128>>) -> tensor<?x64xf32> {
  %y = dsv2.linear %x, %w : tensor<?x192xf32>, tensor<64x192xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Products of few rows round their input themselves, unless it is written
// rounded by what computes it.

// CHECK-LABEL: func.func @decode
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>
// CHECK:         %[[Y:.*]] = dsv2.linear %[[X]], %{{.*}} : tensor<?x64xf32>, tensor<32x64xbf16>
// CHECK:         %[[N:.*]] = dsv2.rms_norm %[[Y]]
// CHECK:         %[[ROWS:.*]] = dsv2.pack_rows %[[N]] : tensor<?x32xf32> -> tensor<?x32xbf16, #dsv2.rows<1>>
// CHECK:         dsv2.linear %[[ROWS]],
func.func @decode(%x: tensor<?x64xf32>, %w: tensor<32x64xbf16>, %g: tensor<32xf32>, %v: tensor<16x32xbf16>) -> tensor<?x16xf32> attributes {dsv2.max_query_tokens = 8} {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %n = dsv2.rms_norm %y, %g eps 1.0e-6 : tensor<?x32xf32>, tensor<32xf32> -> tensor<?x32xf32>
  %z = dsv2.linear %n, %v : tensor<?x32xf32>, tensor<16x32xbf16> -> tensor<?x16xf32>
  return %z : tensor<?x16xf32>
}

// -----

// Gate and up lie in turn, so that a block has both of a few columns.

// CHECK-LABEL: func.func @gated
// CHECK:         %[[W:.*]] = dsv2.pack_weight %{{.*}} -> tensor<64x64xi4, #dsv2.panels<1 interleave 8, #dsv2.block_int4<32>>>
// CHECK:         dsv2.linear %{{.*}}, %[[W]]
func.func @gated(%x: tensor<8x64xf32>, %w: tensor<64x64xi4, #dsv2.block_int4<32>>, %v: tensor<16x32xbf16>) -> tensor<8x16xf32> {
  %y = dsv2.linear %x, %w : tensor<8x64xf32>, tensor<64x64xi4, #dsv2.block_int4<32>> -> tensor<8x64xf32>
  %g = tensor.extract_slice %y[0, 0] [8, 32] [1, 1] : tensor<8x64xf32> to tensor<8x32xf32>
  %u = tensor.extract_slice %y[0, 32] [8, 32] [1, 1] : tensor<8x64xf32> to tensor<8x32xf32>
  %a = dsv2.swiglu %g, %u : tensor<8x32xf32> -> tensor<8x32xf32>
  %z = dsv2.linear %a, %v : tensor<8x32xf32>, tensor<16x32xbf16> -> tensor<8x16xf32>
  return %z : tensor<8x16xf32>
}

// Not where the result stays in f32.

// CHECK-LABEL: func.func @gated_f32
// CHECK-NOT:     interleave
func.func @gated_f32(%x: tensor<8x64xf32>, %w: tensor<64x64xbf16>) -> tensor<8x32xf32> {
  %y = dsv2.linear %x, %w : tensor<8x64xf32>, tensor<64x64xbf16> -> tensor<8x64xf32>
  %g = tensor.extract_slice %y[0, 0] [8, 32] [1, 1] : tensor<8x64xf32> to tensor<8x32xf32>
  %u = tensor.extract_slice %y[0, 32] [8, 32] [1, 1] : tensor<8x64xf32> to tensor<8x32xf32>
  %a = dsv2.swiglu %g, %u : tensor<8x32xf32> -> tensor<8x32xf32>
  return %a : tensor<8x32xf32>
}

// -----

// Heads that are joined for a product are written in bf16.

// CHECK-LABEL: func.func @heads
// CHECK:         %[[H:.*]] = dsv2.head_project %{{.*}} -> tensor<?x4x16xbf16>
// CHECK:         %[[C:.*]] = tensor.collapse_shape %[[H]] {{.*}} : tensor<?x4x16xbf16> into tensor<?x64xbf16>
// CHECK:         dsv2.linear %[[C]],
func.func @heads(%x: tensor<?x4x32xf32>, %w: tensor<4x16x32xbf16>, %v: tensor<16x64xbf16>) -> tensor<?x16xf32> {
  %h = dsv2.head_project %x, %w : tensor<?x4x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %c = tensor.collapse_shape %h [[0], [1, 2]] : tensor<?x4x16xf32> into tensor<?x64xf32>
  %z = dsv2.linear %c, %v : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  return %z : tensor<?x16xf32>
}

// -----

// What decides about experts stays in f32.

// CHECK-LABEL: func.func @router
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[W:.*]]: tensor<8x64xbf16>
// CHECK:         %[[WIDE:.*]] = arith.extf %[[W]] : tensor<8x64xbf16> to tensor<8x64xf32>
// CHECK:         dsv2.linear %[[X]], %[[WIDE]] :
func.func @router(%x: tensor<?x64xf32>, %w: tensor<8x64xbf16>) -> (tensor<?x2xf32>, tensor<?x2xi32>) {
  %l = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<8x64xbf16> -> tensor<?x8xf32>
  %s, %e = dsv2.route %l softmax greedy top 2 in 1 of 1 groups scale 1.0
      : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  return %s, %e : tensor<?x2xf32>, tensor<?x2xi32>
}

// -----

// CHECK-LABEL: func.func @norm
// CHECK:         %[[G:.*]] = arith.extf %{{.*}} : tensor<64xbf16> to tensor<64xf32>
// CHECK:         dsv2.rms_norm %{{.*}}, %[[G]] eps
func.func @norm(%x: tensor<?x64xf32>, %g: tensor<64xbf16>) -> tensor<?x64xf32> {
  %h = dsv2.rms_norm %x, %g eps 1.0e-6 : tensor<?x64xf32>, tensor<64xbf16> -> tensor<?x64xf32>
  return %h : tensor<?x64xf32>
}

// -----

// Matrices that expand keys and values are rows of bf16.

// CHECK-LABEL: func.func @expanded
// CHECK-SAME:    %[[QN:.*]]: tensor<?x4x128xf32>, %[[QR:.*]]: tensor<?x4x64xf32>, %[[UK:.*]]: tensor<4x128x512xf32>, %[[UV:.*]]: tensor<4x128x512xbf16>
// CHECK-DAG:     %[[NOPE:.*]] = dsv2.pack_rows %[[QN]] : {{.*}} -> tensor<?x4x128xbf16, #dsv2.rows<1>>
// CHECK-DAG:     %[[ROPE:.*]] = dsv2.pack_rows %[[QR]] : {{.*}} -> tensor<?x4x64xbf16, #dsv2.rows<1>>
// CHECK-DAG:     %[[KEYS:.*]] = arith.truncf %[[UK]] : tensor<4x128x512xf32> to tensor<4x128x512xbf16>
// CHECK:         %[[O:.*]] = dsv2.expanded_attention(%[[NOPE]], %[[ROPE]]), %[[KEYS]], %[[UV]], {{.*}} -> tensor<?x4x128xf32>
// CHECK:         %[[ALL:.*]] = tensor.collapse_shape %[[O]] {{.*}} into tensor<?x512xf32>
// CHECK:         %[[ROWS:.*]] = dsv2.pack_rows %[[ALL]]
// CHECK:         dsv2.linear %[[ROWS]],
func.func @expanded(%qn: tensor<?x4x128xf32>, %qr: tensor<?x4x64xf32>,
                    %uk: tensor<4x128x512xf32>, %uv: tensor<4x128x512xbf16>,
                    %w: tensor<64x512xbf16>,
                    %cache: !dsv2.latent_cache<512 + 64xbf16, layers = 2, page = 64>,
                    %batch: !dsv2.batch) -> tensor<?x64xf32> {
  %o = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.1147 of %batch
      : (tensor<?x4x128xf32>, tensor<?x4x64xf32>), tensor<4x128x512xf32>, tensor<4x128x512xbf16>,
        !dsv2.latent_cache<512 + 64xbf16, layers = 2, page = 64> -> tensor<?x4x128xf32>
  %all = tensor.collapse_shape %o [[0], [1, 2]] : tensor<?x4x128xf32> into tensor<?x512xf32>
  %y = dsv2.linear %all, %w : tensor<?x512xf32>, tensor<64x512xbf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
