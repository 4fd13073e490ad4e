// RUN: dsv2-opt %s --transform-interpreter --canonicalize | FileCheck %s

// A schedule decomposes the operations it names, through the interface that
// upstream's transform operation asks for, and leaves all others.

// CHECK-LABEL: func @swiglu_only
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[U:.*]]: tensor<?x64xf32>, %[[G:.*]]: tensor<64xf32>
func.func @swiglu_only(%x: tensor<?x64xf32>, %u: tensor<?x64xf32>, %g: tensor<64xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[H:.*]] = dsv2.rms_norm %[[X]], %[[G]]
  %h = dsv2.rms_norm %x, %g eps 1.0e-6 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  // CHECK-NOT: dsv2.swiglu
  // CHECK: %[[A:.*]] = linalg.generic {{.*}} ins(%[[H]], %[[U]] :
  %a = dsv2.swiglu %h, %u : tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: return %[[A]]
  return %a : tensor<?x64xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %swiglu = transform.structured.match ops{["dsv2.swiglu"]} in %root : (!transform.any_op) -> !transform.any_op
    %0 = transform.structured.decompose_interface %swiglu : (!transform.any_op) -> !transform.any_op
    transform.yield
  }
}
