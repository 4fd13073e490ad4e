// RUN: dsv2-opt %s --dsv2-prepare-x86 | FileCheck %s
// RUN: dsv2-opt %s --dsv2-prepare-reference | FileCheck %s --check-prefix=REFERENCE

// Weights are computed ahead of time: joined, then packed. The function only
// names them.

// CHECK:       dsv2.weight @[[$GATE_UP:[^ ]*]] : tensor<64x64xbf16, #dsv2.panels<32>> {
// CHECK-DAG:     %[[G:.*]] = dsv2.get_weight @gate :
// CHECK-DAG:     %[[U:.*]] = dsv2.get_weight @up :
// CHECK:         %[[BOTH:.*]] = tensor.concat dim(0) %[[G]], %[[U]]
// CHECK:         %[[P:.*]] = dsv2.pack_weight %[[BOTH]]
// CHECK:         dsv2.yield %[[P]]
// CHECK-LABEL: func.func @unit
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>
// CHECK-NOT:     arith.extf
// CHECK-NOT:     dsv2.pack_weight
// CHECK:         %[[N:.*]] = dsv2.rms_norm %[[X]], %{{.*}} -> tensor<?x64xbf16, #dsv2.rows<32>>
// CHECK:         %[[W:.*]] = dsv2.get_weight @[[$GATE_UP]] : tensor<64x64xbf16, #dsv2.panels<32>>
// CHECK:         %[[GU:.*]] = dsv2.linear %[[N]], %[[W]]
// CHECK:         %[[A:.*]] = dsv2.swiglu %{{.*}}, %{{.*}} -> tensor<?x32xi8, #dsv2.rows<32>>
// CHECK:         %[[D:.*]] = dsv2.get_weight @{{.*}} : tensor<64x32xi8, #dsv2.panels<32, #dsv2.block_int8<32>>>
// CHECK:         %[[Y:.*]] = dsv2.linear %[[A]], %[[D]]
// CHECK:         return %[[Y]]

// REFERENCE:       dsv2.weight @[[$DOWN:[^ ]*]] : tensor<64x32xf32> {
// REFERENCE:         %[[Q:.*]] = dsv2.quantize
// REFERENCE:         %[[V:.*]] = dsv2.dequantize %[[Q]]
// REFERENCE:         dsv2.yield %[[V]]
// REFERENCE-LABEL: func.func @unit
// REFERENCE:         %[[D:.*]] = dsv2.get_weight @[[$DOWN]] : tensor<64x32xf32>
// REFERENCE:         %[[Y:.*]] = dsv2.linear %{{.*}}, %[[D]] : tensor<?x32xf32>, tensor<64x32xf32>
// REFERENCE:         return %[[Y]]

dsv2.weight @norm : tensor<64xbf16> from "norm"
dsv2.weight @gate : tensor<32x64xbf16> from "gate"
dsv2.weight @up : tensor<32x64xbf16> from "up"
dsv2.weight @down : tensor<64x32xbf16> from "down"
func.func @unit(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %gamma = dsv2.get_weight @norm : tensor<64xbf16>
  %gate = dsv2.get_weight @gate : tensor<32x64xbf16>
  %up = dsv2.get_weight @up : tensor<32x64xbf16>
  %down = dsv2.get_weight @down : tensor<64x32xbf16>
  %q = dsv2.quantize %down : tensor<64x32xbf16> -> tensor<64x32xi8, #dsv2.block_int8<32>>
  %n = dsv2.rms_norm %x, %gamma eps 1.0e-6 : tensor<?x64xf32>, tensor<64xbf16> -> tensor<?x64xf32>
  %g = dsv2.linear %n, %gate : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %u = dsv2.linear %n, %up : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x32xf32> -> tensor<?x32xf32>
  %y = dsv2.linear %a, %q : tensor<?x32xf32>, tensor<64x32xi8, #dsv2.block_int8<32>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
