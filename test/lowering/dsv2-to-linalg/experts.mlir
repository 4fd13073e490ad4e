// RUN: dsv2-opt %s --dsv2-to-linalg --canonicalize --cse | FileCheck %s

// The bias takes part in the choice, not in the weights.

// CHECK-LABEL: func @route_bias
// CHECK-SAME:    %[[LOGITS:.*]]: tensor<?x8xf32>, %[[BIAS:.*]]: tensor<8xf32>
func.func @route_bias(%logits: tensor<?x8xf32>, %bias: tensor<8xf32>) -> (tensor<?x3xf32>, tensor<?x3xi32>) {
  // CHECK: %[[SCORES:.*]] = linalg.generic {{.*}} ins(%[[LOGITS]]
  // CHECK:   math.exp
  // CHECK: %[[CHOICES:.*]] = linalg.generic {{.*}} ins(%[[SCORES]], %[[BIAS]]
  // CHECK: %[[GROUPED:.*]] = tensor.expand_shape %[[CHOICES]] {{\[\[}}0], [1, 2]] {{.*}} into tensor<?x4x2xf32>
  // CHECK: %[[IN_GROUP:.*]] = linalg.generic {{.*}} ins(%[[GROUPED]], %[[GROUPED]]
  // CHECK: %[[SUMS:.*]] = linalg.generic {{.*}} ins(%[[GROUPED]], %[[IN_GROUP]]
  // CHECK:   %[[BEST_TWO:.*]] = arith.cmpi slt, %{{.*}}, %c2_i32
  // CHECK:   arith.select %[[BEST_TWO]]
  // CHECK: %[[GROUP_RANKS:.*]] = linalg.generic {{.*}} ins(%[[SUMS]], %[[SUMS]]
  // CHECK: %[[KEPT:.*]] = linalg.generic {{.*}} ins(%[[GROUPED]], %[[GROUP_RANKS]]
  // CHECK: %[[LIMITED:.*]] = tensor.collapse_shape %[[KEPT]]
  // CHECK: %[[RANKS:.*]] = linalg.generic {{.*}} ins(%[[LIMITED]], %[[LIMITED]]
  // CHECK: %[[EXPERTS:.*]] = linalg.generic {{.*}} ins(%[[RANKS]] :
  // CHECK: %[[CHOSEN:.*]] = linalg.generic {{.*}} ins(%[[SCORES]], %[[RANKS]]
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[CHOSEN]] :
  // CHECK: %[[WEIGHTS:.*]] = linalg.generic {{.*}} ins(%[[CHOSEN]], %[[SUM]]
  // CHECK: return %[[WEIGHTS]], %[[EXPERTS]]
  %w, %e = dsv2.route %logits bias %bias : tensor<8xf32> sigmoid group_top2 top 3 in 2 of 4 groups normalize scale 2.5
      : tensor<?x8xf32> -> tensor<?x3xf32>, tensor<?x3xi32>
  return %w, %e : tensor<?x3xf32>, tensor<?x3xi32>
}

// An expert comes after those with a larger score, and after equals with a
// lower index.

// CHECK-LABEL: func @route_greedy
func.func @route_greedy(%logits: tensor<?x8xf32>) -> (tensor<?x3xf32>, tensor<?x3xi32>) {
  // CHECK-NOT: tensor.expand_shape
  // CHECK: ^bb0(%[[SELF:.*]]: f32, %[[OTHER:.*]]: f32, %[[COUNT:.*]]: i32):
  // CHECK:   %[[LARGER:.*]] = arith.cmpf ogt, %[[OTHER]], %[[SELF]]
  // CHECK:   %[[EQUAL:.*]] = arith.cmpf oeq, %[[OTHER]], %[[SELF]]
  // CHECK:   %[[SELF_AT:.*]] = linalg.index 1
  // CHECK:   %[[OTHER_AT:.*]] = linalg.index 2
  // CHECK:   %[[LOWER:.*]] = arith.cmpi ult, %[[OTHER_AT]], %[[SELF_AT]]
  // CHECK:   %[[TIE:.*]] = arith.andi %[[EQUAL]], %[[LOWER]]
  // CHECK:   %[[BEFORE:.*]] = arith.ori %[[LARGER]], %[[TIE]]
  // CHECK:   %[[ONE:.*]] = arith.extui %[[BEFORE]]
  // CHECK:   arith.addi %[[COUNT]], %[[ONE]]
  %w, %e = dsv2.route %logits softmax greedy top 3 in 1 of 1 groups scale 1.0
      : tensor<?x8xf32> -> tensor<?x3xf32>, tensor<?x3xi32>
  return %w, %e : tensor<?x3xf32>, tensor<?x3xi32>
}

// CHECK-LABEL: func @experts
// CHECK-SAME:    %[[X:[a-z0-9]*]]: tensor<?x8xf32>, %[[W:[a-z0-9]*]]: tensor<?x2xf32>, %[[E:[a-z0-9]*]]: tensor<?x2xi32>, %[[GATE:[a-z0-9]*]]: tensor<4x6x8xbf16>, %[[UP:[a-z0-9]*]]: tensor<4x6x8xbf16>, %[[DOWN:[a-z0-9]*]]: tensor<4x8x6xbf16>
func.func @experts(%x: tensor<?x8xf32>, %w: tensor<?x2xf32>, %e: tensor<?x2xi32>, %gate: tensor<4x6x8xbf16>, %up: tensor<4x6x8xbf16>, %down: tensor<4x8x6xbf16>) -> tensor<?x8xf32> {
  // CHECK: %[[G:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[E]]
  // CHECK:   tensor.extract %[[GATE]]
  // CHECK: %[[U:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[E]]
  // CHECK:   tensor.extract %[[UP]]
  // CHECK: %[[HIDDEN:.*]] = linalg.generic {{.*}} ins(%[[G]], %[[U]]
  // CHECK: %[[OUT:.*]] = linalg.generic {{.*}} ins(%[[HIDDEN]], %[[E]]
  // CHECK:   tensor.extract %[[DOWN]]
  // CHECK: linalg.generic {{.*}}["parallel", "reduction", "parallel"]{{.*}} ins(%[[W]], %[[OUT]]
  %y = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x8xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<4x6x8xbf16>, tensor<4x6x8xbf16>, tensor<4x8x6xbf16> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func @group_tokens
// CHECK-SAME:    %[[E:.*]]: tensor<?x2xi32>
func.func @group_tokens(%e: tensor<?x2xi32>) -> (tensor<5xi32>, tensor<4xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x2xi32>) {
  // CHECK: %[[OFFSETS:.*]] = linalg.generic {{.*}} ins(%[[E]]
  // CHECK:   arith.cmpi slt
  // CHECK: %[[ACTIVE:.*]]:2 = scf.for
  // CHECK: %[[COUNT:.*]] = linalg.fill ins(%[[ACTIVE]]#1
  // CHECK: %[[SORTED:.*]]:3 = scf.for {{.*}} iter_args({{.*}} = %[[OFFSETS]])
  // CHECK: return %[[OFFSETS]], %[[ACTIVE]]#0, %[[COUNT]], %[[SORTED]]#0, %[[SORTED]]#1
  %offsets, %active, %count, %slot_token, %token_slot = dsv2.group_tokens %e
      : tensor<?x2xi32> -> tensor<5xi32>, tensor<4xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x2xi32>
  return %offsets, %active, %count, %slot_token, %token_slot : tensor<5xi32>, tensor<4xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x2xi32>
}

// CHECK-LABEL: func @grouped_linear
// CHECK-SAME:    %[[X:[a-z0-9]*]]: tensor<?x8xf32>, %[[TOKENS:[a-z0-9]*]]: tensor<?xi32>, %[[W:[a-z0-9]*]]: tensor<4x6x8xf32>, %[[OFFSETS:[a-z0-9]*]]: tensor<5xi32>
func.func @grouped_linear(%x: tensor<?x8xf32>, %tokens: tensor<?xi32>, %w: tensor<4x6x8xf32>, %offsets: tensor<5xi32>, %active: tensor<4xi32>, %count: tensor<1xi32>) -> tensor<?x6xf32> {
  // CHECK: %[[STARTS:.*]] = tensor.extract_slice %[[OFFSETS]][1] [4] [1]
  // CHECK: %[[EXPERT:.*]] = linalg.generic {{.*}} ins(%[[STARTS]]
  // CHECK: %[[ROWS:.*]] = linalg.generic {{.*}} ins(%[[TOKENS]]
  // CHECK:   tensor.extract %[[X]]
  // CHECK: linalg.generic {{.*}} ins(%[[ROWS]], %[[EXPERT]]
  // CHECK:   tensor.extract %[[W]]
  %y = dsv2.grouped_linear %x gather %tokens : tensor<?xi32>, %w by (%offsets, %active, %count)
      : tensor<?x8xf32>, tensor<4x6x8xf32>, tensor<5xi32>, tensor<4xi32>, tensor<1xi32> -> tensor<?x6xf32>
  return %y : tensor<?x6xf32>
}

// CHECK-LABEL: func @combine_experts
// CHECK-SAME:    %[[SLOTS:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<?x2xf32>, %[[AT:.*]]: tensor<?x2xi32>
func.func @combine_experts(%slots: tensor<?x8xf32>, %w: tensor<?x2xf32>, %at: tensor<?x2xi32>) -> tensor<?x8xf32> {
  // CHECK: linalg.generic {{.*}}["parallel", "reduction", "parallel"]{{.*}} ins(%[[W]], %[[AT]]
  // CHECK:   tensor.extract %[[SLOTS]]
  %y = dsv2.combine_experts %slots, %w, %at : tensor<?x8xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
