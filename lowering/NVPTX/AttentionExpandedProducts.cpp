//===- AttentionExpandedProducts.cpp - Scores, softmax and values ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionExpandedEmitter.h"

#include <numbers>

namespace mlir::dsv2::nvptx {

SmallVector<Value> ExpandedEmitter::startScores(const RingState &at) {
  waitParity(keyRing.fullAt(*this, at.stage), at.phase);
  Value a = descriptor(add(query, mul(half(), tileBytes / 2)));
  Value b = descriptor(add(key, mul(at.stage, keyTiles * tileBytes)));
  return scoreTiles(a, b, keyTiles, tileBytes, scoreCount);
}

Probabilities ExpandedEmitter::attend(ValueRange scores, const Item &item,
                                      Value block, SoftmaxState &softmax) {
  // A token sees the positions up to its own; the warpgroup's first the least.
  Value first = add(item.firstToken, mul(half(), 64));
  Value before = sub(sub(item.context, item.tokens), mul(block, rows));
  Value least = add(add(before, first), 1);
  SmallVector<Value> seen = ifElse(
      less(least, rows), scores.getTypes(),
      [&] {
        Value limit = add(least, threadRow());
        return maskScores(*this, scores, {limit, add(limit, 8)});
      },
      [&] { return SmallVector<Value>(scores); });
  float scale = spec.scale * std::numbers::log2e_v<float>;
  return softmaxTile(*this, seen, scale, softmax);
}

SmallVector<Value> ExpandedEmitter::addValues(ValueRange sums,
                                              ArrayRef<Value> pairs,
                                              const RingState &at) {
  Value b = descriptor(add(value, mul(at.stage, valueTiles * tileBytes)),
                       mnMajorDescriptor(tileBytes));
  SmallVector<Value> result(sums);
  fenceProducts();
  for (int64_t k = 0; k < rows / 16; ++k) {
    ProductOptions options;
    options.transposedB = true;
    result =
        productFromRegisters(result, pairs.slice(4 * k, 4),
                             add(b, 2 * swizzleAtomBytes / 16 * k), options);
  }
  commitProducts();
  return result;
}

void ExpandedEmitter::clearBehind(const Item &item, Value block,
                                  const RingState &at) {
  Value present = sub(item.context, mul(block, rows));
  ifThen(less(present, rows), [&] {
    // Each warpgroup a tile of columns; both read both.
    Value address = add(value, mul(at.stage, valueTiles * tileBytes));
    clearRows(add(address, mul(half(), tileBytes)), 1, rows, present);
    fenceAsync();
    barrier(1, 256);
  });
}

void ExpandedEmitter::storeRows(const Item &item, ValueRange sums,
                                const RowPair &inverses) {
  Value column = shiftLeft(bitAnd(lane(), 3), 1);
  for (int64_t r = 0; r < 2; ++r) {
    Value token =
        add(add(item.firstToken, mul(half(), 64)), add(threadRow(), 8 * r));
    ifThen(less(token, item.tokens), [&] {
      Value row = add(mul(add(item.firstRow, token), spec.heads), item.head);
      Value to = element(binding(output), getBF16Type(),
                         add(mul(toI64(row), spec.value), toI64(column)));
      for (int64_t group = 0; group < spec.value / 8; ++group) {
        int64_t i = 4 * group + 2 * r;
        store(packBf16(fmul(sums[i], inverses[r]),
                       fmul(sums[i + 1], inverses[r])),
              offset(to, 16 * group));
      }
    });
  }
}

SmallVector<Value> ExpandedEmitter::consumeItem(const Item &item,
                                                ValueRange carried) {
  Value queryPhase = carried[0];
  RingState at = RingState::of(carried.drop_front(1));
  waitParity(queryRing.full, queryPhase);
  SoftmaxState softmax = SoftmaxState::begin(*this);
  SmallVector<Value> scores = waitProducts(0, startScores(at));
  arriveByWarps(keyRing.emptyAt(*this, at.stage));
  Probabilities first = attend(scores, item, i32(0), softmax);

  // Carried: sums, probabilities, softmax, the stage of the values.
  SmallVector<Value> state(sumCount, f32(0.0f));
  llvm::append_range(state, first.pairs);
  softmax.appendTo(state);
  at.appendTo(state);
  SmallVector<Value> sums, pairs;
  auto unpack = [&](ValueRange values) {
    sums.assign(values.begin(), values.begin() + sumCount);
    values = values.drop_front(sumCount);
    pairs.assign(values.begin(), values.begin() + pairCount);
    values = values.drop_front(pairCount);
    softmax = SoftmaxState::of(values);
    at = RingState::of(values.drop_front(4));
  };
  Value last = sub(item.blocks, 1);
  state = loop(i32(0), last, 1, state,
               [&](Value block, ValueRange values) -> SmallVector<Value> {
                 unpack(values);
                 RingState following = at.next(*this, stages);
                 waitParity(valueRing.fullAt(*this, at.stage), at.phase);
                 sums = addValues(sums, pairs, at);
                 SmallVector<Value> scores = startScores(following);
                 sums = waitProducts(1, sums);
                 arriveByWarps(valueRing.emptyAt(*this, at.stage));
                 scores = waitProducts(0, scores);
                 arriveByWarps(keyRing.emptyAt(*this, following.stage));
                 Probabilities p = attend(scores, item, add(block, 1), softmax);
                 SmallVector<Value> next = scaleRows(*this, sums, p.factors);
                 llvm::append_range(next, p.pairs);
                 softmax.appendTo(next);
                 following.appendTo(next);
                 return next;
               });
  unpack(state);
  arriveByWarps(queryRing.empty);
  waitParity(valueRing.fullAt(*this, at.stage), at.phase);
  clearBehind(item, last, at);
  sums = waitProducts(0, addValues(sums, pairs, at));
  arriveByWarps(valueRing.emptyAt(*this, at.stage));
  storeRows(item, sums, inverseSums(*this, wholeSums(*this, softmax)));

  SmallVector<Value> next = {bitXor(queryPhase, 1)};
  at.next(*this, stages).appendTo(next);
  return next;
}

void ExpandedEmitter::consume() {
  SmallVector<Value> begin = {i32(0)};
  RingState::begin(*this).appendTo(begin);
  loop(workgroup(), total, gridBlocks(), begin,
       [&](Value index, ValueRange state) {
         return consumeItem(itemAt(index), state);
       });
}

} // namespace mlir::dsv2::nvptx
