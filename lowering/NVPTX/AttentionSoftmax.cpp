//===- AttentionSoftmax.cpp - Softmax in the registers of wgmma -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionSoftmax.h"

#include "llvm/ADT/bit.h"

#include <limits>

namespace mlir::dsv2::nvptx {

/// Which of the thread's two rows an accumulator belongs to.
static int64_t rowOf(int64_t index) { return index / 2 % 2; }

SoftmaxState SoftmaxState::begin(HopperBuilder &b) {
  Value lowest = b.f32(-1e30f), zero = b.f32(0.0f);
  return {{lowest, lowest}, {zero, zero}};
}

SoftmaxState SoftmaxState::of(ValueRange values) {
  return {{values[0], values[1]}, {values[2], values[3]}};
}

void SoftmaxState::appendTo(SmallVectorImpl<Value> &values) const {
  values.append({maximum[0], maximum[1], sum[0], sum[1]});
}

SmallVector<Value> maskScores(HopperBuilder &b, ValueRange scores,
                              const RowPair &limits) {
  Value hidden = b.f32(-std::numeric_limits<float>::infinity());
  Value column = b.shiftLeft(b.bitAnd(b.lane(), 3), 1);
  RowPair bounds = {b.sub(limits[0], column), b.sub(limits[1], column)};
  SmallVector<Value> masked;
  for (auto [i, score] : llvm::enumerate(scores)) {
    int64_t at = accumulatorPosition(0, i).column;
    Value isSeen = b.less(b.i32(at), bounds[rowOf(i)]);
    masked.push_back(b.select(isSeen, score, hidden));
  }
  return masked;
}

Powers softmaxPowers(HopperBuilder &b, ValueRange scores, float scale,
                     SoftmaxState &state) {
  Powers result;
  RowPair largest;
  for (auto [i, score] : llvm::enumerate(scores)) {
    Value &m = largest[rowOf(i)];
    m = m ? b.fmax(m, score) : score;
  }
  Value factor = b.f32(scale);
  RowPair negative;
  for (int row = 0; row < 2; ++row) {
    Value tile = b.fmul(b.warpMax(largest[row], 4), factor);
    Value maximum = b.fmax(state.maximum[row], tile);
    result.factors[row] = b.ex2(b.fsub(state.maximum[row], maximum));
    state.maximum[row] = maximum;
    state.sum[row] = b.fmul(state.sum[row], result.factors[row]);
    negative[row] = b.fneg(maximum);
  }
  for (auto [i, score] : llvm::enumerate(scores)) {
    int64_t row = rowOf(i);
    Value power = b.ex2(b.fma(score, factor, negative[row]));
    state.sum[row] = b.fadd(state.sum[row], power);
    result.values.push_back(power);
  }
  return result;
}

SmallVector<Value> packPairs(HopperBuilder &b, ValueRange powers) {
  SmallVector<Value> pairs;
  for (size_t i = 0; i < powers.size(); i += 2)
    pairs.push_back(b.packBf16(powers[i], powers[i + 1]));
  return pairs;
}

Probabilities softmaxTile(HopperBuilder &b, ValueRange scores, float scale,
                          SoftmaxState &state) {
  Powers powers = softmaxPowers(b, scores, scale, state);
  return {packPairs(b, powers.values), powers.factors};
}

SmallVector<Value> scaleRows(HopperBuilder &b, ValueRange sums,
                             const RowPair &factors) {
  SmallVector<Value> scaled;
  for (auto [i, sum] : llvm::enumerate(sums))
    scaled.push_back(b.fmul(sum, factors[rowOf(i)]));
  return scaled;
}

SmallVector<Value> rescaleRows(HopperBuilder &b, ValueRange sums,
                               const RowPair &factors) {
  // By their bits, so that NaN is not 1.
  auto isOne = [&](Value factor) {
    return b.equal(b.bitcast(factor, b.getI32Type()),
                   llvm::bit_cast<int32_t>(1.0f));
  };
  Value unchanged = b.ballot(b.both(isOne(factors[0]), isOne(factors[1])));
  return b.ifElse(
      b.equal(unchanged, -1), sums.getTypes(),
      [&] { return SmallVector<Value>(sums); },
      [&] { return scaleRows(b, sums, factors); });
}

RowPair wholeSums(HopperBuilder &b, const SoftmaxState &state) {
  return {b.warpSum(state.sum[0], 4), b.warpSum(state.sum[1], 4)};
}

RowPair logSums(HopperBuilder &b, const SoftmaxState &state,
                const RowPair &sums) {
  return {b.fadd(state.maximum[0], b.lg2(sums[0])),
          b.fadd(state.maximum[1], b.lg2(sums[1]))};
}

RowPair inverseSums(HopperBuilder &b, const RowPair &sums) {
  RowPair result;
  for (int row = 0; row < 2; ++row) {
    Value inverse = b.fdiv(b.f32(1.0f), sums[row]);
    Value isSeen = b.fless(b.f32(0.0f), sums[row]);
    result[row] = b.select(isSeen, inverse, b.f32(0.0f));
  }
  return result;
}

} // namespace mlir::dsv2::nvptx
