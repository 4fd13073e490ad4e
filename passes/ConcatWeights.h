//===- ConcatWeights.h - One weight from several ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_CONCATWEIGHTS_H
#define DSV2_PASSES_CONCATWEIGHTS_H

#include "dialect/DSV2Dialect.h"

namespace mlir::dsv2 {

/// Whether the rows of `a` and `b` can be stored in one weight without a change
/// of value: both are plain, or both are in one format. Groups lie along rows,
/// so that concatenating rows and quantizing commute; blocks of several rows
/// must end with the weight (`endsWithBlock`).
bool canConcat(Value a, Value b);

/// Whether the rows of another weight may follow those of `weight`.
bool endsWithBlock(Value weight);

/// The concatenation of `weights` along `dim`, which is not their last. All
/// pairs satisfy `canConcat`, and all but the last `endsWithBlock`.
Value concatWeights(OpBuilder &builder, Location loc, int64_t dim,
                    ArrayRef<Value> weights);

} // namespace mlir::dsv2

#endif // DSV2_PASSES_CONCATWEIGHTS_H
