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
