// RUN: dsv2-opt %s --verify-diagnostics --split-input-file

// What parsers and verifiers of types and attributes refuse.

// expected-error @below {{expects positive widths, layers and page size}}
func.func private @no_layers(!dsv2.latent_cache<32 + 8xbf16, layers = 0, page = 64>)

// -----

// expected-error @below {{expects elements of type f32, bf16, i8 or f8E4M3FN, but found 'f16'}}
func.func private @f16_cache(!dsv2.latent_cache<32 + 8xf16, layers = 2, page = 64>)

// -----

// expected-error @below {{expects even widths of a cache of 'i8', but found 33 + 8}}
func.func private @odd_i8_cache(!dsv2.latent_cache<33 + 8xi8, layers = 2, page = 64>)

// -----

// expected-error @below {{expects one rope width before the element type}}
func.func private @two_ropes(!dsv2.latent_cache<32 + 8x8xbf16, layers = 2, page = 64>)

// -----

// expected-error @below {{expected 'layers'}}
func.func private @no_layers_keyword(!dsv2.latent_cache<32 + 8xbf16, pages = 2, page = 64>)

// -----

// expected-error @below {{expects theta above one, but found 1.000000e+00}}
func.func private @theta() attributes {a = #dsv2.rope<theta = 1.0>}

// -----

// expected-error @below {{expects a positive factor and original length}}
func.func private @factor() attributes {a = #dsv2.yarn<factor = 0.0, original = 4096, beta_fast = 32.0, beta_slow = 1.0, mscale = 1.0, mscale_all_dim = 1.0>}

// -----

// expected-error @below {{expects positive beta_fast and beta_slow}}
func.func private @beta() attributes {a = #dsv2.yarn<factor = 40.0, original = 4096, beta_fast = 32.0, beta_slow = -1.0, mscale = 1.0, mscale_all_dim = 1.0>}

// -----

// expected-error @below {{expects mscale and mscale_all_dim of at least zero}}
func.func private @mscale() attributes {a = #dsv2.yarn<factor = 40.0, original = 4096, beta_fast = 32.0, beta_slow = 1.0, mscale = -1.0, mscale_all_dim = 1.0>}

// -----

// expected-error @below {{expects a positive group size divisible by 4, but found 30}}
func.func private @int8() attributes {a = #dsv2.block_int8<30>}

// -----

// expected-error @below {{expects a positive group size divisible by 4, but found 30}}
func.func private @int4() attributes {a = #dsv2.block_int4<30>}

// -----

// expected-error @below {{expects a positive group size divisible by 4, but found 30}}
func.func private @rows() attributes {a = #dsv2.rows<30>}

// -----

// expected-error @below {{expects positive block sizes}}
func.func private @fp8() attributes {a = #dsv2.block_fp8<0x128>}

// -----

// expected-error @below {{expects the rows and columns of a block}}
func.func private @fp8_rank() attributes {a = #dsv2.block_fp8<128>}

// -----

// expected-error @below {{expects a positive number of rows a panel}}
func.func private @panel_rows() attributes {a = #dsv2.panels<0>}

// -----

// expected-error @below {{expects a block_int8, block_int4 or block_fp8 format, but found #dsv2.rows<32>}}
func.func private @panel_format() attributes {a = #dsv2.panels<32, #dsv2.rows<32>>}
