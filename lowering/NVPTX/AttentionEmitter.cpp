//===- AttentionEmitter.cpp - What attention kernels share ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionEmitter.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

void AttentionEmitter::reserveWork() {
  itemsBefore = shared(4 * (maxSequences + 1));
}

void AttentionEmitter::countWork(function_ref<Value(Value)> itemsOf) {
  Type i32Type = getI32Type();
  Value sequences = dim(Dim::sequences);
  Value done =
      loop(i32(0), sequences, 32, {i32(0)},
           [&](Value base, ValueRange carried) -> SmallVector<Value> {
             Value sequence = add(base, lane());
             Value exists = less(sequence, sequences);
             Value count = ifElse(
                 exists, i32Type,
                 [&]() -> SmallVector<Value> { return {itemsOf(sequence)}; },
                 [&]() -> SmallVector<Value> { return {i32(0)}; })[0];
             Value sum = count;
             for (int64_t distance = 1; distance < 32; distance *= 2) {
               Value from = sub(lane(), distance);
               Value other = shuffleFrom(sum, max(from, 0));
               sum = add(sum, select(less(from, 0), i32(0), other));
             }
             ifThen(exists, [&] {
               store(add(carried[0], sub(sum, count)),
                     element(itemsBefore, i32Type, sequence));
             });
             return {add(carried[0], shuffleFrom(sum, i32(31)))};
           })[0];
  ifThen(equal(lane(), 0),
         [&] { store(done, element(itemsBefore, i32Type, sequences)); });
}

Value AttentionEmitter::totalItems() {
  return load(getI32Type(),
              element(itemsBefore, getI32Type(), dim(Dim::sequences)));
}

std::pair<Value, Value> AttentionEmitter::sequenceOf(Value index) {
  // The last sequence whose first item is not after `index`: one without items
  // is followed by another with the same first item.
  Value sequences = dim(Dim::sequences), sequence = i32(0);
  auto before = [&](Value at) {
    return load(getI32Type(), element(itemsBefore, getI32Type(), at));
  };
  for (int64_t step = llvm::PowerOf2Ceil(maxSequences); step > 0; step /= 2) {
    Value next = add(sequence, step);
    Value isBefore = both(less(next, sequences),
                          less(before(min(next, sequences)), add(index, 1)));
    sequence = select(isBefore, next, sequence);
  }
  return {sequence, sub(index, before(sequence))};
}

void AttentionEmitter::arriveByWarps(Value barrier) {
  warpSync();
  ifThen(equal(lane(), 0), [&] { arrive(barrier); });
}

void AttentionEmitter::clearRows(Value address, int64_t tiles, int64_t rows,
                                 Value from) {
  // 16 bytes a thread and step, 8 to a row: a swizzle stays within rows.
  Value zero = splat(i32(0), 4);
  loop(add(shiftLeft(from, 3), warpgroupThread()), i32(8 * rows), 128,
       [&](Value piece) {
         Value at = add(address, shiftLeft(piece, 4));
         for (int64_t tile = 0; tile < tiles; ++tile)
           store(zero, sharedPointerAt(add(at, tile * rows * swizzleRowBytes)));
       });
}

SmallVector<Value> AttentionEmitter::scoreTiles(Value a, Value b, int64_t tiles,
                                                int64_t tileBytes,
                                                int64_t count) {
  SmallVector<Value> scores = undefinedSums(count);
  fenceProducts();
  for (int64_t tile = 0; tile < tiles; ++tile)
    for (int64_t k = 0; k < 4; ++k) {
      int64_t on = tile * tileBytes / 16 + 2 * k;
      ProductOptions options;
      if (on == 0)
        options.accumulate = i32(0);
      scores = product(scores, add(a, on), add(b, on), options);
    }
  commitProducts();
  return scores;
}

Value AttentionEmitter::threadRow() {
  Value warp = bitAnd(shiftRight(thread(), 5), 3);
  return add(shiftLeft(warp, 4), shiftRight(lane(), 2));
}

} // namespace mlir::dsv2::nvptx
