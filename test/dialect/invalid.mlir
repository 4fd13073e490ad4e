// RUN: dsv2-opt %s --verify-diagnostics --split-input-file

// One case for each constraint (Cn) of the descriptions, in their order.

func.func @batch_get_c1(%b: !dsv2.batch) {
  // expected-error @below {{'dsv2.batch_get' op expects page_table to have rank 2, but found 'tensor<?xi32>'}}
  %0 = dsv2.batch_get page_table of %b : tensor<?xi32>
  return
}

// -----

func.func @batch_get_c1_rank_1(%b: !dsv2.batch) {
  // expected-error @below {{'dsv2.batch_get' op expects positions to have rank 1, but found 'tensor<?x?xi32>'}}
  %0 = dsv2.batch_get positions of %b : tensor<?x?xi32>
  return
}

// -----

func.func @embed_c1(%t: tensor<?xi32>, %w: tensor<100x64xbf16>) {
  // expected-error @below {{'dsv2.embed' op expects the width of the result to be 64, but found 32}}
  %0 = dsv2.embed %t, %w : tensor<?xi32>, tensor<100x64xbf16> -> tensor<?x32xf32>
  return
}

// -----

func.func @select_rows_c1(%x: tensor<?x64xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.select_rows' op expects the width of the result to be 64, but found 32}}
  %0 = dsv2.select_rows %x of %b : tensor<?x64xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func @rms_norm_c1(%x: tensor<?x64xf32>, %g: tensor<64xbf16>) {
  // expected-error @below {{'dsv2.rms_norm' op expects input and result of one shape, but found 'tensor<?x64xf32>' and 'tensor<?x32xf32>'}}
  %0 = dsv2.rms_norm %x, %g eps 1.0e-6 : tensor<?x64xf32>, tensor<64xbf16> -> tensor<?x32xf32>
  return
}

// -----

func.func @rms_norm_c2(%x: tensor<?x64xf32>, %g: tensor<32xbf16>) {
  // expected-error @below {{'dsv2.rms_norm' op expects the length of gamma to be 64, but found 32}}
  %0 = dsv2.rms_norm %x, %g eps 1.0e-6 : tensor<?x64xf32>, tensor<32xbf16> -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_c1_rank(%x: tensor<?x64xf32>, %w: tensor<4x8x64xbf16>) {
  // expected-error @below {{'dsv2.linear' op expects a matrix of inputs and a matrix of weights, but found 'tensor<?x64xf32>' and 'tensor<4x8x64xbf16>'}}
  %0 = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<4x8x64xbf16> -> tensor<?x8xf32>
  return
}

// -----

func.func @linear_c1(%x: tensor<?x64xf32>, %w: tensor<8x32xbf16>) {
  // expected-error @below {{'dsv2.linear' op expects the last dimension of the weight to be 64, but found 32}}
  %0 = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<8x32xbf16> -> tensor<?x8xf32>
  return
}

// -----

func.func @linear_c2(%x: tensor<?x64xf32>, %w: tensor<8x64xbf16>) {
  // expected-error @below {{'dsv2.linear' op expects the width of the result to be 8, but found 9}}
  %0 = dsv2.linear %x, %w : tensor<?x64xf32>, tensor<8x64xbf16> -> tensor<?x9xf32>
  return
}

// -----

func.func @linear_c3(%x: tensor<?x64xi8, #dsv2.rows<32>>, %w: tensor<8x64xbf16>) {
  // expected-error @below {{'dsv2.linear' op expects formats that go together, but found 'tensor<?x64xi8, #dsv2.rows<32>>' and 'tensor<8x64xbf16>'}}
  %0 = dsv2.linear %x, %w : tensor<?x64xi8, #dsv2.rows<32>>, tensor<8x64xbf16> -> tensor<?x8xf32>
  return
}

// -----

func.func @linear_c3_bf16(%x: tensor<?x64xbf16>, %w: tensor<8x64xf32>) {
  // expected-error @below {{'dsv2.linear' op expects formats that go together, but found 'tensor<?x64xbf16>' and 'tensor<8x64xf32>'}}
  %0 = dsv2.linear %x, %w : tensor<?x64xbf16>, tensor<8x64xf32> -> tensor<?x8xf32>
  return
}

// -----

func.func @head_project_c1_rank(%x: tensor<?x64xf32>, %w: tensor<8x64xbf16>) {
  // expected-error @below {{'dsv2.head_project' op expects a weight of rank 3 and an input of rank 2 or 3, but found 'tensor<8x64xbf16>' and 'tensor<?x64xf32>'}}
  %0 = dsv2.head_project %x, %w : tensor<?x64xf32>, tensor<8x64xbf16> -> tensor<?x4x8xf32>
  return
}

// -----

func.func @head_project_c1(%x: tensor<?x64xf32>, %w: tensor<4x8x32xbf16>) {
  // expected-error @below {{'dsv2.head_project' op expects the last dimension of the weight to be 64, but found 32}}
  %0 = dsv2.head_project %x, %w : tensor<?x64xf32>, tensor<4x8x32xbf16> -> tensor<?x4x8xf32>
  return
}

// -----

func.func @head_project_c2_heads(%x: tensor<?x64xf32>, %w: tensor<4x8x64xbf16>) {
  // expected-error @below {{'dsv2.head_project' op expects the number of heads of the result to be 4, but found 5}}
  %0 = dsv2.head_project %x, %w : tensor<?x64xf32>, tensor<4x8x64xbf16> -> tensor<?x5x8xf32>
  return
}

// -----

func.func @head_project_c2_width(%x: tensor<?x64xf32>, %w: tensor<4x8x64xbf16>) {
  // expected-error @below {{'dsv2.head_project' op expects the width of the result to be 8, but found 9}}
  %0 = dsv2.head_project %x, %w : tensor<?x64xf32>, tensor<4x8x64xbf16> -> tensor<?x4x9xf32>
  return
}

// -----

func.func @head_project_c3(%x: tensor<?x5x64xf32>, %w: tensor<4x8x64xbf16>) {
  // expected-error @below {{'dsv2.head_project' op expects the number of heads of the input to be 4, but found 5}}
  %0 = dsv2.head_project %x, %w : tensor<?x5x64xf32>, tensor<4x8x64xbf16> -> tensor<?x4x8xf32>
  return
}

// -----

func.func @rope_c1(%x: tensor<?x64xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.rope' op expects input and result of one shape, but found 'tensor<?x64xf32>' and 'tensor<?x32xf32>'}}
  %0 = dsv2.rope %x by <theta = 1.0e4> at %b : tensor<?x64xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func @rope_c2(%x: tensor<?x7xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.rope' op expects an even last dimension, but found 'tensor<?x7xf32>'}}
  %0 = dsv2.rope %x by <theta = 1.0e4> at %b : tensor<?x7xf32> -> tensor<?x7xf32>
  return
}

// -----

func.func @swiglu_c1(%g: tensor<?x16xf32>) {
  // expected-error @below {{'dsv2.swiglu' op expects gate, up and result of one shape, but found 'tensor<?x16xf32>', 'tensor<?x16xf32>' and 'tensor<?x8xf32>'}}
  %0 = dsv2.swiglu %g, %g : tensor<?x16xf32> -> tensor<?x8xf32>
  return
}

// -----

func.func @route_c1(%l: tensor<?x160xf32>) {
  // expected-error @below {{'dsv2.route' op expects the number of experts (160) to be a multiple of the number of groups (7)}}
  %w, %e = dsv2.route %l softmax group_max top 6 in 3 of 7 groups scale 1.0 : tensor<?x160xf32> -> tensor<?x6xf32>, tensor<?x6xi32>
  return
}

// -----

func.func @route_c2(%l: tensor<?x160xf32>) {
  // expected-error @below {{'dsv2.route' op expects to keep at most 8 groups, but keeps 9}}
  %w, %e = dsv2.route %l softmax group_max top 6 in 9 of 8 groups scale 1.0 : tensor<?x160xf32> -> tensor<?x6xf32>, tensor<?x6xi32>
  return
}

// -----

func.func @route_c2_greedy(%l: tensor<?x160xf32>) {
  // expected-error @below {{'dsv2.route' op expects one group for greedy selection, but found 8}}
  %w, %e = dsv2.route %l softmax greedy top 6 in 3 of 8 groups scale 1.0 : tensor<?x160xf32> -> tensor<?x6xf32>, tensor<?x6xi32>
  return
}

// -----

func.func @route_c3(%l: tensor<?x160xf32>) {
  // expected-error @below {{'dsv2.route' op expects to select at most 60 experts from 3 groups, but selects 61}}
  %w, %e = dsv2.route %l softmax group_max top 61 in 3 of 8 groups scale 1.0 : tensor<?x160xf32> -> tensor<?x61xf32>, tensor<?x61xi32>
  return
}

// -----

func.func @route_c4(%l: tensor<?x160xf32>) {
  // expected-error @below {{'dsv2.route' op expects the width of the results to be 6, but found 5}}
  %w, %e = dsv2.route %l softmax group_max top 6 in 3 of 8 groups scale 1.0 : tensor<?x160xf32> -> tensor<?x6xf32>, tensor<?x5xi32>
  return
}

// -----

func.func @route_c4_shared(%l: tensor<?x160xf32>) {
  // expected-error @below {{'dsv2.route' op expects the width of the results to be 8, but found 6}}
  %w, %e = dsv2.route %l softmax group_max top 6 in 3 of 8 groups shared 2 scale 1.0 : tensor<?x160xf32> -> tensor<?x6xf32>, tensor<?x6xi32>
  return
}

// -----

func.func @route_c5(%l: tensor<?x160xf32>, %b: tensor<159xf32>) {
  // expected-error @below {{'dsv2.route' op expects the length of the bias to be 160, but found 159}}
  %w, %e = dsv2.route %l bias %b : tensor<159xf32> sigmoid group_top2 top 6 in 3 of 8 groups scale 1.0 : tensor<?x160xf32> -> tensor<?x6xf32>, tensor<?x6xi32>
  return
}

// -----

func.func @experts_c1(%x: tensor<?x64xf32>, %w: tensor<?x2xf32>, %e: tensor<?x2xi32>, %g: tensor<8x32x64xbf16>, %u: tensor<8x16x64xbf16>, %d: tensor<8x64x32xbf16>) {
  // expected-error @below {{'dsv2.experts' op expects gate and up of one shape [experts, width, 64], but found 'tensor<8x32x64xbf16>' and 'tensor<8x16x64xbf16>'}}
  %0 = dsv2.experts %x, %w, %e, %g, %u, %d
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x16x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  return
}

// -----

func.func @experts_c2(%x: tensor<?x64xf32>, %w: tensor<?x2xf32>, %e: tensor<?x2xi32>, %g: tensor<8x32x64xbf16>, %u: tensor<8x32x64xbf16>, %d: tensor<8x64x16xbf16>) {
  // expected-error @below {{'dsv2.experts' op expects down to be [8, 64, 32], but found 'tensor<8x64x16xbf16>'}}
  %0 = dsv2.experts %x, %w, %e, %g, %u, %d
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x16xbf16> -> tensor<?x64xf32>
  return
}

// -----

func.func @experts_c3(%x: tensor<?x64xf32>, %w: tensor<?x2xf32>, %e: tensor<?x3xi32>, %g: tensor<8x32x64xbf16>, %u: tensor<8x32x64xbf16>, %d: tensor<8x64x32xbf16>) {
  // expected-error @below {{'dsv2.experts' op expects the number of selected experts to be 2, but found 3}}
  %0 = dsv2.experts %x, %w, %e, %g, %u, %d
      : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x3xi32>, tensor<8x32x64xbf16>, tensor<8x32x64xbf16>, tensor<8x64x32xbf16> -> tensor<?x64xf32>
  return
}

// -----

func.func @group_tokens_c1(%e: tensor<?x2xi32>) {
  // expected-error @below {{'dsv2.group_tokens' op expects the length of offsets to be 9, but found 8}}
  %o, %a, %c, %s, %t = dsv2.group_tokens %e : tensor<?x2xi32> -> tensor<8xi32>, tensor<8xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x2xi32>
  return
}

// -----

func.func @group_tokens_c2(%e: tensor<?x2xi32>) {
  // expected-error @below {{'dsv2.group_tokens' op expects the width of token_slot to be 2, but found 3}}
  %o, %a, %c, %s, %t = dsv2.group_tokens %e : tensor<?x2xi32> -> tensor<9xi32>, tensor<8xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x3xi32>
  return
}

// -----

func.func @grouped_linear_c1(%x: tensor<?x64xf32>, %w: tensor<8x16x64xbf16>, %o: tensor<9xi32>, %a: tensor<8xi32>, %c: tensor<1xi32>) {
  // expected-error @below {{'dsv2.grouped_linear' op expects a weight [experts, 17, 64], but found 'tensor<8x16x64xbf16>'}}
  %0 = dsv2.grouped_linear %x, %w by (%o, %a, %c)
      : tensor<?x64xf32>, tensor<8x16x64xbf16>, tensor<9xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<?x17xf32>
  return
}

// -----

func.func @grouped_linear_c2(%x: tensor<?x64xf32>, %w: tensor<8x16x64xbf16>, %o: tensor<8xi32>, %a: tensor<8xi32>, %c: tensor<1xi32>) {
  // expected-error @below {{'dsv2.grouped_linear' op expects the length of offsets to be 9, but found 8}}
  %0 = dsv2.grouped_linear %x, %w by (%o, %a, %c)
      : tensor<?x64xf32>, tensor<8x16x64xbf16>, tensor<8xi32>, tensor<8xi32>, tensor<1xi32> -> tensor<?x16xf32>
  return
}

// -----

func.func @combine_experts_c1(%s: tensor<?x64xf32>, %w: tensor<?x2xf32>, %t: tensor<?x3xi32>) {
  // expected-error @below {{'dsv2.combine_experts' op expects the width of token_slot to be 2, but found 3}}
  %0 = dsv2.combine_experts %s, %w, %t : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x3xi32> -> tensor<?x64xf32>
  return
}

// -----

func.func @combine_experts_c2(%s: tensor<?x64xf32>, %w: tensor<?x2xf32>, %t: tensor<?x2xi32>) {
  // expected-error @below {{'dsv2.combine_experts' op expects the width of the result to be 64, but found 32}}
  %0 = dsv2.combine_experts %s, %w, %t : tensor<?x64xf32>, tensor<?x2xf32>, tensor<?x2xi32> -> tensor<?x32xf32>
  return
}

// -----

func.func @cache_append_c1(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %l: tensor<?x32xf32>, %k: tensor<?x8xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.cache_append' op expects a layer below 2, but found 2}}
  %0 = dsv2.cache_append %cache layer 2 (%l, %k) at %b
      : tensor<?x32xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @cache_append_c2_latent(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %l: tensor<?x31xf32>, %k: tensor<?x8xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.cache_append' op expects the width of the latent to be 32, but found 31}}
  %0 = dsv2.cache_append %cache layer 1 (%l, %k) at %b
      : tensor<?x31xf32>, tensor<?x8xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @cache_append_c2_key(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %l: tensor<?x32xf32>, %k: tensor<?x7xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.cache_append' op expects the width of the key to be 8, but found 7}}
  %0 = dsv2.cache_append %cache layer 1 (%l, %k) at %b
      : tensor<?x32xf32>, tensor<?x7xf32>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @latent_append_c1(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %kv: tensor<?x40xf32>, %g: tensor<32xbf16>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.latent_append' op expects a layer below 2, but found 2}}
  %0 = dsv2.latent_append %cache layer 2, %kv norm %g eps 1.0e-6 by <theta = 1.0e4> at %b
      : tensor<?x40xf32>, tensor<32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @latent_append_c2_kv(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %kv: tensor<?x39xf32>, %g: tensor<32xbf16>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.latent_append' op expects the width of kv to be 40, but found 39}}
  %0 = dsv2.latent_append %cache layer 1, %kv norm %g eps 1.0e-6 by <theta = 1.0e4> at %b
      : tensor<?x39xf32>, tensor<32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @latent_append_c2_gamma(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %kv: tensor<?x40xf32>, %g: tensor<31xbf16>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.latent_append' op expects the length of gamma to be 32, but found 31}}
  %0 = dsv2.latent_append %cache layer 1, %kv norm %g eps 1.0e-6 by <theta = 1.0e4> at %b
      : tensor<?x40xf32>, tensor<31xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @cache_gather_c1(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.cache_gather' op expects a layer below 2, but found 2}}
  %l, %k = dsv2.cache_gather %cache layer 2 of %b
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x8xf32>
  return
}

// -----

func.func @cache_gather_c2_latent(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.cache_gather' op expects the width of the latent to be 32, but found 31}}
  %l, %k = dsv2.cache_gather %cache layer 1 of %b
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x31xf32>, tensor<?x8xf32>
  return
}

// -----

func.func @cache_gather_c2_key(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.cache_gather' op expects the width of the key to be 8, but found 7}}
  %l, %k = dsv2.cache_gather %cache layer 1 of %b
      : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x32xf32>, tensor<?x7xf32>
  return
}

// -----

func.func @cache_rows_c1(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>) {
  // expected-error @below {{'dsv2.cache_rows' op expects a layer below 2, but found 2}}
  %0 = dsv2.cache_rows %cache layer 2 : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x40xbf16>
  return
}

// -----

func.func @cache_rows_c2_i8(%cache: !dsv2.latent_cache<200 + 8xi8, layers = 2, page = 64>) {
  // expected-error @below {{'dsv2.cache_rows' op expects rows of 224 elements of type 'i8', but found 'tensor<?x208xi8>'}}
  %0 = dsv2.cache_rows %cache layer 1 : !dsv2.latent_cache<200 + 8xi8, layers = 2, page = 64> -> tensor<?x208xi8>
  return
}

// -----

func.func @cache_rows_c2(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>) {
  // expected-error @below {{'dsv2.cache_rows' op expects rows of 40 elements of type 'bf16', but found 'tensor<?x40xf32>'}}
  %0 = dsv2.cache_rows %cache layer 1 : !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x40xf32>
  return
}

// -----

func.func @cache_update_c1(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %r: tensor<?x40xbf16>) {
  // expected-error @below {{'dsv2.cache_update' op expects a layer below 2, but found 2}}
  %0 = dsv2.cache_update %cache layer 2, %r : tensor<?x40xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @cache_update_c2(%cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %r: tensor<?x39xbf16>) {
  // expected-error @below {{'dsv2.cache_update' op expects rows of 40 elements of type 'bf16', but found 'tensor<?x39xbf16>'}}
  %0 = dsv2.cache_update %cache layer 1, %r : tensor<?x39xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>
  return
}

// -----

func.func @attention_c1(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %k: tensor<?x4x16xf32>, %kr: tensor<?x8xf32>, %v: tensor<?x5x16xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.attention' op expects the number of heads to be 4, but found 5}}
  %0 = dsv2.attention (%qn, %qr), (%k, %kr), %v scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x5x16xf32> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @attention_c2_key(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %k: tensor<?x4x15xf32>, %kr: tensor<?x8xf32>, %v: tensor<?x4x16xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.attention' op expects the width of the key to be 16, but found 15}}
  %0 = dsv2.attention (%qn, %qr), (%k, %kr), %v scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x15xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @attention_c2_rope(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %k: tensor<?x4x16xf32>, %kr: tensor<?x7xf32>, %v: tensor<?x4x16xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.attention' op expects the width of the rotated key to be 8, but found 7}}
  %0 = dsv2.attention (%qn, %qr), (%k, %kr), %v scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x7xf32>), tensor<?x4x16xf32> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @attention_c3(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %k: tensor<?x4x16xf32>, %kr: tensor<?x8xf32>, %v: tensor<?x4x16xf32>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.attention' op expects the width of the result to be 16, but found 15}}
  %0 = dsv2.attention (%qn, %qr), (%k, %kr), %v scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), (tensor<?x4x16xf32>, tensor<?x8xf32>), tensor<?x4x16xf32> -> tensor<?x4x15xf32>
  return
}

// -----

func.func @expanded_attention_c1(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %uk: tensor<4x16x32xbf16>, %uv: tensor<4x16x32xbf16>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.expanded_attention' op expects a layer below 2, but found 2}}
  %0 = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 2 scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<4x16x32xbf16>, tensor<4x16x32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @expanded_attention_c2(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %uk: tensor<4x16x32xbf16>, %uv: tensor<5x16x32xbf16>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.expanded_attention' op expects the number of heads to be 4, but found 5}}
  %0 = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<4x16x32xbf16>, tensor<5x16x32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @expanded_attention_c3_rank(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %uk: tensor<16x32xbf16>, %uv: tensor<4x16x32xbf16>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.expanded_attention' op expects weights of rank 3, but found 'tensor<16x32xbf16>' and 'tensor<4x16x32xbf16>'}}
  %0 = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<16x32xbf16>, tensor<4x16x32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @expanded_attention_c3_key(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %uk: tensor<4x15x32xbf16>, %uv: tensor<4x16x32xbf16>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.expanded_attention' op expects the key width of w_uk to be 16, but found 15}}
  %0 = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<4x15x32xbf16>, tensor<4x16x32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @expanded_attention_c3_value(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %uk: tensor<4x16x32xbf16>, %uv: tensor<4x15x32xbf16>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.expanded_attention' op expects dimension 1 of w_uv to be 16, but found 15}}
  %0 = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<4x16x32xbf16>, tensor<4x15x32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @expanded_attention_c3_latent(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x8xf32>, %uk: tensor<4x16x31xbf16>, %uv: tensor<4x16x32xbf16>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.expanded_attention' op expects the latent width of w_uk to be 32, but found 31}}
  %0 = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x8xf32>), tensor<4x16x31xbf16>, tensor<4x16x32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @expanded_attention_c4(%qn: tensor<?x4x16xf32>, %qr: tensor<?x4x6xf32>, %uk: tensor<4x16x32xbf16>, %uv: tensor<4x16x32xbf16>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.expanded_attention' op expects the width of q_rope to be 8, but found 6}}
  %0 = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x16xf32>, tensor<?x4x6xf32>), tensor<4x16x32xbf16>, tensor<4x16x32xbf16>, !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x16xf32>
  return
}

// -----

func.func @latent_attention_c1(%ql: tensor<?x4x32xf32>, %qr: tensor<?x4x8xf32>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.latent_attention' op expects a layer below 2, but found 2}}
  %0 = dsv2.latent_attention (%ql, %qr), %cache layer 2 scale 0.2 of %b
      : (tensor<?x4x32xf32>, tensor<?x4x8xf32>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  return
}

// -----

func.func @latent_attention_c2(%ql: tensor<?x4x32xf32>, %qr: tensor<?x5x8xf32>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.latent_attention' op expects the number of heads to be 4, but found 5}}
  %0 = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x32xf32>, tensor<?x5x8xf32>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  return
}

// -----

func.func @latent_attention_c3_latent(%ql: tensor<?x4x31xf32>, %qr: tensor<?x4x8xf32>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.latent_attention' op expects the width of the latent to be 32, but found 31}}
  %0 = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x31xf32>, tensor<?x4x8xf32>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  return
}

// -----

func.func @latent_attention_c3_rope(%ql: tensor<?x4x32xf32>, %qr: tensor<?x4x6xf32>, %cache: !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64>, %b: !dsv2.batch) {
  // expected-error @below {{'dsv2.latent_attention' op expects the width of q_rope to be 8, but found 6}}
  %0 = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.2 of %b
      : (tensor<?x4x32xf32>, tensor<?x4x6xf32>), !dsv2.latent_cache<32 + 8xbf16, layers = 2, page = 64> -> tensor<?x4x32xf32>
  return
}

// -----

// expected-error @below {{'dsv2.weight' op expects either a source or a body}}
dsv2.weight @weight_c1 : tensor<8x64xbf16>

// -----

// expected-error @below {{'dsv2.weight' op expects either a source or a body}}
dsv2.weight @weight_c1_both : tensor<8x64xbf16> from "a" {
  %0 = tensor.empty() : tensor<8x64xbf16>
  dsv2.yield %0 : tensor<8x64xbf16>
}

// -----

// expected-error @below {{'dsv2.weight' op expects its body to yield 'tensor<8x64xbf16>'}}
dsv2.weight @weight_c2 : tensor<8x64xbf16> {
  %0 = tensor.empty() : tensor<8x32xbf16>
  dsv2.yield %0 : tensor<8x32xbf16>
}

// -----

// expected-error @below {{'dsv2.weight' op expects a stacked weight to have rank 2 or more, but found 'tensor<64xbf16>'}}
dsv2.weight @weight_c3 : tensor<64xbf16> from "norm.*"

// -----

func.func @get_weight_c1() {
  // expected-error @below {{'dsv2.get_weight' op expects a dsv2.weight named @absent}}
  %0 = dsv2.get_weight @absent : tensor<8x64xbf16>
  return
}

// -----

dsv2.weight @a : tensor<8x64xbf16> from "a"
func.func @get_weight_c1_type() {
  // expected-error @below {{'dsv2.get_weight' op expects the type of @a, 'tensor<8x64xbf16>'}}
  %0 = dsv2.get_weight @a : tensor<8x32xbf16>
  return
}

// -----

func.func @quantize_c1(%w: tensor<8x64xbf16>) {
  // expected-error @below {{'dsv2.quantize' op expects operand and result of one shape, but found 'tensor<8x64xbf16>' and 'tensor<8x32xi8, #dsv2.block_int8<32>>'}}
  %0 = dsv2.quantize %w : tensor<8x64xbf16> -> tensor<8x32xi8, #dsv2.block_int8<32>>
  return
}

// -----

func.func @quantize_c2(%w: tensor<8x64xbf16>) {
  // expected-error @below {{'dsv2.quantize' op expects a result of type i8 in block_int8, i4 in block_int4 or f8E4M3FN in block_fp8, but found 'tensor<8x64xi8, #dsv2.block_int4<32>>'}}
  %0 = dsv2.quantize %w : tensor<8x64xbf16> -> tensor<8x64xi8, #dsv2.block_int4<32>>
  return
}

// -----

func.func @dequantize_c1(%w: tensor<8x64xi8, #dsv2.block_int8<32>>) {
  // expected-error @below {{'dsv2.dequantize' op expects operand and result of one shape, but found 'tensor<8x64xi8, #dsv2.block_int8<32>>' and 'tensor<8x32xf32>'}}
  %0 = dsv2.dequantize %w : tensor<8x64xi8, #dsv2.block_int8<32>> -> tensor<8x32xf32>
  return
}

// -----

func.func @dequantize_c2(%w: tensor<8x64xi8>) {
  // expected-error @below {{'dsv2.dequantize' op expects an operand with a block encoding, but found 'tensor<8x64xi8>'}}
  %0 = dsv2.dequantize %w : tensor<8x64xi8> -> tensor<8x64xf32>
  return
}

// -----

func.func @pack_weight_c1(%w: tensor<8x64xbf16>) {
  // expected-error @below {{'dsv2.pack_weight' op expects operand and result of one shape and element type, but found 'tensor<8x64xbf16>' and 'tensor<8x64xf32, #dsv2.panels<32>>'}}
  %0 = dsv2.pack_weight %w : tensor<8x64xbf16> -> tensor<8x64xf32, #dsv2.panels<32>>
  return
}

// -----

func.func @pack_weight_c3(%w: tensor<24x64xbf16>) {
  // expected-error @below {{'dsv2.pack_weight' op expects halves of a matrix in runs of 8 rows, but found 'tensor<24x64xbf16, #dsv2.panels<1 interleave 8>>'}}
  %0 = dsv2.pack_weight %w : tensor<24x64xbf16> -> tensor<24x64xbf16, #dsv2.panels<1 interleave 8>>
  return
}

// -----

func.func @pack_weight_c2(%w: tensor<8x64xi8, #dsv2.block_int8<32>>) {
  // expected-error @below {{'dsv2.pack_weight' op expects a panels encoding of the operand's format, but found 'tensor<8x64xi8, #dsv2.panels<32>>'}}
  %0 = dsv2.pack_weight %w : tensor<8x64xi8, #dsv2.block_int8<32>> -> tensor<8x64xi8, #dsv2.panels<32>>
  return
}

// -----

func.func @pack_rows_c1(%x: tensor<?x64xf32>) {
  // expected-error @below {{'dsv2.pack_rows' op expects operand and result of one shape, but found 'tensor<?x64xf32>' and 'tensor<?x32xi8, #dsv2.rows<32>>'}}
  %0 = dsv2.pack_rows %x : tensor<?x64xf32> -> tensor<?x32xi8, #dsv2.rows<32>>
  return
}

// -----

func.func @pack_rows_c2(%x: tensor<?x64xf32>) {
  // expected-error @below {{'dsv2.pack_rows' op expects a rows encoding, but found 'tensor<?x64xi8>'}}
  %0 = dsv2.pack_rows %x : tensor<?x64xf32> -> tensor<?x64xi8>
  return
}

// -----

// expected-error @below {{expects "dsv2.max_query_tokens" on a function, as an i64 of at least 1, but found 0 : i64}}
func.func @max_query_tokens() attributes {dsv2.max_query_tokens = 0 : i64} {
  return
}
