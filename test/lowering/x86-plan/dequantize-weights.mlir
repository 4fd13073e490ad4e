// RUN: dsv2-opt %s --dsv2-dequantize-weights --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @linear
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[Q:.*]]: tensor<32x64xi4, #dsv2.block_int4<32>>
// CHECK-NEXT:    %[[W:.*]] = dsv2.dequantize %[[Q]] : tensor<32x64xi4, #dsv2.block_int4<32>> -> tensor<32x64xf32>
// CHECK-NEXT:    %[[Y:.*]] = dsv2.linear %[[X]], %[[W]] : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
// CHECK-NEXT:    return %[[Y]]
func.func @linear(%x: tensor<?x64xf32>, %q: tensor<32x64xi4, #dsv2.block_int4<32>>) -> tensor<?x32xf32> {
  %y = dsv2.linear %x, %q : tensor<?x64xf32>, tensor<32x64xi4, #dsv2.block_int4<32>> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Each of the three stacks in its own format.

// CHECK-LABEL: func.func @experts
// CHECK-SAME:    %[[GATE:[^,]*]]: tensor<8x32x64xi8, #dsv2.block_int8<32>>, %[[UP:[^,]*]]: tensor<8x32x64xbf16>, %[[DOWN:[^,]*]]: tensor<8x64x32xf8E4M3FN
// CHECK-DAG:     %[[G:.*]] = dsv2.dequantize %[[GATE]] : {{.*}} -> tensor<8x32x64xf32>
// CHECK-DAG:     %[[D:.*]] = dsv2.dequantize %[[DOWN]] : {{.*}} -> tensor<8x64x32xf32>
// CHECK:         dsv2.experts %{{.*}}, %{{.*}}, %{{.*}}, %[[G]], %[[UP]], %[[D]] :
func.func @experts(%x: tensor<?x64xf32>, %w: tensor<?x6xf32>, %e: tensor<?x6xi32>,
                   %gate: tensor<8x32x64xi8, #dsv2.block_int8<32>>, %up: tensor<8x32x64xbf16>,
                   %down: tensor<8x64x32xf8E4M3FN, #dsv2.block_fp8<32x32>>) -> tensor<?x64xf32> {
  %y = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x6xf32>, tensor<?x6xi32>, tensor<8x32x64xi8, #dsv2.block_int8<32>>, tensor<8x32x64xbf16>, tensor<8x64x32xf8E4M3FN, #dsv2.block_fp8<32x32>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Already done, and not to be done twice.

// CHECK-LABEL: func.func @dequantized
// CHECK-COUNT-1: dsv2.dequantize
// CHECK-NOT:     dsv2.dequantize
func.func @dequantized(%x: tensor<?x64xf32>, %q: tensor<32x64xi8, #dsv2.block_int8<32>>) -> tensor<?x32xf32> {
  %w = dsv2.dequantize %q : tensor<32x64xi8, #dsv2.block_int8<32>> -> tensor<32x64xf32>
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// The expression of a weight says how its bytes are made; it stays.

// CHECK:       dsv2.weight @w
// CHECK-NEXT:    %[[SOURCE:.*]] = dsv2.get_weight @source
// CHECK-NEXT:    %[[Q:.*]] = dsv2.quantize %[[SOURCE]]
// CHECK-NEXT:    dsv2.yield %[[Q]]
dsv2.weight @source : tensor<32x64xbf16> from "w"
dsv2.weight @w : tensor<32x64xi8, #dsv2.block_int8<32>> {
  %source = dsv2.get_weight @source : tensor<32x64xbf16>
  %q = dsv2.quantize %source : tensor<32x64xbf16> -> tensor<32x64xi8, #dsv2.block_int8<32>>
  dsv2.yield %q : tensor<32x64xi8, #dsv2.block_int8<32>>
}
