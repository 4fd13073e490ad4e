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

Powers ExpandedEmitter::attend(ValueRange scores, const Item &item, Value block,
                               SoftmaxState &softmax) {
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
  return softmaxPowers(*this, seen, scale, softmax);
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

void ExpandedEmitter::forRows(const Item &item,
                              function_ref<void(int64_t, Value)> body) {
  for (int64_t r = 0; r < 2; ++r) {
    Value token =
        add(add(item.firstToken, mul(half(), 64)), add(threadRow(), 8 * r));
    ifThen(less(token, item.tokens), [&] {
      body(r,
           toI64(add(mul(add(item.firstRow, token), spec.heads), item.head)));
    });
  }
}

void ExpandedEmitter::storeRows(const Item &item, ValueRange sums,
                                const RowPair &inverses) {
  Value column = toI64(shiftLeft(bitAnd(lane(), 3), 1));
  forRows(item, [&](int64_t r, Value row) {
    Value to = element(binding(output), getBF16Type(),
                       add(mul(row, spec.value), column));
    for (int64_t group = 0; group < spec.value / 8; ++group) {
      int64_t i = 4 * group + 2 * r;
      store(
          packBf16(fmul(sums[i], inverses[r]), fmul(sums[i + 1], inverses[r])),
          offset(to, 16 * group));
    }
  });
}

SmallVector<Value> ExpandedEmitter::loadState(const Item &item) {
  SmallVector<Value> fresh(sumCount, f32(0.0f));
  SoftmaxState::begin(*this).appendTo(fresh);
  if (!spec.chunkStep)
    return fresh;
  SmallVector<Type> types(fresh.size(), getF32Type());
  VectorType pair = vectorOf(2, getF32Type());
  return ifElse(
      equal(item.begin, 0), types, [&] { return fresh; },
      [&] {
        // Rows that do not exist read another's: what they make is not stored.
        SmallVector<Value> state(fresh.size());
        for (int64_t r = 0; r < 2; ++r) {
          Value token = min(add(add(item.firstToken, mul(half(), 64)),
                                add(threadRow(), 8 * r)),
                            sub(item.tokens, 1));
          Value row =
              toI64(add(mul(add(item.firstRow, token), spec.heads), item.head));
          Value from = element(binding(partialSums), getF32Type(),
                               add(mul(row, spec.value),
                                   toI64(shiftLeft(bitAnd(lane(), 3), 1))));
          for (int64_t group = 0; group < spec.value / 8; ++group) {
            Value loaded = load(pair, offset(from, 32 * group));
            state[4 * group + 2 * r] = extract(loaded, 0);
            state[4 * group + 2 * r + 1] = extract(loaded, 1);
          }
          Value loaded = load(pair, stateAddress(row));
          state[sumCount + r] = extract(loaded, 0);
          state[sumCount + 2 + r] = extract(loaded, 1);
        }
        return state;
      });
}

void ExpandedEmitter::storeState(const Item &item, ValueRange sums,
                                 const SoftmaxState &softmax) {
  Value column = toI64(shiftLeft(bitAnd(lane(), 3), 1));
  auto pairOf = [&](Value a, Value b) { return insert(b, splat(a, 2), 1); };
  forRows(item, [&](int64_t r, Value row) {
    Value to = element(binding(partialSums), getF32Type(),
                       add(mul(row, spec.value), column));
    for (int64_t group = 0; group < spec.value / 8; ++group) {
      int64_t i = 4 * group + 2 * r;
      store(pairOf(sums[i], sums[i + 1]), offset(to, 32 * group));
    }
    store(pairOf(softmax.maximum[r], softmax.sum[r]), stateAddress(row));
  });
}

Value ExpandedEmitter::stateAddress(Value row) {
  return offset(binding(partialStates),
                add(shiftLeft(row, 5), toI64(shiftLeft(bitAnd(lane(), 3), 3))));
}

SmallVector<Value> ExpandedEmitter::consumeItem(const Item &item,
                                                ValueRange carried) {
  Value queryPhase = carried[0];
  RingState at = RingState::of(carried.drop_front(1));
  waitParity(queryRing.full, queryPhase);
  SmallVector<Value> scores = waitProducts(0, startScores(at));
  arriveByWarps(keyRing.emptyAt(*this, at.stage));
  SmallVector<Value> before = loadState(item);
  SoftmaxState softmax =
      SoftmaxState::of(ArrayRef(before).drop_front(sumCount));
  Powers first = attend(scores, item, item.begin, softmax);

  // Carried: sums, probabilities, factors of the sums, softmax, the stage of
  // the values.
  SmallVector<Value> state(before.begin(), before.begin() + sumCount);
  llvm::append_range(state, packPairs(*this, first.values));
  llvm::append_range(state, first.factors);
  softmax.appendTo(state);
  at.appendTo(state);
  SmallVector<Value> sums, pairs;
  RowPair factors;
  auto unpack = [&](ValueRange values) {
    sums.assign(values.begin(), values.begin() + sumCount);
    values = values.drop_front(sumCount);
    pairs.assign(values.begin(), values.begin() + pairCount);
    values = values.drop_front(pairCount);
    factors = {values[0], values[1]};
    softmax = SoftmaxState::of(values.drop_front(2));
    at = RingState::of(values.drop_front(6));
  };
  Value last = sub(item.end, 1);
  waitParity(valueRing.fullAt(*this, at.stage), at.phase);
  state = loop(item.begin, last, 1, state,
               [&](Value block, ValueRange values) -> SmallVector<Value> {
                 unpack(values);
                 RingState following = at.next(*this, stages);
                 SmallVector<Value> scores = startScores(following);
                 sums = rescaleRows(*this, sums, factors);
                 sums = addValues(sums, pairs, at);
                 scores = waitProducts(1, scores);
                 arriveByWarps(keyRing.emptyAt(*this, following.stage));
                 Powers p = attend(scores, item, add(block, 1), softmax);
                 // The values of the next product are waited for here: ptxas
                 // would move the wait for this one before the softmax, were
                 // there no branch in between. Powers pass through, so that
                 // pairs take the registers that the product has read.
                 waitParity(valueRing.fullAt(*this, following.stage),
                            following.phase);
                 SmallVector<Value> next(sums);
                 llvm::append_range(next, p.values);
                 next = waitProducts(0, next);
                 arriveByWarps(valueRing.emptyAt(*this, at.stage));
                 pairs = packPairs(*this, ArrayRef(next).drop_front(sumCount));
                 next.truncate(sumCount);
                 llvm::append_range(next, pairs);
                 llvm::append_range(next, p.factors);
                 softmax.appendTo(next);
                 following.appendTo(next);
                 return next;
               });
  unpack(state);
  arriveByWarps(queryRing.empty);
  sums = scaleRows(*this, sums, factors);
  clearBehind(item, last, at);
  sums = waitProducts(0, addValues(sums, pairs, at));
  arriveByWarps(valueRing.emptyAt(*this, at.stage));
  auto finish = [&] {
    storeRows(item, sums, inverseSums(*this, wholeSums(*this, softmax)));
    return SmallVector<Value>();
  };
  if (spec.chunkStep)
    ifElse(equal(item.end, item.blocks), {}, finish, [&] {
      storeState(item, sums, softmax);
      return SmallVector<Value>();
    });
  else
    finish();

  SmallVector<Value> next = {bitXor(queryPhase, 1)};
  at.next(*this, stages).appendTo(next);
  return next;
}

void ExpandedEmitter::consume() {
  SmallVector<Value> begin = {i32(0)};
  RingState::begin(*this).appendTo(begin);
  forEachItem(begin, [&](const Item &item, ValueRange state) {
    return consumeItem(item, state);
  });
}

} // namespace mlir::dsv2::nvptx
