// RUN: dsv2-opt %s --dsv2-quantize-weights --split-input-file | FileCheck %s
// RUN: dsv2-opt %s --dsv2-quantize-weights="format=keep attention=int4 up-projections=int8" --split-input-file \
// RUN: | FileCheck %s --check-prefix=CLASS
// RUN: dsv2-opt %s --dsv2-quantize-weights="format=bf16" --split-input-file | FileCheck %s --check-prefix=BF16
// RUN: dsv2-opt %s --dsv2-quantize-weights="format=keep shared=int8" --split-input-file | FileCheck %s --check-prefix=SHARED
// RUN: dsv2-opt %s --dsv2-quantize-weights="format=keep attention=fp8" --split-input-file | FileCheck %s --check-prefix=FP8

dsv2.weight @attention : tensor<64x60xbf16> from "attention"
dsv2.weight @router : tensor<8x64xbf16> from "router"
dsv2.weight @gate : tensor<16x64xbf16> from "gate"
dsv2.weight @up : tensor<16x64xbf16> from "up"
dsv2.weight @down : tensor<64x16xbf16> from "down"
dsv2.weight @expert_gate : tensor<8x16x64xbf16> from "experts.*.gate"
dsv2.weight @expert_down : tensor<8x64x16xbf16> from "experts.*.down"
dsv2.weight @uk : tensor<4x16x16xbf16> from "uk"
dsv2.weight @head : tensor<100x64xbf16> from "head"

// Each class has its option, the router none.

// CHECK-LABEL: func.func @classes
// CHECK-SAME:    %[[X:.*]]: tensor<?x60xf32>
// FP8-LABEL:   func.func @classes
// FP8:           dsv2.quantize %{{.*}} : tensor<64x60xbf16> -> tensor<64x60xf8E4M3FN, #dsv2.block_fp8<128x128>>
// CLASS-LABEL: func.func @classes
// CLASS-SAME:    %[[X:.*]]: tensor<?x60xf32>
func.func @classes(%x: tensor<?x60xf32>) -> (tensor<?x100xf32>, tensor<?x4x16xf32>) {
  %wa = dsv2.get_weight @attention : tensor<64x60xbf16>
  %wr = dsv2.get_weight @router : tensor<8x64xbf16>
  %wg = dsv2.get_weight @gate : tensor<16x64xbf16>
  %wu = dsv2.get_weight @up : tensor<16x64xbf16>
  %wd = dsv2.get_weight @down : tensor<64x16xbf16>
  %eg = dsv2.get_weight @expert_gate : tensor<8x16x64xbf16>
  %ed = dsv2.get_weight @expert_down : tensor<8x64x16xbf16>
  %wk = dsv2.get_weight @uk : tensor<4x16x16xbf16>
  %wh = dsv2.get_weight @head : tensor<100x64xbf16>
  // CHECK-DAG: %[[ATTENTION:.*]] = dsv2.get_weight @attention :
  // CHECK-DAG: %[[ROUTER:.*]] = dsv2.get_weight @router :
  // CHECK-DAG: %[[GATE:.*]] = dsv2.get_weight @gate :
  // CHECK-DAG: %[[UP:.*]] = dsv2.get_weight @up :
  // CHECK-DAG: %[[DOWN:.*]] = dsv2.get_weight @down :
  // CHECK-DAG: %[[EGATE:.*]] = dsv2.get_weight @expert_gate :
  // CHECK-DAG: %[[EDOWN:.*]] = dsv2.get_weight @expert_down :
  // CHECK-DAG: %[[UK0:.*]] = dsv2.get_weight @uk :
  // CHECK-DAG: %[[HEAD:.*]] = dsv2.get_weight @head :
  // CLASS-DAG: %[[ATTENTION:.*]] = dsv2.get_weight @attention :
  // CLASS-DAG: %[[UK0:.*]] = dsv2.get_weight @uk :

  // CHECK: %[[WA:.*]] = dsv2.quantize %[[ATTENTION]] : {{.*}} -> tensor<64x60xi8, #dsv2.block_int8<32>>
  // CHECK: %[[H:.*]] = dsv2.linear %[[X]], %[[WA]]
  // CLASS: %[[WA:.*]] = dsv2.quantize %[[ATTENTION]] : {{.*}} -> tensor<64x60xi4, #dsv2.block_int4<32>>
  // CLASS: %[[H:.*]] = dsv2.linear %[[X]], %[[WA]]
  %h = dsv2.linear %x, %wa : tensor<?x60xf32>, tensor<64x60xbf16> -> tensor<?x64xf32>

  // CHECK: dsv2.linear %[[H]], %[[ROUTER]] : tensor<?x64xf32>, tensor<8x64xbf16>
  // CLASS-NOT: dsv2.quantize
  %l = dsv2.linear %h, %wr : tensor<?x64xf32>, tensor<8x64xbf16> -> tensor<?x8xf32>
  %w, %e = dsv2.route %l softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>

  // CHECK: %[[WG:.*]] = dsv2.quantize %[[GATE]]
  // CHECK: dsv2.linear %[[H]], %[[WG]]
  // CHECK: %[[WU:.*]] = dsv2.quantize %[[UP]]
  // CHECK: dsv2.linear %[[H]], %[[WU]]
  // CHECK: %[[WD:.*]] = dsv2.quantize %[[DOWN]]
  // CHECK: dsv2.linear %{{.*}}, %[[WD]]
  %g = dsv2.linear %h, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %u = dsv2.linear %h, %wu : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x16xf32> -> tensor<?x16xf32>
  %d = dsv2.linear %a, %wd : tensor<?x16xf32>, tensor<64x16xbf16> -> tensor<?x64xf32>

  // CHECK: %[[EG:.*]] = dsv2.quantize %[[EGATE]] : {{.*}} -> tensor<8x16x64xi8, #dsv2.block_int8<32>>
  // CHECK: %[[EU:.*]] = dsv2.quantize %[[EGATE]]
  // CHECK: %[[ED:.*]] = dsv2.quantize %[[EDOWN]]
  // CHECK: dsv2.experts %[[H]], %{{.*}}, %{{.*}}, %[[EG]], %[[EU]], %[[ED]]
  %y = dsv2.experts %h, %w, %e, %eg, %eg, %ed
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x16x64xbf16>, tensor<8x16x64xbf16>, tensor<8x64x16xbf16> -> tensor<?x64xf32>

  // CHECK: dsv2.head_project %{{.*}}, %[[UK0]] : tensor<?x4x16xf32>, tensor<4x16x16xbf16>
  // CLASS: %[[UK:.*]] = dsv2.quantize %[[UK0]] : {{.*}} -> tensor<4x16x16xi8, #dsv2.block_int8<32>>
  // CLASS: dsv2.head_project %{{.*}}, %[[UK]]
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %h, %c0 : tensor<?x64xf32>
  %q = tensor.expand_shape %d [[0], [1, 2]] output_shape [%rows, 4, 16] : tensor<?x64xf32> into tensor<?x4x16xf32>
  %k = dsv2.head_project %q, %wk : tensor<?x4x16xf32>, tensor<4x16x16xbf16> -> tensor<?x4x16xf32>

  // CHECK: %[[WH:.*]] = dsv2.quantize %[[HEAD]]
  // CHECK: dsv2.linear %{{.*}}, %[[WH]]
  %logits = dsv2.linear %y, %wh : tensor<?x64xf32>, tensor<100x64xbf16> -> tensor<?x100xf32>
  return %logits, %k : tensor<?x100xf32>, tensor<?x4x16xf32>
}

// -----

// After fusion, a slice lies between a gate and its product.

dsv2.weight @gate_up : tensor<32x64xbf16> from "gate_up"

// CLASS-LABEL: func.func @fused_gate
// CLASS-NOT:     dsv2.quantize
// CLASS:         return
func.func @fused_gate(%x: tensor<5x64xf32>) -> tensor<5x16xf32> {
  %w = dsv2.get_weight @gate_up : tensor<32x64xbf16>
  %y = dsv2.linear %x, %w : tensor<5x64xf32>, tensor<32x64xbf16> -> tensor<5x32xf32>
  %g = tensor.extract_slice %y[0, 0] [5, 16] [1, 1] : tensor<5x32xf32> to tensor<5x16xf32>
  %u = tensor.extract_slice %y[0, 16] [5, 16] [1, 1] : tensor<5x32xf32> to tensor<5x16xf32>
  %a = dsv2.swiglu %g, %u : tensor<5x16xf32> -> tensor<5x16xf32>
  return %a : tensor<5x16xf32>
}

// -----

// The values of a block format are those of a checkpoint.

dsv2.weight @w : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> from "w"

// CHECK-LABEL: func.func @fp8
// CHECK:         %[[F:.*]] = dsv2.dequantize %{{.*}} : {{.*}} -> tensor<128x128xf32>
// CHECK-NEXT:    %[[Q:.*]] = dsv2.quantize %[[F]] : tensor<128x128xf32> -> tensor<128x128xi8, #dsv2.block_int8<32>>
// CHECK-NEXT:    dsv2.linear %{{.*}}, %[[Q]]
func.func @fp8(%x: tensor<5x128xf32>) -> tensor<5x128xf32> {
  %w = dsv2.get_weight @w : tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>>
  %y = dsv2.linear %x, %w : tensor<5x128xf32>, tensor<128x128xf8E4M3FN, #dsv2.block_fp8<128x128>> -> tensor<5x128xf32>
  return %y : tensor<5x128xf32>
}

// -----

// Weights that have groups are left alone only in the format they have.

dsv2.weight @w : tensor<64x64xi4, #dsv2.block_int4<32>> from "w"
dsv2.weight @v : tensor<64x64xi8, #dsv2.block_int8<32>> from "v"
dsv2.weight @f : tensor<64x64xf32> from "f"

// CHECK-LABEL: func.func @quantized_already
// CHECK:         %[[W:.*]] = dsv2.get_weight @w
// CHECK:         %[[V:.*]] = dsv2.get_weight @v
// CHECK:         %[[F:.*]] = dsv2.get_weight @f
// CHECK:         %[[D:.*]] = dsv2.dequantize %[[W]]
// CHECK:         %[[Q:.*]] = dsv2.quantize %[[D]] : tensor<64x64xf32> -> tensor<64x64xi8, #dsv2.block_int8<32>>
// CHECK:         dsv2.linear %{{.*}}, %[[Q]]
// CHECK:         dsv2.linear %{{.*}}, %[[V]]
// CHECK:         %[[P:.*]] = dsv2.quantize %[[F]] : tensor<64x64xf32> -> tensor<64x64xi8, #dsv2.block_int8<32>>
// CHECK:         dsv2.linear %{{.*}}, %[[P]]

// BF16-LABEL: func.func @quantized_already
// BF16:         %[[V:.*]] = dsv2.get_weight @v
// BF16:         %[[F:.*]] = dsv2.get_weight @f
// BF16:         %[[D:.*]] = dsv2.dequantize %[[V]]
// BF16:         %[[B:.*]] = arith.truncf %[[D]] : tensor<64x64xf32> to tensor<64x64xbf16>
// BF16:         dsv2.linear %{{.*}}, %[[B]]
// BF16:         %[[P:.*]] = arith.truncf %[[F]]
// BF16:         dsv2.linear %{{.*}}, %[[P]]
func.func @quantized_already(%x: tensor<5x64xf32>) -> (tensor<5x64xf32>, tensor<5x64xf32>, tensor<5x64xf32>) {
  %w = dsv2.get_weight @w : tensor<64x64xi4, #dsv2.block_int4<32>>
  %v = dsv2.get_weight @v : tensor<64x64xi8, #dsv2.block_int8<32>>
  %f = dsv2.get_weight @f : tensor<64x64xf32>
  %q = dsv2.quantize %f : tensor<64x64xf32> -> tensor<64x64xi4, #dsv2.block_int4<32>>
  %y = dsv2.linear %x, %w : tensor<5x64xf32>, tensor<64x64xi4, #dsv2.block_int4<32>> -> tensor<5x64xf32>
  %z = dsv2.linear %x, %v : tensor<5x64xf32>, tensor<64x64xi8, #dsv2.block_int8<32>> -> tensor<5x64xf32>
  %a = dsv2.linear %x, %q : tensor<5x64xf32>, tensor<64x64xi4, #dsv2.block_int4<32>> -> tensor<5x64xf32>
  return %y, %z, %a : tensor<5x64xf32>, tensor<5x64xf32>, tensor<5x64xf32>
}

// -----

// Gated units whose results join those of experts are shared ones.

dsv2.weight @gate : tensor<16x64xbf16> from "gate"
dsv2.weight @down : tensor<64x16xbf16> from "down"
dsv2.weight @expert_gate : tensor<8x16x64xbf16> from "experts.*.gate"
dsv2.weight @expert_down : tensor<8x64x16xbf16> from "experts.*.down"

// SHARED-LABEL: func.func @shared
// SHARED:         %[[G:.*]] = dsv2.quantize %{{.*}} -> tensor<16x64xi8, #dsv2.block_int8<32>>
// SHARED:         dsv2.linear %{{.*}}, %[[G]]
// SHARED:         %[[D:.*]] = dsv2.quantize %{{.*}} -> tensor<64x16xi8, #dsv2.block_int8<32>>
// SHARED:         dsv2.linear %{{.*}}, %[[D]]
// SHARED-NOT:     dsv2.quantize
func.func @shared(%x: tensor<?x64xf32>, %w: tensor<?x2xf32>, %e: tensor<?x2xi32>) -> tensor<?x64xf32> {
  %wg = dsv2.get_weight @gate : tensor<16x64xbf16>
  %wd = dsv2.get_weight @down : tensor<64x16xbf16>
  %eg = dsv2.get_weight @expert_gate : tensor<8x16x64xbf16>
  %ed = dsv2.get_weight @expert_down : tensor<8x64x16xbf16>
  %y = dsv2.experts %x, %w, %e, %eg, %eg, %ed
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x16x64xbf16>, tensor<8x16x64xbf16>, tensor<8x64x16xbf16> -> tensor<?x64xf32>
  %g = dsv2.linear %x, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %a = dsv2.swiglu %g, %g : tensor<?x16xf32> -> tensor<?x16xf32>
  %d = dsv2.linear %a, %wd : tensor<?x16xf32>, tensor<64x16xbf16> -> tensor<?x64xf32>
  %sum = arith.addf %y, %d : tensor<?x64xf32>
  %b = dsv2.linear %sum, %wg : tensor<?x64xf32>, tensor<16x64xbf16> -> tensor<?x16xf32>
  %c = dsv2.swiglu %b, %b : tensor<?x16xf32> -> tensor<?x16xf32>
  %f = dsv2.linear %c, %wd : tensor<?x16xf32>, tensor<64x16xbf16> -> tensor<?x64xf32>
  return %f : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @activations
// CHECK-NOT:     dsv2.quantize
func.func @activations(%x: tensor<5x64xf32>, %y: tensor<7x64xf32>) -> tensor<5x7xf32> {
  %z = dsv2.linear %x, %y : tensor<5x64xf32>, tensor<7x64xf32> -> tensor<5x7xf32>
  return %z : tensor<5x7xf32>
}
