//===- AttentionLatentValues.cpp - Sums of values, and their places -------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatentEmitter.h"

namespace mlir::dsv2::nvptx {

void LatentEmitter::clearBehind(const Item &item, Value stageBase, int64_t half,
                                int64_t barrierId) {
  // Rows of the item's last block from the end of the context on.
  Value start = add(item.begin, mul(sub(item.blocks, 1), attentionBlockTokens));
  Value present = sub(item.context, start);
  ifThen(less(present, attentionBlockTokens), [&] {
    int64_t columnTiles = latent / 2 / 64;
    clearRows(add(stageBase, half * columnTiles * tileBytes), columnTiles,
              attentionBlockTokens, present);
    fenceAsync();
    barrier(barrierId, 128);
  });
}

void LatentEmitter::storeRows(const Item &item, ValueRange sums,
                              const RowPair &inverses, int64_t half) {
  Value column = add(shiftLeft(bitAnd(lane(), 3), 1), half * latent / 2);
  Value first = add(mul(item.firstToken, spec.heads), item.firstRow);
  Value isWhole = equal(item.splits, 1);
  for (int64_t r = 0; r < 2; ++r) {
    Value row = add(threadRow(), 8 * r);
    auto valuesAt = [&](int64_t group) -> std::pair<Value, Value> {
      int64_t i = 4 * group + 2 * r;
      return {fmul(sums[i], inverses[r]), fmul(sums[i + 1], inverses[r])};
    };
    auto storeWhole = [&] {
      Value to =
          element(binding(output), getBF16Type(),
                  add(mul(toI64(add(first, row)), latent), toI64(column)));
      for (int64_t group = 0; group < latent / 16; ++group) {
        auto [low, high] = valuesAt(group);
        store(packBf16(low, high), offset(to, 16 * group));
      }
      return SmallVector<Value>();
    };
    auto storePartial = [&] {
      Value index =
          add(mul(toI64(add(first, row)), spec.splits()), toI64(item.split));
      Value to = element(binding(partials), getF32Type(),
                         add(mul(index, latent), toI64(column)));
      for (int64_t group = 0; group < latent / 16; ++group) {
        auto [low, high] = valuesAt(group);
        store(insert(high, splat(low, 2), 1), offset(to, 32 * group));
      }
      return SmallVector<Value>();
    };
    ifThen(less(add(item.firstRow, row), item.rows),
           [&] { ifElse(isWhole, {}, storeWhole, storePartial); });
  }
}

RowPair LatentEmitter::readFactors() {
  Value at = element(factors, getF32Type(), threadRow());
  return {load(getF32Type(), at), load(getF32Type(), offset(at, 32))};
}

SmallVector<Value> LatentEmitter::rightItem(const Item &item,
                                            ValueRange carried) {
  int64_t width = latent / 4;
  SmallVector<Value> state(width, f32(0.0f));
  llvm::append_range(state, carried);
  state =
      loop(i32(0), item.blocks, 1, state,
           [&](Value block, ValueRange values) -> SmallVector<Value> {
             RingState at = RingState::of(values.drop_front(width));
             Value phase = values[width + 2];
             waitParity(probabilityRing.full, phase);
             waitParity(kvRing.fullAt(*this, at.stage), at.phase);
             Value base = stageAddress(at.stage);
             ifThen(equal(block, sub(item.blocks, 1)),
                    [&] { clearBehind(item, base, 1, 2); });
             SmallVector<Value> sums =
                 rescaleRows(*this, values.take_front(width), readFactors());
             Value a = descriptor(probabilities), b = valueDescriptor(base, 1);
             fenceProducts();
             for (int64_t k = 0; k < 4; ++k) {
               ProductOptions options;
               options.transposedB = true;
               sums = product(sums, add(a, 2 * k),
                              add(b, 2 * swizzleAtomBytes / 16 * k), options);
             }
             commitProducts();
             sums = waitProducts(0, sums);
             arriveByWarps(kvRing.emptyAt(*this, at.stage));
             ifThen(equal(lane(), 0), [&] { arrive(probabilityRing.empty); });
             at.next(*this, stages).appendTo(sums);
             sums.push_back(bitXor(phase, 1));
             return sums;
           });
  Value phase = state[width + 2];
  waitParity(probabilityRing.full, phase);
  RowPair inverses = readFactors();
  arriveByWarps(probabilityRing.empty);
  storeRows(item, ArrayRef(state).take_front(width), inverses, 1);
  return {state[width], state[width + 1], bitXor(phase, 1)};
}

void LatentEmitter::consumeRight() {
  SmallVector<Value> begin;
  RingState::begin(*this).appendTo(begin);
  begin.push_back(i32(0));
  forEachItem(begin, [&](const Item &item, ValueRange state) {
    return rightItem(item, state);
  });
}

} // namespace mlir::dsv2::nvptx
