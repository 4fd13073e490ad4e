// RUN: dsv2-opt %s --dsv2-group-experts --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @group
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[WEIGHTS:.*]]: tensor<?x2xf32>, %[[IDS:.*]]: tensor<?x2xi32>
// CHECK-SAME:    %[[GATE:.*]]: tensor<8x32x64xbf16>, %[[UP:.*]]: tensor<8x32x64xbf16>, %[[DOWN:.*]]: tensor<8x48x32xbf16>
// CHECK-NEXT:    %[[O:.*]], %[[A:.*]], %[[C:.*]], %[[T:.*]], %[[S:.*]] = dsv2.group_tokens %[[IDS]]
// CHECK-SAME:      -> tensor<9xi32>, tensor<8xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x2xi32>
// CHECK-NEXT:    %[[G:.*]] = dsv2.grouped_linear %[[X]] gather %[[T]] : tensor<?xi32>, %[[GATE]] by(%[[O]], %[[A]], %[[C]])
// CHECK-NEXT:    %[[U:.*]] = dsv2.grouped_linear %[[X]] gather %[[T]] : tensor<?xi32>, %[[UP]] by(%[[O]], %[[A]], %[[C]])
// CHECK-NEXT:    %[[H:.*]] = dsv2.swiglu %[[G]], %[[U]] : tensor<?x32xf32>
// CHECK-NEXT:    %[[D:.*]] = dsv2.grouped_linear %[[H]], %[[DOWN]] by(%[[O]], %[[A]], %[[C]])
// CHECK-SAME:      -> tensor<?x48xf32>
// CHECK-NEXT:    %[[Y:.*]] = dsv2.combine_experts %[[D]], %[[WEIGHTS]], %[[S]]
// CHECK-NEXT:    return %[[Y]]
func.func @group(%x: tensor<?x64xf32>, %w: tensor<?x2xf32>, %e: tensor<?x2xi32>, %gate: tensor<8x32x64xbf16>,
                 %up: tensor<8x32x64xbf16>, %down: tensor<8x48x32xbf16>) -> tensor<?x48xf32> {
  %y = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x48x32xbf16> -> tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}

// -----

// CHECK-LABEL: func.func @static_tokens
// CHECK:         dsv2.group_tokens %{{.*}} : tensor<7x2xi32> -> tensor<9xi32>, tensor<8xi32>, tensor<1xi32>, tensor<14xi32>, tensor<7x2xi32>
// CHECK:         dsv2.swiglu %{{.*}} : tensor<14x32xf32>
func.func @static_tokens(%x: tensor<7x64xf32>, %w: tensor<7x2xf32>, %e: tensor<7x2xi32>, %gate: tensor<8x32x64xbf16>,
                         %up: tensor<8x32x64xbf16>, %down: tensor<8x64x32xbf16>) -> tensor<7x64xf32> {
  %y = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<7x64xf32>, tensor<7x2xf32>, tensor<7x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<7x64xf32>
  return %y : tensor<7x64xf32>
}

// -----

// CHECK-LABEL: func.func @dynamic_experts
// CHECK:         dsv2.experts
func.func @dynamic_experts(%x: tensor<?x64xf32>, %w: tensor<?x2xf32>, %e: tensor<?x2xi32>, %gate: tensor<?x32x64xbf16>,
                           %up: tensor<?x32x64xbf16>, %down: tensor<?x64x32xbf16>) -> tensor<?x64xf32> {
  %y = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<?x32x64xbf16>, tensor<?x32x64xbf16>, tensor<?x64x32xbf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
