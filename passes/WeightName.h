//===- WeightName.h - Names of computed weights -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_WEIGHTNAME_H
#define DSV2_PASSES_WEIGHTNAME_H

#include "mlir/IR/Value.h"

#include <string>

namespace mlir::dsv2 {

/// A readable name for `value`, which is computed from weights: that of the
/// weight it comes from, with what is done to it. Not necessarily free; empty
/// if no weight contributes.
std::string nameComputedWeight(Value value);

} // namespace mlir::dsv2

#endif // DSV2_PASSES_WEIGHTNAME_H
