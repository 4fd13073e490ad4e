// RUN: dsv2-opt %s --dsv2-specialize-phases --split-input-file | FileCheck %s
// RUN: dsv2-opt %s --dsv2-specialize-phases=decode-query-tokens=2 --split-input-file | FileCheck %s --check-prefix=TWO

// RUN: not dsv2-opt %s --dsv2-specialize-phases=decode-query-tokens=0 2>&1 | FileCheck %s --check-prefix=ZERO
// ZERO: expects decode-query-tokens of at least 1, but found 0

// Both clones have the body and the visibility of @forward; others stay.

// CHECK-NOT:   @forward
// CHECK-LABEL: func.func @decode
// CHECK-SAME:    %[[TOKENS:.*]]: tensor<?xi32>
// CHECK-SAME:    attributes {dsv2.max_query_tokens = 8 : i64}
// CHECK-NEXT:    return %[[TOKENS]]
// TWO:         func.func @decode
// TWO-SAME:      attributes {dsv2.max_query_tokens = 2 : i64}
// CHECK-LABEL: func.func @prefill
// CHECK-SAME:    %[[TOKENS:.*]]: tensor<?xi32>
// CHECK-NOT:     attributes
// CHECK:         return %[[TOKENS]]
func.func @forward(%tokens: tensor<?xi32>) -> tensor<?xi32> {
  return %tokens : tensor<?xi32>
}

// CHECK-LABEL: func.func private @other()
// CHECK-NOT:     dsv2.max_query_tokens
func.func private @other()

// -----

// CHECK-LABEL: func.func @embed_only
// CHECK-NOT:     dsv2.max_query_tokens
// CHECK-NOT:   func.func
func.func @embed_only() {
  return
}
