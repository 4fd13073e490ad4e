// RUN: dsv2-opt %s --dsv2-to-linalg --canonicalize --cse | FileCheck %s

// CHECK: #[[$SHARED:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d3)>

// CHECK-LABEL: func @embed
// CHECK-SAME:    %[[IDS:.*]]: tensor<?xi32>, %[[TABLE:.*]]: tensor<100x16xbf16>
func.func @embed(%ids: tensor<?xi32>, %table: tensor<100x16xbf16>) -> tensor<?x16xf32> {
  // CHECK: linalg.generic {{.*}} ins(%[[IDS]] : tensor<?xi32>)
  // CHECK: ^bb0(%[[ID:.*]]: i32, %{{.*}}: f32):
  // CHECK:   %[[ROW:.*]] = arith.index_cast %[[ID]]
  // CHECK:   %[[COLUMN:.*]] = linalg.index 1
  // CHECK:   %[[VALUE:.*]] = tensor.extract %[[TABLE]][%[[ROW]], %[[COLUMN]]]
  // CHECK:   %[[WIDE:.*]] = arith.extf %[[VALUE]] : bf16 to f32
  // CHECK:   linalg.yield %[[WIDE]]
  %x = dsv2.embed %ids, %table : tensor<?xi32>, tensor<100x16xbf16> -> tensor<?x16xf32>
  return %x : tensor<?x16xf32>
}

// CHECK-LABEL: func @select_rows
// CHECK-SAME:    %[[X:.*]]: tensor<?x16xf32>, %[[BATCH:.*]]: !dsv2.batch
func.func @select_rows(%x: tensor<?x16xf32>, %batch: !dsv2.batch) -> tensor<?x16xf32> {
  // CHECK: %[[ROWS:.*]] = dsv2.batch_get logit_rows of %[[BATCH]]
  // CHECK: linalg.generic {{.*}} ins(%[[ROWS]] : tensor<?xi32>)
  // CHECK:   tensor.extract %[[X]]
  %y = dsv2.select_rows %x of %batch : tensor<?x16xf32> -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// The result is rounded once, at the end.

// CHECK-LABEL: func @rms_norm
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[GAMMA:.*]]: tensor<64xbf16>
func.func @rms_norm(%x: tensor<?x64xf32>, %gamma: tensor<64xbf16>) -> tensor<?x64xbf16, #dsv2.rows<32>> {
  // CHECK: %[[SQUARES:.*]] = linalg.generic {{.*}}"reduction"{{.*}} ins(%[[X]]
  // CHECK: %[[INVERSE:.*]] = linalg.generic {{.*}} ins(%[[SQUARES]]
  // CHECK:   %[[ROOT:.*]] = math.sqrt
  // CHECK:   arith.divf %{{.*}}, %[[ROOT]]
  // CHECK: %[[Y:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[INVERSE]], %[[GAMMA]]
  // CHECK:   %[[ROUNDED:.*]] = arith.truncf %{{.*}} : f32 to bf16
  // CHECK:   linalg.yield %[[ROUNDED]]
  // CHECK: return %[[Y]] : tensor<?x64xbf16, #dsv2.rows<32>>
  %y = dsv2.rms_norm %x, %gamma eps 1.0e-6 : tensor<?x64xf32>, tensor<64xbf16> -> tensor<?x64xbf16, #dsv2.rows<32>>
  return %y : tensor<?x64xbf16, #dsv2.rows<32>>
}

// Products are widened before they are summed, in f32.

// CHECK-LABEL: func @linear
// CHECK-SAME:    %[[X:.*]]: tensor<?x32xbf16, #dsv2.rows<32>>, %[[W:.*]]: tensor<8x32xbf16>
func.func @linear(%x: tensor<?x32xbf16, #dsv2.rows<32>>, %w: tensor<8x32xbf16>) -> tensor<?x8xf32> {
  // CHECK: %[[ZERO:.*]] = linalg.fill
  // CHECK: %[[Y:.*]] = linalg.generic {{.*}}["parallel", "parallel", "reduction"]{{.*}} ins(%[[X]], %[[W]] :{{.*}} outs(%[[ZERO]]
  // CHECK: ^bb0(%[[A:.*]]: bf16, %[[B:.*]]: bf16, %[[SUM:.*]]: f32):
  // CHECK:   %[[WIDE_A:.*]] = arith.extf %[[A]]
  // CHECK:   %[[WIDE_B:.*]] = arith.extf %[[B]]
  // CHECK:   %[[PRODUCT:.*]] = arith.mulf %[[WIDE_A]], %[[WIDE_B]] : f32
  // CHECK:   %[[NEXT:.*]] = arith.addf %[[SUM]], %[[PRODUCT]] : f32
  // CHECK:   linalg.yield %[[NEXT]]
  // CHECK: return %[[Y]]
  %y = dsv2.linear %x, %w : tensor<?x32xbf16, #dsv2.rows<32>>, tensor<8x32xbf16> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func @head_project_shared
// CHECK-SAME:    %[[X:.*]]: tensor<?x16xf32>, %[[W:.*]]: tensor<2x5x16xf32>
func.func @head_project_shared(%x: tensor<?x16xf32>, %w: tensor<2x5x16xf32>) -> tensor<?x2x5xf32> {
  // CHECK: linalg.generic {indexing_maps = [#[[$SHARED]], {{.*}} ins(%[[X]], %[[W]]
  %y = dsv2.head_project %x, %w : tensor<?x16xf32>, tensor<2x5x16xf32> -> tensor<?x2x5xf32>
  return %y : tensor<?x2x5xf32>
}

// Angles are f64; the table is f32. Element 2i turns with element 2i + 1.

// CHECK-LABEL: func @rope
// CHECK-SAME:    %[[X:.*]]: tensor<?x2x4xf32>, %[[BATCH:.*]]: !dsv2.batch
func.func @rope(%x: tensor<?x2x4xf32>, %batch: !dsv2.batch) -> tensor<?x2x4xf32> {
  // CHECK-DAG: %[[FREQUENCIES:.*]] = arith.constant dense<[1.000000e+00, 1.000000e-02]> : tensor<2xf64>
  // CHECK-DAG: %[[POSITIONS:.*]] = dsv2.batch_get positions of %[[BATCH]]
  // CHECK: %[[COS:.*]] = linalg.generic {{.*}} ins(%[[POSITIONS]], %[[FREQUENCIES]]
  // CHECK:   %[[ANGLE:.*]] = arith.mulf %{{.*}} : f64
  // CHECK:   math.cos %[[ANGLE]] : f64
  // CHECK: %[[SIN:.*]] = linalg.generic {{.*}} ins(%[[POSITIONS]], %[[FREQUENCIES]]
  // CHECK:   math.sin
  // CHECK: linalg.generic {{.*}} ins(%[[X]], %[[COS]], %[[SIN]]
  // CHECK:   %[[PARTNER:.*]] = arith.xori
  // CHECK:   tensor.extract %[[X]][%{{.*}}, %{{.*}}, %[[PARTNER]]]
  %y = dsv2.rope %x by <theta = 1.0e4> at %batch : tensor<?x2x4xf32> -> tensor<?x2x4xf32>
  return %y : tensor<?x2x4xf32>
}

// CHECK-LABEL: func @swiglu
// CHECK-SAME:    %[[GATE:.*]]: tensor<?x8xf32>, %[[UP:.*]]: tensor<?x8xf32>
func.func @swiglu(%gate: tensor<?x8xf32>, %up: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK: linalg.generic {{.*}} ins(%[[GATE]], %[[UP]]
  // CHECK: ^bb0(%[[G:.*]]: f32, %[[U:.*]]: f32, %{{.*}}: f32):
  // CHECK:   %[[MINUS:.*]] = arith.negf %[[G]]
  // CHECK:   %[[POWER:.*]] = math.exp %[[MINUS]]
  // CHECK:   %[[DIVISOR:.*]] = arith.addf %[[POWER]]
  // CHECK:   %[[SILU:.*]] = arith.divf %[[G]], %[[DIVISOR]]
  // CHECK:   arith.mulf %[[SILU]], %[[U]]
  %y = dsv2.swiglu %gate, %up : tensor<?x8xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func @pack_rows
// CHECK-SAME:    %[[X:.*]]: tensor<?x8xf32>
func.func @pack_rows(%x: tensor<?x8xf32>) -> tensor<?x8xbf16, #dsv2.rows<32>> {
  // CHECK: linalg.generic {{.*}} ins(%[[X]] : tensor<?x8xf32>)
  // CHECK:   arith.truncf %{{.*}} : f32 to bf16
  %y = dsv2.pack_rows %x : tensor<?x8xf32> -> tensor<?x8xbf16, #dsv2.rows<32>>
  return %y : tensor<?x8xbf16, #dsv2.rows<32>>
}
