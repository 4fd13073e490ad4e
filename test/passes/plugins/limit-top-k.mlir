// RUN: dsv2-opt %s --load-pass-plugin=%dsv2_lib/LimitTopK%shlibext \
// RUN:   --pass-pipeline="builtin.module(limit-top-k{k=2})" | FileCheck %s

// The stock driver runs the same plugin.
// RUN: mlir-opt %s --load-dialect-plugin=%dsv2_plugin \
// RUN:   --load-pass-plugin=%dsv2_lib/LimitTopK%shlibext \
// RUN:   --pass-pipeline="builtin.module(limit-top-k{k=2})" | FileCheck %s

// RUN: not dsv2-opt %s --load-pass-plugin=%dsv2_lib/LimitTopK%shlibext \
// RUN:   --pass-pipeline="builtin.module(limit-top-k{k=0})" 2>&1 | FileCheck %s --check-prefix=ZERO
// ZERO: expects k of at least 1, but found 0

// RUN: not dsv2-opt %s --load-pass-plugin=%dsv2_lib/LimitTopK%shlibext \
// RUN:   --pass-pipeline="builtin.module(dsv2-group-experts,limit-top-k{k=2})" 2>&1 | FileCheck %s --check-prefix=GROUPED
// GROUPED: 'dsv2.route' op expects to feed only dsv2.experts, but feeds dsv2.{{.*}}; run limit-top-k before dsv2-group-experts

// CHECK-LABEL: func.func @limit
// CHECK:         %[[W:.*]], %[[E:.*]] = dsv2.route %{{.*}} softmax greedy top 2 in 1 of 1 groups
// CHECK-SAME:      -> tensor<?x2xf32>, tensor<?x2xi32>
// CHECK:         dsv2.experts %{{.*}}, %[[W]], %[[E]]
func.func @limit(%x: tensor<?x64xf32>, %logits: tensor<?x8xf32>, %gate: tensor<8x32x64xbf16>,
                 %up: tensor<8x32x64xbf16>, %down: tensor<8x64x32xbf16>) -> tensor<?x64xf32> {
  %w, %e = dsv2.route %logits softmax greedy top 6 in 1 of 1 groups scale 1.0
      : tensor<?x8xf32> -> tensor<?x6xf32>, tensor<?x6xi32>
  %y = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x6xf32>, tensor<?x6xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @few
// CHECK:         dsv2.route %{{.*}} top 1 in
func.func @few(%logits: tensor<?x8xf32>) -> tensor<?x1xf32> {
  %w, %e = dsv2.route %logits softmax greedy top 1 in 1 of 1 groups scale 1.0
      : tensor<?x8xf32> -> tensor<?x1xf32>, tensor<?x1xi32>
  return %w : tensor<?x1xf32>
}
