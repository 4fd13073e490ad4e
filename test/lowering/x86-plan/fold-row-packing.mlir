// RUN: dsv2-opt %s --dsv2-fold-row-packing --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @rms_norm
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[GAMMA:.*]]: tensor<64xf32>
// CHECK-NEXT:    %[[P:.*]] = dsv2.rms_norm %[[X]], %[[GAMMA]] eps {{.*}} -> tensor<?x64xi8, #dsv2.rows<32>>
// CHECK-NEXT:    return %[[P]]
func.func @rms_norm(%x: tensor<?x64xf32>, %gamma: tensor<64xf32>) -> tensor<?x64xi8, #dsv2.rows<32>> {
  %n = dsv2.rms_norm %x, %gamma eps 1.0e-6 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %p = dsv2.pack_rows %n : tensor<?x64xf32> -> tensor<?x64xi8, #dsv2.rows<32>>
  return %p : tensor<?x64xi8, #dsv2.rows<32>>
}

// CHECK-LABEL: func.func @swiglu
// CHECK-SAME:    %[[G:.*]]: tensor<?x64xf32>, %[[U:.*]]: tensor<?x64xf32>
// CHECK-NEXT:    %[[P:.*]] = dsv2.swiglu %[[G]], %[[U]] : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
// CHECK-NEXT:    return %[[P]]
func.func @swiglu(%g: tensor<?x64xf32>, %u: tensor<?x64xf32>) -> tensor<?x64xbf16, #dsv2.rows<32>> {
  %a = dsv2.swiglu %g, %u : tensor<?x64xf32> -> tensor<?x64xf32>
  %p = dsv2.pack_rows %a : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
  return %p : tensor<?x64xbf16, #dsv2.rows<32>>
}

// CHECK-LABEL: func.func @latent_attention
// CHECK-SAME:    %[[QL:.*]]: tensor<?x4x32xbf16>, %[[QR:.*]]: tensor<?x4x8xbf16>, %[[CACHE:.*]]: !dsv2.latent_cache
// CHECK-NEXT:    %[[P:.*]] = dsv2.latent_attention(%[[QL]], %[[QR]]), %[[CACHE]] layer 1
// CHECK-SAME:      -> tensor<?x4x32xbf16, #dsv2.rows<32>>
// CHECK-NEXT:    return %[[P]]
func.func @latent_attention(%ql: tensor<?x4x32xbf16>, %qr: tensor<?x4x8xbf16>,
                            %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                            %batch: !dsv2.batch) -> tensor<?x4x32xbf16, #dsv2.rows<32>> {
  %o = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.5 of %batch
      : (tensor<?x4x32xbf16>, tensor<?x4x8xbf16>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  %p = dsv2.pack_rows %o : tensor<?x4x32xf32> -> tensor<?x4x32xbf16, #dsv2.rows<32>>
  return %p : tensor<?x4x32xbf16, #dsv2.rows<32>>
}

// -----

// The kernel of attention writes no integers.

// CHECK-LABEL: func.func @latent_attention_i8
// CHECK:         %[[O:.*]] = dsv2.latent_attention{{.*}} -> tensor<?x4x32xf32>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_rows %[[O]]
// CHECK-NEXT:    return %[[P]]
func.func @latent_attention_i8(%ql: tensor<?x4x32xbf16>, %qr: tensor<?x4x8xbf16>,
                               %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>,
                               %batch: !dsv2.batch) -> tensor<?x4x32xi8, #dsv2.rows<32>> {
  %o = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.5 of %batch
      : (tensor<?x4x32xbf16>, tensor<?x4x8xbf16>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  %p = dsv2.pack_rows %o : tensor<?x4x32xf32> -> tensor<?x4x32xi8, #dsv2.rows<32>>
  return %p : tensor<?x4x32xi8, #dsv2.rows<32>>
}

// -----

// The router reads the normalized rows in f32.

// CHECK-LABEL: func.func @other_use
// CHECK:         %[[N:.*]] = dsv2.rms_norm {{.*}} -> tensor<?x64xf32>
// CHECK-NEXT:    %[[P:.*]] = dsv2.pack_rows %[[N]]
// CHECK-NEXT:    return %[[N]], %[[P]]
func.func @other_use(%x: tensor<?x64xf32>, %gamma: tensor<64xf32>)
    -> (tensor<?x64xf32>, tensor<?x64xbf16, #dsv2.rows<32>>) {
  %n = dsv2.rms_norm %x, %gamma eps 1.0e-6 : tensor<?x64xf32>, tensor<64xf32> -> tensor<?x64xf32>
  %p = dsv2.pack_rows %n : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
  return %n, %p : tensor<?x64xf32>, tensor<?x64xbf16, #dsv2.rows<32>>
}

// -----

// CHECK-LABEL: func.func @linear_writes_f32
// CHECK:         %[[Y:.*]] = dsv2.linear {{.*}} -> tensor<?x32xf32>
// CHECK-NEXT:    dsv2.pack_rows %[[Y]]
func.func @linear_writes_f32(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) -> tensor<?x32xbf16, #dsv2.rows<32>> {
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %p = dsv2.pack_rows %y : tensor<?x32xf32> -> tensor<?x32xbf16, #dsv2.rows<32>>
  return %p : tensor<?x32xbf16, #dsv2.rows<32>>
}

// -----

// CHECK-LABEL: func.func @argument
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>
// CHECK-NEXT:    dsv2.pack_rows %[[X]]
func.func @argument(%x: tensor<?x64xf32>) -> tensor<?x64xbf16, #dsv2.rows<32>> {
  %p = dsv2.pack_rows %x : tensor<?x64xf32> -> tensor<?x64xbf16, #dsv2.rows<32>>
  return %p : tensor<?x64xbf16, #dsv2.rows<32>>
}
