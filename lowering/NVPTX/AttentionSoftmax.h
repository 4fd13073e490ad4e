//===- AttentionSoftmax.h - Softmax in the registers of wgmma ---*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A thread of a warpgroup holds parts of two rows of a tile of scores: row
// l / 4 and row l / 4 + 8 of its warp's 16 (HopperLayout.h). The four lanes of
// a quad share rows.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONSOFTMAX_H
#define DSV2_LOWERING_NVPTX_ATTENTIONSOFTMAX_H

#include "lowering/NVPTX/Hopper.h"

#include <array>

namespace mlir::dsv2::nvptx {

using RowPair = std::array<Value, 2>;

/// The running state of two rows, in the domain of 2^x: the maximum of the
/// scaled scores, and the sum of what this thread has seen of 2^(score -
/// maximum). The maximum begins finite, so that a row without scores makes no
/// NaN.
struct SoftmaxState {
  RowPair maximum, sum;

  static SoftmaxState begin(HopperBuilder &b);
  static SoftmaxState of(ValueRange values);
  void appendTo(SmallVectorImpl<Value> &values) const;
};

/// Scores of this thread with -infinity in place of those at columns from
/// `limits` on, where column 0 is the tile's first.
SmallVector<Value> maskScores(HopperBuilder &b, ValueRange scores,
                              const RowPair &limits);

/// Updates `state` with a tile of scores times `scale` (in the domain of 2^x).
/// Returns the powers of the scores, and the factors of what was summed before.
struct Powers {
  SmallVector<Value> values;
  RowPair factors;
};
Powers softmaxPowers(HopperBuilder &b, ValueRange scores, float scale,
                     SoftmaxState &state);
/// Powers as bf16 pairs, the A operand of a product.
SmallVector<Value> packPairs(HopperBuilder &b, ValueRange powers);

/// Both at once.
struct Probabilities {
  SmallVector<Value> pairs;
  RowPair factors;
};
Probabilities softmaxTile(HopperBuilder &b, ValueRange scores, float scale,
                          SoftmaxState &state);

/// Multiplies accumulators of any width by a factor for each row.
SmallVector<Value> scaleRows(HopperBuilder &b, ValueRange sums,
                             const RowPair &factors);

/// The same, without a multiplication where no row of the warp needs one. By a
/// whole warp. The branch also keeps multiplications behind what comes before.
SmallVector<Value> rescaleRows(HopperBuilder &b, ValueRange sums,
                               const RowPair &factors);

/// The sums of whole rows, and log2 of the sum of 2^score (-infinity of a row
/// without scores).
RowPair wholeSums(HopperBuilder &b, const SoftmaxState &state);
RowPair logSums(HopperBuilder &b, const SoftmaxState &state,
                const RowPair &sums);
/// 1 / sum, or 0 of a row without scores.
RowPair inverseSums(HopperBuilder &b, const RowPair &sums);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONSOFTMAX_H
