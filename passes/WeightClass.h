//===- WeightClass.h - What a weight is used for ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_WEIGHTCLASS_H
#define DSV2_PASSES_WEIGHTCLASS_H

#include "dialect/DSV2Dialect.h"

#include <optional>

namespace mlir::dsv2 {

/// The parts of a model whose weights are quantized alike.
enum class WeightClass {
  Attention,     ///< Other projections of the residual stream and of queries.
  UpProjections, ///< Maps between each head and the latent.
  Dense,         ///< Gated units for all tokens.
  Shared,        ///< The same beside selected experts.
  Experts,       ///< Gated units for selected tokens.
  Head,          ///< Logits.
  Router         ///< Logits of experts.
};

/// The class of the weight `operand`; none if `operand` is no weight matrix.
std::optional<WeightClass> classifyWeight(OpOperand &operand);

/// Whether `value` is computed from weights alone.
bool isComputedFromWeights(Value value);

} // namespace mlir::dsv2

#endif // DSV2_PASSES_WEIGHTCLASS_H
