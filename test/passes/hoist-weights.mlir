// RUN: dsv2-opt %s --dsv2-hoist-weights --split-input-file | FileCheck %s

// Two functions need the same slice; the second also needs its transpose.

// CHECK:       dsv2.weight @layers.1.kv_b : tensor<128x32xbf16> from "kv_b"
// CHECK:       dsv2.weight @layers.1.kv_b.0to16 : tensor<4x16x32xbf16> {
// CHECK-NEXT:    %[[W:.*]] = dsv2.get_weight @layers.1.kv_b
// CHECK-NEXT:    %[[E:.*]] = tensor.expand_shape %[[W]]
// CHECK-NEXT:    %[[S:.*]] = tensor.extract_slice %[[E]][0, 0, 0] [4, 16, 32]
// CHECK-NEXT:    dsv2.yield %[[S]]
// CHECK-LABEL: func.func @prefill
// CHECK-NEXT:    %[[UK:.*]] = dsv2.get_weight @layers.1.kv_b.0to16 : tensor<4x16x32xbf16>
// CHECK-NEXT:    dsv2.head_project %{{.*}}, %[[UK]]
// CHECK:       dsv2.weight @layers.1.kv_b.0to16.t : tensor<4x32x16xbf16> {
// CHECK:         %[[S:.*]] = tensor.extract_slice
// CHECK:         %[[INIT:.*]] = tensor.empty
// CHECK:         %[[T:.*]] = linalg.transpose ins(%[[S]] : {{.*}}) outs(%[[INIT]]
// CHECK:         dsv2.yield %[[T]]
// CHECK-LABEL: func.func @decode
// CHECK-DAG:     %[[UK:.*]] = dsv2.get_weight @layers.1.kv_b.0to16 : tensor<4x16x32xbf16>
// CHECK-DAG:     %[[KU:.*]] = dsv2.get_weight @layers.1.kv_b.0to16.t : tensor<4x32x16xbf16>
// CHECK:         dsv2.head_project %{{.*}}, %[[KU]]
// CHECK:         dsv2.head_project %{{.*}}, %[[UK]]
dsv2.weight @layers.1.kv_b : tensor<128x32xbf16> from "kv_b"
func.func @prefill(%c: tensor<?x32xf32>) -> tensor<?x4x16xf32> {
  %w = dsv2.get_weight @layers.1.kv_b : tensor<128x32xbf16>
  %e = tensor.expand_shape %w [[0, 1], [2]] output_shape [4, 32, 32] : tensor<128x32xbf16> into tensor<4x32x32xbf16>
  %uk = tensor.extract_slice %e[0, 0, 0] [4, 16, 32] [1, 1, 1] : tensor<4x32x32xbf16> to tensor<4x16x32xbf16>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  return %k : tensor<?x4x16xf32>
}
func.func @decode(%c: tensor<?x32xf32>, %q: tensor<?x4x16xf32>) -> (tensor<?x4x32xf32>, tensor<?x4x16xf32>) {
  %init = tensor.empty() : tensor<4x32x16xbf16>
  %w = dsv2.get_weight @layers.1.kv_b : tensor<128x32xbf16>
  %e = tensor.expand_shape %w [[0, 1], [2]] output_shape [4, 32, 32] : tensor<128x32xbf16> into tensor<4x32x32xbf16>
  %uk = tensor.extract_slice %e[0, 0, 0] [4, 16, 32] [1, 1, 1] : tensor<4x32x32xbf16> to tensor<4x16x32xbf16>
  %ku = linalg.transpose ins(%uk : tensor<4x16x32xbf16>) outs(%init : tensor<4x32x16xbf16>) permutation = [0, 2, 1]
  %l = dsv2.head_project %q, %ku : tensor<?x4x16xf32>, tensor<4x32x16xbf16> -> tensor<?x4x32xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  return %l, %k : tensor<?x4x32xf32>, tensor<?x4x16xf32>
}

// -----

// Names: concatenation, formats, packing, and a name that a location gives.

// CHECK:       dsv2.weight @layers.1.gate_up.int4.packed : tensor<8x64xi4, #dsv2.panels<32, #dsv2.block_int4<32>>> {
// CHECK:         %[[W:.*]] = tensor.concat dim(0)
// CHECK:         %[[Q:.*]] = dsv2.quantize %[[W]]
// CHECK:         %[[P:.*]] = dsv2.pack_weight %[[Q]]
// CHECK:         dsv2.yield %[[P]]
// CHECK:       dsv2.weight @layers.1.gate.half : tensor<2x64xbf16> {
// CHECK-LABEL: func.func @names
// CHECK:         %[[P:.*]] = dsv2.get_weight @layers.1.gate_up.int4.packed
// CHECK:         dsv2.linear %{{.*}}, %[[P]]
// CHECK:         %[[H:.*]] = dsv2.get_weight @layers.1.gate.half
// CHECK:         dsv2.linear %{{.*}}, %[[H]]
dsv2.weight @layers.1.gate : tensor<4x64xbf16> from "gate"
dsv2.weight @layers.1.up : tensor<4x64xbf16> from "up"
func.func @names(%x: tensor<?x64xf32>) -> (tensor<?x8xf32>, tensor<?x2xf32>) {
  %g = dsv2.get_weight @layers.1.gate : tensor<4x64xbf16>
  %u = dsv2.get_weight @layers.1.up : tensor<4x64xbf16>
  %w = tensor.concat dim(0) %g, %u : (tensor<4x64xbf16>, tensor<4x64xbf16>) -> tensor<8x64xbf16>
  %q = dsv2.quantize %w : tensor<8x64xbf16> -> tensor<8x64xi4, #dsv2.block_int4<32>>
  %p = dsv2.pack_weight %q : tensor<8x64xi4, #dsv2.block_int4<32>> -> tensor<8x64xi4, #dsv2.panels<32, #dsv2.block_int4<32>>>
  %y = dsv2.linear %x, %p : tensor<?x64xf32>, tensor<8x64xi4, #dsv2.panels<32, #dsv2.block_int4<32>>> -> tensor<?x8xf32>
  %h = tensor.extract_slice %g[0, 0] [2, 64] [1, 1] : tensor<4x64xbf16> to tensor<2x64xbf16> loc("half")
  %z = dsv2.linear %x, %h : tensor<?x64xf32>, tensor<2x64xbf16> -> tensor<?x2xf32>
  return %y, %z : tensor<?x8xf32>, tensor<?x2xf32>
}

// -----

// A computed weight of the input is found again, and a name that is taken gets
// a number.

// CHECK:       dsv2.weight @a.0to2 : tensor<2x64xbf16> from "taken"
// CHECK:       dsv2.weight @known : tensor<1x64xbf16>
// CHECK:       dsv2.weight @a.0to2_0 : tensor<2x64xbf16> {
// CHECK-LABEL: func.func @known_and_taken
// CHECK:         dsv2.get_weight @known
// CHECK:         dsv2.get_weight @a.0to2_0
dsv2.weight @a : tensor<4x64xbf16> from "a"
dsv2.weight @a.0to2 : tensor<2x64xbf16> from "taken"
dsv2.weight @known : tensor<1x64xbf16> {
  %a = dsv2.get_weight @a : tensor<4x64xbf16>
  %s = tensor.extract_slice %a[1, 0] [1, 64] [1, 1] : tensor<4x64xbf16> to tensor<1x64xbf16>
  dsv2.yield %s : tensor<1x64xbf16>
}
func.func @known_and_taken(%x: tensor<?x64xf32>) -> (tensor<?x1xf32>, tensor<?x2xf32>, tensor<?x2xf32>) {
  %a = dsv2.get_weight @a : tensor<4x64xbf16>
  %taken = dsv2.get_weight @a.0to2 : tensor<2x64xbf16>
  %s = tensor.extract_slice %a[1, 0] [1, 64] [1, 1] : tensor<4x64xbf16> to tensor<1x64xbf16>
  %t = tensor.extract_slice %a[0, 0] [2, 64] [1, 1] : tensor<4x64xbf16> to tensor<2x64xbf16>
  %y = dsv2.linear %x, %s : tensor<?x64xf32>, tensor<1x64xbf16> -> tensor<?x1xf32>
  %z = dsv2.linear %x, %t : tensor<?x64xf32>, tensor<2x64xbf16> -> tensor<?x2xf32>
  %v = dsv2.linear %x, %taken : tensor<?x64xf32>, tensor<2x64xbf16> -> tensor<?x2xf32>
  return %y, %z, %v : tensor<?x1xf32>, tensor<?x2xf32>, tensor<?x2xf32>
}

// -----

// Only what a function needs stays, directly or through another weight.

// CHECK-NOT: @unused
// CHECK:     dsv2.weight @source
// CHECK-NOT: @unused
// CHECK:     dsv2.weight @computed
// CHECK-NOT: @unused
dsv2.weight @unused : tensor<4x64xbf16> from "unused"
dsv2.weight @source : tensor<4x64xbf16> from "source"
dsv2.weight @unused_computed : tensor<2x64xbf16> {
  %a = dsv2.get_weight @unused : tensor<4x64xbf16>
  %s = tensor.extract_slice %a[0, 0] [2, 64] [1, 1] : tensor<4x64xbf16> to tensor<2x64xbf16>
  dsv2.yield %s : tensor<2x64xbf16>
}
dsv2.weight @computed : tensor<2x64xbf16> {
  %a = dsv2.get_weight @source : tensor<4x64xbf16>
  %s = tensor.extract_slice %a[0, 0] [2, 64] [1, 1] : tensor<4x64xbf16> to tensor<2x64xbf16>
  dsv2.yield %s : tensor<2x64xbf16>
}
func.func @needs() -> tensor<2x64xbf16> {
  %w = dsv2.get_weight @computed : tensor<2x64xbf16>
  return %w : tensor<2x64xbf16>
}

// -----

// A dynamic size and a dependence on an argument stay in the function.

// CHECK-NOT:   dsv2.weight @{{.*}} {
// CHECK-LABEL: func.func @stays
// CHECK:         %[[A:.*]] = dsv2.get_weight @a
// CHECK:         tensor.cast %[[A]]
// CHECK:         tensor.extract_slice %[[A]][%{{.*}}, 0]
dsv2.weight @a : tensor<4x64xbf16> from "a"
func.func @stays(%i: index) -> (tensor<?x64xbf16>, tensor<2x64xbf16>) {
  %a = dsv2.get_weight @a : tensor<4x64xbf16>
  %c = tensor.cast %a : tensor<4x64xbf16> to tensor<?x64xbf16>
  %s = tensor.extract_slice %a[%i, 0] [2, 64] [1, 1] : tensor<4x64xbf16> to tensor<2x64xbf16>
  return %c, %s : tensor<?x64xbf16>, tensor<2x64xbf16>
}

// -----

// The type of the values is part of a name only if nothing else is done.

// CHECK:       dsv2.weight @layers.1.a.f32 : tensor<128x128xf32> {
// CHECK:       dsv2.weight @layers.1.a_b.int8 : tensor<256x128xi8, #dsv2.block_int8<32>> {
// CHECK-LABEL: func.func @types
dsv2.weight @layers.1.a : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> from "a"
dsv2.weight @layers.1.b : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> from "b"
func.func @types(%x: tensor<?x128xf32>) -> (tensor<?x256xf32>, tensor<?x128xf32>) {
  %a = dsv2.get_weight @layers.1.a : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>
  %b = dsv2.get_weight @layers.1.b : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>
  %fa = dsv2.dequantize %a : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<128x128xf32>
  %fb = dsv2.dequantize %b : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<128x128xf32>
  %c = tensor.concat dim(0) %fa, %fb : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<256x128xf32>
  %q = dsv2.quantize %c : tensor<256x128xf32> -> tensor<256x128xi8, #dsv2.block_int8<32>>
  %y = dsv2.linear %x, %q : tensor<?x128xf32>, tensor<256x128xi8, #dsv2.block_int8<32>> -> tensor<?x256xf32>
  %z = dsv2.linear %x, %fa : tensor<?x128xf32>, tensor<128x128xf32> -> tensor<?x128xf32>
  return %y, %z : tensor<?x256xf32>, tensor<?x128xf32>
}
