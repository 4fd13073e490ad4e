//===- Passes.h - Target-independent passes ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_PASSES_H
#define DSV2_PASSES_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir::dsv2 {

/// How attention over the latent cache is computed.
enum class AttentionForm {
  Auto,    ///< Whichever costs less.
  Latent,  ///< Absorbed: queries move into the latent space.
  Expanded ///< Keys and values are expanded from the latent.
};

/// Where attention runs, as far as its forms differ in speed.
enum class AttentionMachine {
  Zen4,  ///< A CPU, whose rates are measured.
  Hopper ///< A GPU, whose rates are estimated.
};

/// The number format a class of weights is given.
enum class WeightFormat {
  Default, ///< That of the pass's `format` option.
  Keep,    ///< Left as it is.
  Bf16,    ///< Plain numbers.
  Fp8,     ///< `#dsv2.block_fp8<128x128>`
  Int8,    ///< `#dsv2.block_int8<32>`
  Int4     ///< `#dsv2.block_int4<32>`
};

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace mlir::dsv2

#endif // DSV2_PASSES_PASSES_H
