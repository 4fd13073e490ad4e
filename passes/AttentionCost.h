//===- AttentionCost.h - What the forms of attention cost -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_ATTENTIONCOST_H
#define DSV2_PASSES_ATTENTIONCOST_H

#include <cstdint>

namespace mlir::dsv2 {

/// How fast the parts of attention are, as shares of the peak of a bf16 dot
/// product; int8 ones exceed 1.
struct AttentionRates {
  double latent;  ///< attending to the latents
  double attend;  ///< attending to expanded keys and values
  double expand;  ///< expanding these
  double project; ///< absorbing queries, projecting results

  /// Measured for 16 heads of DeepSeek-V2-Lite on Zen 4
  /// (docs/measurements/cpu.md).
  static AttentionRates measured(bool int8Cache, bool int8Expansion) {
    bool int8 = int8Cache || int8Expansion;
    return {int8Cache ? 1.32 : 0.84, int8 ? 1.08 : 0.88, int8 ? 1.72 : 0.88,
            0.8};
  }
  /// Estimates for Hopper, all of them: no kernel has been timed there. The
  /// peak is the 989 TFLOP/s of its datasheet. Products of many rows are taken
  /// to reach 0.7 of it, which is what large ones of published libraries do;
  /// those of a depth or width of one head 0.6. Expanded attention computes a
  /// softmax for each 320 products, latent attention for each 1088, but there
  /// one of two warpgroups has all the scores.
  static AttentionRates estimatedForHopper() { return {0.5, 0.5, 0.7, 0.6}; }
};

/// One step of one sequence in one layer: `queries` new tokens after `past`
/// cached ones. Costs count a multiplication and an addition as two operations.
struct AttentionWork {
  int64_t heads, latent, rope, key, value;
  double queries, past;

  /// Queries move into the latent space; results move back.
  double latentCost() const;
  /// Keys and values of all tokens are expanded from the latent.
  double expandedCost() const;
  /// The same, divided by the rates at which the parts run.
  double latentTime(const AttentionRates &rates) const;
  double expandedTime(const AttentionRates &rates) const;
  /// The number of query tokens after `past` cached ones from which on the
  /// expanded form takes less time; infinity if there is none.
  double breakEvenQueries(const AttentionRates &rates) const;

private:
  /// Pairs of a query token and a token it attends to.
  double pairs() const { return queries * (past + queries / 2); }
};

} // namespace mlir::dsv2

#endif // DSV2_PASSES_ATTENTIONCOST_H
