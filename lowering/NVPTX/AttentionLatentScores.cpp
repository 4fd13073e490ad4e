//===- AttentionLatentScores.cpp - The left warpgroup: scores -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatentEmitter.h"

#include <numbers>

namespace mlir::dsv2::nvptx {

SmallVector<Value> LatentEmitter::startScores(const RingState &state) {
  waitParity(kvRing.fullAt(*this, state.stage), state.phase);
  Value a = descriptor(query), b = descriptor(stageAddress(state.stage));
  return scoreTiles(a, b, tiles, tileBytes, attentionBlockTokens / 2);
}

SmallVector<Value> LatentEmitter::hideScores(ValueRange scores,
                                             const Item &item, Value block) {
  // A row sees the positions up to its token's; the tile's first row the least.
  Value start = add(item.begin, mul(block, attentionBlockTokens));
  Value before = sub(sub(item.context, item.tokens), start);
  auto seenBy = [&](Value row) {
    return add(add(before, div(row, spec.heads)), 1);
  };
  Value least = seenBy(item.firstRow);
  return ifElse(
      less(least, attentionBlockTokens), scores.getTypes(),
      [&] {
        Value row = add(item.firstRow, threadRow());
        return maskScores(*this, scores, {seenBy(row), seenBy(add(row, 8))});
      },
      [&] { return SmallVector<Value>(scores); });
}

void LatentEmitter::publishFactors(const RowPair &values) {
  ifThen(equal(bitAnd(lane(), 3), 0), [&] {
    Value at = element(factors, getF32Type(), threadRow());
    store(values[0], at);
    store(values[1], offset(at, 32));
  });
}

void LatentEmitter::publish(const Probabilities &p, Value phase) {
  waitParity(probabilityRing.empty, bitXor(phase, 1));
  publishFactors(p.factors);
  // The tile as a K-major operand: swizzled rows of 64 tokens.
  Value warp = bitAnd(shiftRight(thread(), 5), 3);
  Value row = add(shiftLeft(warp, 4), bitAnd(lane(), 15));
  Value rowBase = add(probabilities, mul(row, swizzleRowBytes));
  Value swizzle = shiftLeft(bitAnd(row, 7), 4);
  Value column = shiftLeft(shiftRight(lane(), 4), 4);
  for (int64_t group = 0; group < attentionBlockTokens / 16; ++group) {
    Value at = add(rowBase, bitXor(add(column, 32 * group), swizzle));
    storeMatrices(at, ArrayRef(p.pairs).slice(4 * group, 4));
  }
  fenceAsync();
  arrive(probabilityRing.full);
}

void LatentEmitter::storeLogSums(const Item &item, const RowPair &values) {
  Value first = add(mul(item.firstToken, spec.heads), item.firstRow);
  Value isWriter = both(equal(bitAnd(lane(), 3), 0), less(i32(1), item.splits));
  for (int64_t r = 0; r < 2; ++r) {
    Value row = add(threadRow(), 8 * r);
    Value exists = less(add(item.firstRow, row), item.rows);
    ifThen(both(isWriter, exists), [&] {
      Value index =
          add(mul(toI64(add(first, row)), spec.splits()), toI64(item.split));
      store(values[r], element(binding(partialSums), getF32Type(), index));
    });
  }
}

SmallVector<Value> LatentEmitter::leftItem(const Item &item,
                                           ValueRange carried) {
  int64_t width = latent / 4, scoreCount = attentionBlockTokens / 2;
  float scale = spec.scale * std::numbers::log2e_v<float>;
  RingState begin = RingState::of(carried);
  Value queryPhase = carried[2];
  waitParity(queryRing.full, queryPhase);
  SmallVector<Value> scores = waitProducts(0, startScores(begin));

  // Softmax of a block, its probabilities for the other half, and the start of
  // its product; nothing is waited for.
  auto attend = [&](SmallVector<Value> &scores, SmallVector<Value> &sums,
                    SoftmaxState &softmax, const RingState &at, Value phase,
                    Value block) {
    scores = hideScores(scores, item, block);
    Probabilities p = softmaxTile(*this, scores, scale, softmax);
    publish(p, phase);
    sums = rescaleRows(*this, sums, p.factors);
    Value b = valueDescriptor(stageAddress(at.stage), 0);
    fenceProducts();
    for (int64_t k = 0; k < 4; ++k) {
      ProductOptions options;
      options.transposedB = true;
      sums =
          productFromRegisters(sums, ArrayRef(p.pairs).slice(4 * k, 4),
                               add(b, 2 * swizzleAtomBytes / 16 * k), options);
    }
    commitProducts();
  };

  // Carried: sums, scores, softmax, stage and phase, phase of probabilities.
  SmallVector<Value> state(width, f32(0.0f));
  llvm::append_range(state, scores);
  SoftmaxState::begin(*this).appendTo(state);
  begin.appendTo(state);
  state.push_back(carried[3]);
  Value last = sub(item.blocks, 1);
  auto unpack = [&](ValueRange values, SmallVector<Value> &sums,
                    SmallVector<Value> &scores, SoftmaxState &softmax,
                    RingState &at, Value &phase) {
    sums.assign(values.begin(), values.begin() + width);
    values = values.drop_front(width);
    scores.assign(values.begin(), values.begin() + scoreCount);
    values = values.drop_front(scoreCount);
    softmax = SoftmaxState::of(values);
    at = RingState::of(values.drop_front(4));
    phase = values[6];
  };
  SmallVector<Value> sums;
  SoftmaxState softmax;
  RingState at;
  Value phase;
  state = loop(i32(0), last, 1, state,
               [&](Value block, ValueRange values) -> SmallVector<Value> {
                 unpack(values, sums, scores, softmax, at, phase);
                 attend(scores, sums, softmax, at, phase, block);
                 RingState following = at.next(*this, stages);
                 scores = startScores(following);
                 sums = waitProducts(1, sums);
                 arriveByWarps(kvRing.emptyAt(*this, at.stage));
                 scores = waitProducts(0, scores);
                 SmallVector<Value> next(sums);
                 llvm::append_range(next, scores);
                 softmax.appendTo(next);
                 following.appendTo(next);
                 next.push_back(bitXor(phase, 1));
                 return next;
               });
  unpack(state, sums, scores, softmax, at, phase);
  arriveByWarps(queryRing.empty);
  clearBehind(item, stageAddress(at.stage), 0, 1);
  attend(scores, sums, softmax, at, phase, last);
  sums = waitProducts(0, sums);
  arriveByWarps(kvRing.emptyAt(*this, at.stage));
  phase = bitXor(phase, 1);

  RowPair whole = wholeSums(*this, softmax);
  RowPair inverses = inverseSums(*this, whole);
  waitParity(probabilityRing.empty, bitXor(phase, 1));
  publishFactors(inverses);
  arrive(probabilityRing.full);
  phase = bitXor(phase, 1);
  storeLogSums(item, logSums(*this, softmax, whole));
  storeRows(item, sums, inverses, 0);

  SmallVector<Value> next;
  at.next(*this, stages).appendTo(next);
  next.append({bitXor(queryPhase, 1), phase});
  return next;
}

void LatentEmitter::consumeLeft() {
  SmallVector<Value> begin;
  RingState::begin(*this).appendTo(begin);
  begin.append({i32(0), i32(0)}); // phases of queries and probabilities
  forEachItem(begin, [&](const Item &item, ValueRange state) {
    return leftItem(item, state);
  });
}

} // namespace mlir::dsv2::nvptx
