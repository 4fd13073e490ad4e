// RUN: dsv2-opt %s --dsv2-to-linalg --split-input-file --verify-diagnostics

// Formats that a tensor type does not spell out have no decomposition.

func.func @int8_rows(%x: tensor<?x64xf32>) -> tensor<?x64xi8, #dsv2.rows<32>> {
  // expected-error @+1 {{has no decomposition: expects f32 or bf16 rows and plain weights, found 'tensor<?x64xi8, #dsv2.rows<32>>'}}
  %y = dsv2.pack_rows %x : tensor<?x64xf32> -> tensor<?x64xi8, #dsv2.rows<32>>
  return %y : tensor<?x64xi8, #dsv2.rows<32>>
}

// -----

func.func @blocks(%x: tensor<?x64xf32>, %w: tensor<8x64xi8, #dsv2.block_int8<32>>) -> tensor<?x8xf32> {
  // expected-error @+1 {{has no decomposition: expects f32 or bf16 rows and plain weights, found 'tensor<8x64xi8, #dsv2.block_int8<32>>'}}
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<8x64xi8, #dsv2.block_int8<32>> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @panels(%x: tensor<?x64xf32>, %w: tensor<8x64xf32, #dsv2.panels<32>>) -> tensor<?x8xf32> {
  // expected-error @+1 {{has no decomposition: expects f32 or bf16 rows and plain weights, found 'tensor<8x64xf32, #dsv2.panels<32>>'}}
  %y = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<8x64xf32, #dsv2.panels<32>> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
