// RUN: dsv2-opt %s --dsv2-merge-shared-experts --split-input-file | FileCheck %s

// A shared network of two experts: rows of gate and up, columns of down.

// CHECK-LABEL: func.func @two
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[LOGITS:[^:]*]]: tensor<?x8xf32>, %[[GATE:[^:]*]]: tensor<8x32x64xbf16>, %[[UP:[^:]*]]: tensor<8x32x64xbf16>, %[[DOWN:[^:]*]]: tensor<8x64x32xbf16>, %[[SG:[^:]*]]: tensor<64x64xbf16>, %[[SU:[^:]*]]: tensor<64x64xbf16>, %[[SD:[^:]*]]: tensor<64x64xbf16>
// CHECK:         %[[G:.*]] = tensor.expand_shape %[[SG]] {{.*}} into tensor<2x32x64xbf16>
// CHECK:         %[[GATES:.*]] = tensor.concat dim(0) %[[GATE]], %[[G]]
// CHECK:         %[[U:.*]] = tensor.expand_shape %[[SU]] {{.*}} into tensor<2x32x64xbf16>
// CHECK:         %[[UPS:.*]] = tensor.concat dim(0) %[[UP]], %[[U]]
// CHECK:         %[[D0:.*]] = tensor.extract_slice %[[SD]][0, 0] [64, 32] [1, 1]
// CHECK:         %[[E0:.*]] = tensor.expand_shape %[[D0]] {{.*}} into tensor<1x64x32xbf16>
// CHECK:         %[[D1:.*]] = tensor.extract_slice %[[SD]][0, 32] [64, 32] [1, 1]
// CHECK:         %[[E1:.*]] = tensor.expand_shape %[[D1]] {{.*}} into tensor<1x64x32xbf16>
// CHECK:         %[[D:.*]] = tensor.concat dim(0) %[[E0]], %[[E1]]
// CHECK:         %[[DOWNS:.*]] = tensor.concat dim(0) %[[DOWN]], %[[D]]
// CHECK:         %[[W:.*]], %[[E:.*]] = dsv2.route %[[LOGITS]] softmax greedy top 2 in 1 of 1 groups shared 2
// CHECK-SAME:      -> tensor<?x4xf32>, tensor<?x4xi32>
// CHECK-NEXT:    %[[Y:.*]] = dsv2.experts %[[X]], %[[W]], %[[E]], %[[GATES]], %[[UPS]], %[[DOWNS]]
// CHECK-NEXT:    return %[[Y]]
func.func @two(%x: tensor<?x64xf32>, %logits: tensor<?x8xf32>, %gate: tensor<8x32x64xbf16>, %up: tensor<8x32x64xbf16>,
               %down: tensor<8x64x32xbf16>, %sg: tensor<64x64xbf16>, %su: tensor<64x64xbf16>, %sd: tensor<64x64xbf16>) -> tensor<?x64xf32> {
  %w, %e = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %r = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  %g = dsv2.linear %x, %sg : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  %u = dsv2.linear %x, %su : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x64xf32> -> tensor<?x64xf32>
  %s = dsv2.linear %a, %sd : tensor<?x64xf32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  %y = arith.addf %s, %r : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Quantized weights are divided before they are quantized.

// CHECK-LABEL: func.func @quantized
// CHECK:         %[[G:.*]] = tensor.expand_shape %{{.*}} into tensor<1x32x64xbf16>
// CHECK:         %[[C:.*]] = tensor.concat dim(0) %{{.*}}, %[[G]]
// CHECK:         dsv2.quantize %[[C]] : tensor<9x32x64xbf16> -> tensor<9x32x64xi4, #dsv2.block_int4<32>>
// CHECK:         dsv2.route {{.*}} shared 1
!r = tensor<8x32x64xbf16>
!rd = tensor<8x64x32xbf16>
!rq = tensor<8x32x64xi4, #dsv2.block_int4<32>>
!rdq = tensor<8x64x32xi4, #dsv2.block_int4<32>>
!sq = tensor<32x64xi4, #dsv2.block_int4<32>>
!sdq = tensor<64x32xi4, #dsv2.block_int4<32>>
func.func @quantized(%x: tensor<?x64xf32>, %logits: tensor<?x8xf32>, %gate: !r, %up: !r, %down: !rd,
                     %sg: tensor<32x64xbf16>, %su: tensor<32x64xbf16>, %sd: tensor<64x32xbf16>) -> tensor<?x64xf32> {
  %w, %e = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %gateq = dsv2.quantize %gate : !r -> !rq
  %upq = dsv2.quantize %up : !r -> !rq
  %downq = dsv2.quantize %down : !rd -> !rdq
  %sgq = dsv2.quantize %sg : tensor<32x64xbf16> -> !sq
  %suq = dsv2.quantize %su : tensor<32x64xbf16> -> !sq
  %sdq = dsv2.quantize %sd : tensor<64x32xbf16> -> !sdq
  %r = dsv2.experts %x, %w, %e, %gateq, %upq, %downq
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, !rq, !rq, !rdq -> tensor<?x64xf32>
  %g = dsv2.linear %x, %sgq : tensor<?x64xf32>, !sq -> tensor<?x32xf32>
  %u = dsv2.linear %x, %suq : tensor<?x64xf32>, !sq -> tensor<?x32xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x32xf32> -> tensor<?x32xf32>
  %s = dsv2.linear %a, %sdq : tensor<?x32xf32>, !sdq -> tensor<?x64xf32>
  %y = arith.addf %r, %s : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Other formats, another input and another width stay apart.

// CHECK-LABEL: func.func @other_format
// CHECK-NOT:     shared
// CHECK:         arith.addf
func.func @other_format(%x: tensor<?x64xf32>, %logits: tensor<?x8xf32>, %gate: tensor<8x32x64xbf16>, %up: tensor<8x32x64xbf16>,
                        %down: tensor<8x64x32xbf16>, %sg: tensor<32x64xf32>, %su: tensor<32x64xf32>, %sd: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %w, %e = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %r = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  %g = dsv2.linear %x, %sg : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %u = dsv2.linear %x, %su : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x32xf32> -> tensor<?x32xf32>
  %s = dsv2.linear %a, %sd : tensor<?x32xf32>, tensor<64x32xf32> -> tensor<?x64xf32>
  %y = arith.addf %r, %s : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @other_input
// CHECK-NOT:     shared
// CHECK:         arith.addf
func.func @other_input(%x: tensor<?x64xf32>, %x2: tensor<?x64xf32>, %logits: tensor<?x8xf32>, %gate: tensor<8x32x64xbf16>, %up: tensor<8x32x64xbf16>,
                       %down: tensor<8x64x32xbf16>, %sg: tensor<32x64xbf16>, %su: tensor<32x64xbf16>, %sd: tensor<64x32xbf16>) -> tensor<?x64xf32> {
  %w, %e = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %r = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  %g = dsv2.linear %x2, %sg : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %u = dsv2.linear %x2, %su : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x32xf32> -> tensor<?x32xf32>
  %s = dsv2.linear %a, %sd : tensor<?x32xf32>, tensor<64x32xbf16> -> tensor<?x64xf32>
  %y = arith.addf %r, %s : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @other_width
// CHECK-NOT:     shared
// CHECK:         arith.addf
func.func @other_width(%x: tensor<?x64xf32>, %logits: tensor<?x8xf32>, %gate: tensor<8x32x64xbf16>, %up: tensor<8x32x64xbf16>,
                       %down: tensor<8x64x32xbf16>, %sg: tensor<48x64xbf16>, %su: tensor<48x64xbf16>, %sd: tensor<64x48xbf16>) -> tensor<?x64xf32> {
  %w, %e = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %r = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  %g = dsv2.linear %x, %sg : tensor<?x64xf32>, tensor<48x64xbf16> -> tensor<?x48xf32>
  %u = dsv2.linear %x, %su : tensor<?x64xf32>, tensor<48x64xbf16> -> tensor<?x48xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x48xf32> -> tensor<?x48xf32>
  %s = dsv2.linear %a, %sd : tensor<?x48xf32>, tensor<64x48xbf16> -> tensor<?x64xf32>
  %y = arith.addf %r, %s : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func.func @weights_read_elsewhere
// CHECK-NOT:     shared
// CHECK:         arith.addf
func.func @weights_read_elsewhere(%x: tensor<?x64xf32>, %logits: tensor<?x8xf32>, %gate: tensor<8x32x64xbf16>, %up: tensor<8x32x64xbf16>,
                                  %down: tensor<8x64x32xbf16>, %sg: tensor<32x64xbf16>, %su: tensor<32x64xbf16>, %sd: tensor<64x32xbf16>) -> (tensor<?x64xf32>, tensor<?x2xf32>) {
  %w, %e = dsv2.route %logits softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x8xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %r = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  %g = dsv2.linear %x, %sg : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %u = dsv2.linear %x, %su : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %a = dsv2.swiglu %g, %u : tensor<?x32xf32> -> tensor<?x32xf32>
  %s = dsv2.linear %a, %sd : tensor<?x32xf32>, tensor<64x32xbf16> -> tensor<?x64xf32>
  %y = arith.addf %r, %s : tensor<?x64xf32>
  return %y, %w : tensor<?x64xf32>, tensor<?x2xf32>
}
