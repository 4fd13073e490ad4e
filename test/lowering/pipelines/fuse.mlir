// RUN: dsv2-opt %s --dsv2-fuse 2>/dev/null | FileCheck %s
// RUN: dsv2-opt %s --dsv2-fuse="absorb=form=expanded" 2>/dev/null | FileCheck %s --check-prefix=ABSORB
// RUN: dsv2-opt %s --dsv2-fuse="quantize=format=int8" 2>/dev/null | FileCheck %s --check-prefix=QUANTIZE

// Keys and values are expanded in int8 where other weights have larger errors.
// RUN: dsv2-opt %s --dsv2-fuse="quantize=format=int4" 2>/dev/null | FileCheck %s --check-prefix=INT8-EXPANSION
// RUN: dsv2-opt %s --dsv2-fuse="quantize={experts=int4 format=int8}" 2>/dev/null | FileCheck %s --check-prefix=INT8-EXPANSION
// RUN: dsv2-opt %s --dsv2-fuse="quantize={format=keep up-projections=int8}" 2>/dev/null | FileCheck %s --check-prefix=INT8-EXPANSION
// RUN: dsv2-opt %s --dsv2-fuse="quantize={format=int4 up-projections=bf16}" 2>/dev/null | FileCheck %s --check-prefix=PRECISE
// RUN: dsv2-opt %s --dsv2-fuse="quantize=format=int8" 2>/dev/null | FileCheck %s --check-prefix=PRECISE
// INT8-EXPANSION: dsv2.expanded_attention{{.*}}dsv2.int8_expansion
// PRECISE-NOT:    dsv2.int8_expansion

// A plugin joins without an edit to the pipeline, after the built-in passes.
// RUN: dsv2-opt %s --load-pass-plugin=%dsv2_lib/LimitTopK%shlibext \
// RUN:   --dsv2-fuse="extra-passes=limit-top-k{k=1},dsv2-group-experts" 2>/dev/null | FileCheck %s --check-prefix=EXTRA

// RUN: not dsv2-opt %s --dsv2-fuse="extra-passes=limit-top-kk" 2>&1 | FileCheck %s --check-prefix=MISSPELT
// MISSPELT: 'limit-top-kk' does not refer to a registered pass or pass pipeline
// RUN: not dsv2-opt %s --dsv2-fuse="extra-passes=dsv2-group-experts{n=1}" 2>&1 | FileCheck %s --check-prefix=EXTRA-OPTION
// EXTRA-OPTION: no such option n
// RUN: not dsv2-opt %s --dsv2-fuse="quantise=format=int8" 2>&1 | FileCheck %s --check-prefix=OPTION
// OPTION: no such option quantise
// RUN: not dsv2-opt %s --dsv2-fuse="quantize=format=int5" 2>&1 | FileCheck %s --check-prefix=QUANTIZE-VALUE
// QUANTIZE-VALUE: {{.*}}int5
// RUN: not dsv2-opt %s --dsv2-fuse="absorb=form=sideways" 2>&1 | FileCheck %s --check-prefix=ABSORB-VALUE
// ABSORB-VALUE: {{.*}}sideways

// CHECK-LABEL: func.func @decode
// CHECK-SAME:    dsv2.max_query_tokens = 8
// CHECK:         %[[UK:.*]] = dsv2.get_weight @uk
// CHECK:         %[[KU:.*]] = linalg.transpose ins(%[[UK]] :
// CHECK:         %[[QL:.*]] = dsv2.head_project %{{.*}}, %[[KU]]
// CHECK:         dsv2.latent_attention(%[[QL]], %{{.*}})
// CHECK:         dsv2.route %{{.*}} top 2 in
// CHECK-LABEL: func.func @prefill
// CHECK-NOT:     dsv2.cache_gather
// CHECK-NOT:     dsv2.latent_attention
// CHECK:         dsv2.expanded_attention
// CHECK-NOT:   func.func @forward

// ABSORB-LABEL: func.func @decode
// ABSORB:         dsv2.expanded_attention
// ABSORB-LABEL: func.func @prefill
// ABSORB:         dsv2.expanded_attention

// Weights of experts, but not of the router; both phases alike.

// QUANTIZE-LABEL: func.func @decode
// QUANTIZE:         %[[ROUTER:.*]] = dsv2.get_weight @router
// QUANTIZE:         dsv2.linear %{{.*}}, %[[ROUTER]]
// QUANTIZE:         dsv2.experts {{.*}}tensor<4x32x64xi8, #dsv2.block_int8<32>>
// QUANTIZE-LABEL: func.func @prefill
// QUANTIZE:         dsv2.experts {{.*}}tensor<4x32x64xi8, #dsv2.block_int8<32>>

// EXTRA-LABEL: func.func @decode
// EXTRA:         dsv2.latent_attention
// EXTRA:         %[[W:.*]], %[[E:.*]] = dsv2.route %{{.*}} top 1 in
// EXTRA:         dsv2.group_tokens %[[E]]
// EXTRA:         dsv2.combine_experts %{{.*}}, %[[W]],
// EXTRA-LABEL: func.func @prefill
// EXTRA:         dsv2.route %{{.*}} top 1 in

dsv2.weight @uk : tensor<4x16x32xbf16> from "uk"
dsv2.weight @uv : tensor<4x16x32xbf16> from "uv"
dsv2.weight @router : tensor<4x64xbf16> from "router"
dsv2.weight @gate : tensor<4x32x64xbf16> from "experts.*.gate"
dsv2.weight @up : tensor<4x32x64xbf16> from "experts.*.up"
dsv2.weight @down : tensor<4x64x32xbf16> from "experts.*.down"
func.func @forward(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>,
                   %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                   %batch: !dsv2.batch) -> tensor<?x64xf32> {
  %uk = dsv2.get_weight @uk : tensor<4x16x32xbf16>
  %uv = dsv2.get_weight @uv : tensor<4x16x32xbf16>
  %c, %r = dsv2.cache_gather %cache layer 0 of %batch
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  %k = dsv2.head_project %c, %uk : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %v = dsv2.head_project %c, %uv : tensor<?x32xf32>, tensor<4x16x32xbf16> -> tensor<?x4x16xf32>
  %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.5 of %batch
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  %x = tensor.collapse_shape %o [[0], [1, 2]] : tensor<?x4x16xf32> into tensor<?x64xf32>
  %router = dsv2.get_weight @router : tensor<4x64xbf16>
  %l = dsv2.linear %x, %router : tensor<?x64xf32>, tensor<4x64xbf16> -> tensor<?x4xf32>
  %w, %e = dsv2.route %l softmax greedy top 2 in 1 of 1 groups scale 1.0 : tensor<?x4xf32> -> tensor<?x2xf32>, tensor<?x2xi32>
  %gate = dsv2.get_weight @gate : tensor<4x32x64xbf16>
  %up = dsv2.get_weight @up : tensor<4x32x64xbf16>
  %down = dsv2.get_weight @down : tensor<4x64x32xbf16>
  %y = dsv2.experts %x, %w, %e, %gate, %up, %down
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<4x32x64xbf16>, tensor<4x32x64xbf16>, tensor<4x64x32xbf16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
