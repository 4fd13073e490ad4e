// RUN: dsv2-opt %s --dsv2-fuse-down-projections --split-input-file | FileCheck %s

// The second weight is read after the first product and moves before it.

// CHECK-LABEL: func.func @fuse
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[WQ:.*]]: tensor<96x64xbf16>
// CHECK-DAG:     %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG:     %[[WKV:.*]] = dsv2.get_weight @kv_a
// CHECK:         %[[W:.*]] = tensor.concat dim(0) %[[WQ]], %[[WKV]]
// CHECK-SAME:      -> tensor<136x64xbf16>
// CHECK:         %[[Y:.*]] = dsv2.linear %[[X]], %[[W]]
// CHECK-SAME:      -> tensor<?x136xf32>
// CHECK:         %[[ROWS:.*]] = tensor.dim %[[X]], %[[C0]]
// CHECK:         %[[Q:.*]] = tensor.extract_slice %[[Y]][0, 0] [%[[ROWS]], 96] [1, 1]
// CHECK:         %[[KV:.*]] = tensor.extract_slice %[[Y]][0, 96] [%{{.*}}, 40] [1, 1]
// CHECK:         return %[[Q]], %[[KV]]
dsv2.weight @kv_a : tensor<40x64xbf16> from "kv_a"
func.func @fuse(%x: tensor<?x64xf32>, %wq: tensor<96x64xbf16>) -> (tensor<?x96xf32>, tensor<?x40xf32>) {
  %q = dsv2.linear %x, %wq : tensor<?x64xf32>, tensor<96x64xbf16> -> tensor<?x96xf32>
  %wkv = dsv2.get_weight @kv_a : tensor<40x64xbf16>
  %kv = dsv2.linear %x, %wkv : tensor<?x64xf32>, tensor<40x64xbf16> -> tensor<?x40xf32>
  return %q, %kv : tensor<?x96xf32>, tensor<?x40xf32>
}

// -----

// A router and both halves of a gate share their input with the query only.

// CHECK-LABEL: func.func @router_and_gate
// CHECK-NOT:     tensor.concat
// CHECK-COUNT-4: dsv2.linear
func.func @router_and_gate(%x: tensor<?x64xf32>, %wr: tensor<8x64xbf16>, %wg: tensor<16x64xbf16>,
                           %wu: tensor<16x64xbf16>, %wq: tensor<96x64xbf16>)
    -> (tensor<?x2xf32>, tensor<?x2xi32>, tensor<?x16xf32>, tensor<?x96xf32>) {
  %l = dsv2.linear %x, %wr : tensor<?x64xf32>, tensor<8x64xbf16> -> tensor<?x8xf32>
  %w, %e = dsv2.route %l softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %g = dsv2.linear %x, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %u = dsv2.linear %x, %wu : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x16xf32> -> tensor<?x16xf32>
  %q = dsv2.linear %x, %wq : tensor<?x64xf32>, tensor<96x64xbf16> -> tensor<?x96xf32>
  return %w, %e, %a, %q : tensor<?x2xf32>, tensor<?x2xi32>, tensor<?x16xf32>, tensor<?x96xf32>
}

// -----

// Groups lie within rows, so that stored ones join as they are.

// CHECK-LABEL: func.func @stored_in_groups
// CHECK-SAME:    %[[X:.*]]: tensor<3x64xf32>, %[[A:.*]]: tensor<96x64xi8, #dsv2.block_int8<32>>, %[[B:.*]]: tensor<40x64xi8, #dsv2.block_int8<32>>
// CHECK:         %[[W:.*]] = tensor.concat dim(0) %[[A]], %[[B]]
// CHECK-SAME:      -> tensor<136x64xi8, #dsv2.block_int8<32>>
// CHECK:         dsv2.linear %[[X]], %[[W]]
// CHECK-SAME:      -> tensor<3x136xf32>
func.func @stored_in_groups(%x: tensor<3x64xf32>, %a: tensor<96x64xi8, #dsv2.block_int8<32>>,
                            %b: tensor<40x64xi8, #dsv2.block_int8<32>>) -> (tensor<3x96xf32>, tensor<3x40xf32>) {
  %q = dsv2.linear %x, %a : tensor<3x64xf32>, tensor<96x64xi8, #dsv2.block_int8<32>> -> tensor<3x96xf32>
  %kv = dsv2.linear %x, %b : tensor<3x64xf32>, tensor<40x64xi8, #dsv2.block_int8<32>> -> tensor<3x40xf32>
  return %q, %kv : tensor<3x96xf32>, tensor<3x40xf32>
}

// -----

// Blocks end with all weights but the last.

// CHECK-LABEL: func.func @whole_blocks
// CHECK:         tensor.concat dim(0) %{{.*}}, %{{.*}} : {{.*}} -> tensor<168x64xf8E4M3FN, #dsv2.block_fp8<128x128>>
func.func @whole_blocks(%x: tensor<3x64xf32>, %a: tensor<128x64xf8E4M3FN, #dsv2.block_fp8<128x128>>,
                        %b: tensor<40x64xf8E4M3FN, #dsv2.block_fp8<128x128>>) -> (tensor<3x128xf32>, tensor<3x40xf32>) {
  %q = dsv2.linear %x, %a : tensor<3x64xf32>, tensor<128x64xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x128xf32>
  %kv = dsv2.linear %x, %b : tensor<3x64xf32>, tensor<40x64xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x40xf32>
  return %q, %kv : tensor<3x128xf32>, tensor<3x40xf32>
}

// -----

// A block of several rows may not end where the first weight does.

// CHECK-LABEL: func.func @blocks_of_rows
// CHECK-NOT:     tensor.concat
func.func @blocks_of_rows(%x: tensor<3x64xf32>, %a: tensor<96x64xf8E4M3FN, #dsv2.block_fp8<128x128>>,
                          %b: tensor<40x64xf8E4M3FN, #dsv2.block_fp8<128x128>>) -> (tensor<3x96xf32>, tensor<3x40xf32>) {
  %q = dsv2.linear %x, %a : tensor<3x64xf32>, tensor<96x64xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x96xf32>
  %kv = dsv2.linear %x, %b : tensor<3x64xf32>, tensor<40x64xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x40xf32>
  return %q, %kv : tensor<3x96xf32>, tensor<3x40xf32>
}

// -----

// CHECK-LABEL: func.func @two_element_types
// CHECK-NOT:     tensor.concat
func.func @two_element_types(%x: tensor<3x64xf32>, %a: tensor<96x64xf32>,
                             %b: tensor<40x64xbf16>) -> (tensor<3x96xf32>, tensor<3x40xf32>) {
  %q = dsv2.linear %x, %a : tensor<3x64xf32>, tensor<96x64xf32> -> tensor<3x96xf32>
  %kv = dsv2.linear %x, %b : tensor<3x64xf32>, tensor<40x64xbf16> -> tensor<3x40xf32>
  return %q, %kv : tensor<3x96xf32>, tensor<3x40xf32>
}

// -----

// The second weight is computed from the first product.

// CHECK-LABEL: func.func @dependent_weight
// CHECK-NOT:     tensor.concat
func.func @dependent_weight(%x: tensor<64x64xf32>, %a: tensor<64x64xf32>) -> (tensor<64x64xf32>, tensor<64x64xf32>) {
  %q = dsv2.linear %x, %a : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %kv = dsv2.linear %x, %q : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  return %q, %kv : tensor<64x64xf32>, tensor<64x64xf32>
}
