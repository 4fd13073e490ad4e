// RUN: dsv2-opt %s --dsv2-fuse-gate-up --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @fuse
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[G:.*]]: tensor<16x64xbf16>, %[[U:.*]]: tensor<16x64xbf16>
// CHECK-DAG:     %[[C0:.*]] = arith.constant 0 : index
// CHECK:         %[[W:.*]] = tensor.concat dim(0) %[[G]], %[[U]]
// CHECK-SAME:      -> tensor<32x64xbf16>
// CHECK:         %[[Y:.*]] = dsv2.linear %[[X]], %[[W]]
// CHECK-SAME:      -> tensor<?x32xf32>
// CHECK:         %[[ROWS:.*]] = tensor.dim %[[X]], %[[C0]]
// CHECK:         %[[GATE:.*]] = tensor.extract_slice %[[Y]][0, 0] [%[[ROWS]], 16] [1, 1]
// CHECK:         %[[UP:.*]] = tensor.extract_slice %[[Y]][0, 16] [%{{.*}}, 16] [1, 1]
// CHECK:         %[[A:.*]] = dsv2.swiglu %[[GATE]], %[[UP]]
// CHECK:         return %[[A]]
func.func @fuse(%x: tensor<?x64xf32>, %wg: tensor<16x64xbf16>, %wu: tensor<16x64xbf16>) -> tensor<?x16xf32> {
  %g = dsv2.linear %x, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %u = dsv2.linear %x, %wu : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x16xf32> -> tensor<?x16xf32>
  return %a : tensor<?x16xf32>
}

// -----

// Weights that are stored in groups, or are quantized alike, join as they are.

// CHECK-LABEL: func.func @stored_in_groups
// CHECK-SAME:    %{{.*}}: tensor<?x64xf32>, %[[G:.*]]: tensor<16x64xi8, #dsv2.block_int8<32>>, %[[F:.*]]: tensor<16x64xf32>
// CHECK:         %[[U:.*]] = dsv2.quantize %[[F]]
// CHECK:         %[[W:.*]] = tensor.concat dim(0) %[[G]], %[[U]]
// CHECK-SAME:      -> tensor<32x64xi8, #dsv2.block_int8<32>>
// CHECK:         dsv2.linear %{{.*}}, %[[W]]
func.func @stored_in_groups(%x: tensor<?x64xf32>, %wg: tensor<16x64xi8, #dsv2.block_int8<32>>, %f: tensor<16x64xf32>) -> tensor<?x16xf32> {
  %wu = dsv2.quantize %f : tensor<16x64xf32> -> tensor<16x64xi8, #dsv2.block_int8<32>>
  %g = dsv2.linear %x, %wg : tensor<?x64xf32>, tensor<16x64xi8, #dsv2.block_int8<32>> -> tensor<?x16xf32>
  %u = dsv2.linear %x, %wu : tensor<?x64xf32>, tensor<16x64xi8, #dsv2.block_int8<32>> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x16xf32> -> tensor<?x16xf32>
  return %a : tensor<?x16xf32>
}

// -----

// CHECK-LABEL: func.func @fuse_grouped
// CHECK-SAME:    %[[X:.*]]: tensor<7x64xf32>, %[[G:.*]]: tensor<8x16x64xbf16>, %[[U:.*]]: tensor<8x16x64xbf16>
// CHECK-SAME:    %[[T:.*]]: tensor<14xi32>, %[[O:.*]]: tensor<9xi32>, %[[A:.*]]: tensor<8xi32>, %[[C:.*]]: tensor<1xi32>
// CHECK:         %[[W:.*]] = tensor.concat dim(1) %[[G]], %[[U]]
// CHECK-SAME:      -> tensor<8x32x64xbf16>
// CHECK:         %[[Y:.*]] = dsv2.grouped_linear %[[X]] gather %[[T]] : tensor<14xi32>, %[[W]] by(%[[O]], %[[A]], %[[C]])
// CHECK-SAME:      -> tensor<14x32xf32>
// CHECK:         %[[GATE:.*]] = tensor.extract_slice %[[Y]][0, 0] [14, 16] [1, 1]
// CHECK:         %[[UP:.*]] = tensor.extract_slice %[[Y]][0, 16] [14, 16] [1, 1]
// CHECK:         dsv2.swiglu %[[GATE]], %[[UP]]
func.func @fuse_grouped(%x: tensor<7x64xf32>, %wg: tensor<8x16x64xbf16>, %wu: tensor<8x16x64xbf16>,
                        %t: tensor<14xi32>, %o: tensor<9xi32>, %a: tensor<8xi32>, %c: tensor<1xi32>) -> tensor<14x16xf32> {
  %g = dsv2.grouped_linear %x gather %t : tensor<14xi32>, %wg by (%o, %a, %c)
      : tensor<7x64xf32>, tensor<8x16x64xbf16>, tensor<9xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<14x16xf32>
  %u = dsv2.grouped_linear %x gather %t : tensor<14xi32>, %wu by (%o, %a, %c)
      : tensor<7x64xf32>, tensor<8x16x64xbf16>, tensor<9xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<14x16xf32>
  %r = dsv2.swiglu %g, %u : tensor<14x16xf32> -> tensor<14x16xf32>
  return %r : tensor<14x16xf32>
}

// -----

// CHECK-LABEL: func.func @no_products
// CHECK-NOT:     tensor.concat
func.func @no_products(%x: tensor<?x64xf32>, %w: tensor<16x64xbf16>) -> tensor<?x16xf32> {
  %g = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %g : tensor<?x16xf32> -> tensor<?x16xf32>
  return %a : tensor<?x16xf32>
}

// -----

// CHECK-LABEL: func.func @two_inputs
// CHECK-NOT:     tensor.concat
func.func @two_inputs(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %wg: tensor<16x64xbf16>, %wu: tensor<16x64xbf16>) -> tensor<?x16xf32> {
  %g = dsv2.linear %x, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %u = dsv2.linear %y, %wu : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x16xf32> -> tensor<?x16xf32>
  return %a : tensor<?x16xf32>
}

// -----

// CHECK-LABEL: func.func @other_uses
// CHECK-NOT:     tensor.concat
func.func @other_uses(%x: tensor<?x64xf32>, %wg: tensor<16x64xbf16>, %wu: tensor<16x64xbf16>) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  %g = dsv2.linear %x, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %u = dsv2.linear %x, %wu : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x16xf32> -> tensor<?x16xf32>
  return %g, %a : tensor<?x16xf32>, tensor<?x16xf32>
}

// -----

// CHECK-LABEL: func.func @two_types
// CHECK-NOT:     tensor.concat
func.func @two_types(%x: tensor<?x64xf32>, %wg: tensor<16x64xbf16>, %wu: tensor<16x64xf32>) -> tensor<?x16xf32> {
  %g = dsv2.linear %x, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %u = dsv2.linear %x, %wu : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x16xf32> -> tensor<?x16xf32>
  return %a : tensor<?x16xf32>
}

// -----

// Quantizing goes row by row, so it may follow the concatenation.

// CHECK-LABEL: func.func @quantized
// CHECK-SAME:    %[[X:.*]]: tensor<3x64xf32>, %[[G:.*]]: tensor<16x64xbf16>, %[[U:.*]]: tensor<16x64xbf16>
// CHECK:         %[[W:.*]] = tensor.concat dim(0) %[[G]], %[[U]]
// CHECK:         %[[Q:.*]] = dsv2.quantize %[[W]] : tensor<32x64xbf16> -> tensor<32x64xi4, #dsv2.block_int4<32>>
// CHECK:         dsv2.linear %[[X]], %[[Q]]
func.func @quantized(%x: tensor<3x64xf32>, %wg: tensor<16x64xbf16>, %wu: tensor<16x64xbf16>) -> tensor<3x16xf32> {
  %qg = dsv2.quantize %wg : tensor<16x64xbf16> -> tensor<16x64xi4, #dsv2.block_int4<32>>
  %qu = dsv2.quantize %wu : tensor<16x64xbf16> -> tensor<16x64xi4, #dsv2.block_int4<32>>
  %g = dsv2.linear %x, %qg : tensor<3x64xf32>, tensor<16x64xi4, #dsv2.block_int4<32>> -> tensor<3x16xf32>
  %u = dsv2.linear %x, %qu : tensor<3x64xf32>, tensor<16x64xi4, #dsv2.block_int4<32>> -> tensor<3x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<3x16xf32> -> tensor<3x16xf32>
  return %a : tensor<3x16xf32>
}

// -----

// Blocks of several rows must end where the gate does.

// CHECK-LABEL: func.func @blocks
// CHECK:         tensor.concat dim(0) {{.*}} -> tensor<256x128xf8E4M3FN, #dsv2.block_fp8<128x128>>
func.func @blocks(%x: tensor<3x128xf32>, %wg: tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>, %wu: tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>) -> tensor<3x128xf32> {
  %g = dsv2.linear %x, %wg : tensor<3x128xf32>, tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x128xf32>
  %u = dsv2.linear %x, %wu : tensor<3x128xf32>, tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x128xf32>
  %a = dsv2.swiglu %g, %u : tensor<3x128xf32> -> tensor<3x128xf32>
  return %a : tensor<3x128xf32>
}

// CHECK-LABEL: func.func @within_a_block
// CHECK-NOT:     tensor.concat
func.func @within_a_block(%x: tensor<3x128xf32>, %wg: tensor<136x128xf8E4M3FN, #dsv2.block_fp8<128x128>>, %wu: tensor<136x128xf8E4M3FN, #dsv2.block_fp8<128x128>>) -> tensor<3x136xf32> {
  %g = dsv2.linear %x, %wg : tensor<3x128xf32>, tensor<136x128xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x136xf32>
  %u = dsv2.linear %x, %wu : tensor<3x128xf32>, tensor<136x128xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<3x136xf32>
  %a = dsv2.swiglu %g, %u : tensor<3x136xf32> -> tensor<3x136xf32>
  return %a : tensor<3x136xf32>
}
