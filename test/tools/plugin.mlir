// The stock mlir-opt reads the dialect and runs our passes.
// RUN: mlir-opt %s --load-dialect-plugin=%dsv2_plugin --load-pass-plugin=%dsv2_plugin \
// RUN:   --pass-pipeline="builtin.module(dsv2-fuse-gate-up,dsv2-hoist-weights)" | FileCheck %s

// CHECK:       dsv2.weight @gate_up : tensor<32x64xbf16> {
// CHECK-LABEL: func.func @unit
// CHECK:         %[[W:.*]] = dsv2.get_weight @gate_up
// CHECK:         dsv2.linear %{{.*}}, %[[W]]
dsv2.weight @gate : tensor<16x64xbf16> from "gate"
dsv2.weight @up : tensor<16x64xbf16> from "up"
func.func @unit(%x: tensor<3x64xf32>) -> tensor<3x16xf32> {
  %wg = dsv2.get_weight @gate : tensor<16x64xbf16>
  %wu = dsv2.get_weight @up : tensor<16x64xbf16>
  %g = dsv2.linear %x, %wg : tensor<3x64xf32>, tensor<16x64xbf16> -> tensor<3x16xf32>
  %u = dsv2.linear %x, %wu : tensor<3x64xf32>, tensor<16x64xbf16> -> tensor<3x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<3x16xf32> -> tensor<3x16xf32>
  return %a : tensor<3x16xf32>
}
