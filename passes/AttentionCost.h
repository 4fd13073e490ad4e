//===- AttentionCost.h - What the forms of attention cost -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_ATTENTIONCOST_H
#define DSV2_PASSES_ATTENTIONCOST_H

#include <cstdint>

namespace mlir::dsv2 {

/// One step of one sequence in one layer: `queries` new tokens after `past`
/// cached ones. Costs count a multiplication and an addition as two operations.
struct AttentionWork {
  int64_t heads, latent, rope, key, value;
  double queries, past;

  /// Queries move into the latent space; results move back.
  double latentCost() const;
  /// Keys and values of all tokens are expanded from the latent.
  double expandedCost() const;
  /// The number of query tokens after `past` cached ones from which on the
  /// expanded form costs less; infinity if there is none.
  double breakEvenQueries() const;

private:
  /// Pairs of a query token and a token it attends to.
  double pairs() const { return queries * (past + queries / 2); }
};

} // namespace mlir::dsv2

#endif // DSV2_PASSES_ATTENTIONCOST_H
