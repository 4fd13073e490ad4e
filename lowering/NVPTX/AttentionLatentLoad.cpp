//===- AttentionLatentLoad.cpp - Queries and rows of the cache ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A cache in bf16 is copied as it is. Latents in fp8 go through the registers
// of the first warpgroup, which multiplies them with their scales, rounds them
// to bf16 and lays them out as the copies would have.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatentEmitter.h"
#include "lowering/NVPTX/CacheGather.h"

namespace mlir::dsv2::nvptx {

void LatentEmitter::loadQueries(const Item &item, Value phase) {
  waitParity(queryRing.empty, bitXor(phase, 1));
  arriveExpecting(queryRing.full, blockBytes());
  Value row = add(mul(item.firstToken, spec.heads), item.firstRow);
  loop(i32(0), i32(tiles - 1), 1, [&](Value tile) {
    loadTile(add(query, mul(tile, tileBytes)), tensorMap(0),
             {mul(tile, 64), row}, queryRing.full, CacheHint::evictFirst);
  });
  loadTile(add(query, (tiles - 1) * tileBytes), tensorMap(1), {i32(0), row},
           queryRing.full, CacheHint::evictFirst);
}

Value LatentEmitter::cacheRowOf(const Item &item, Value block) {
  Value pages = element(binding(pageTable), getI32Type(),
                        mul(toI64(item.sequence), spec.cache.pagesPerSequence));
  Value position = add(item.begin, mul(block, attentionBlockTokens));
  Value page = load(getI32Type(), element(pages, getI32Type(),
                                          div(position, spec.cache.pageSize)));
  return add(mul(page, spec.cache.pageSize),
             rem(position, spec.cache.pageSize));
}

void LatentEmitter::produce() {
  SmallVector<Value> begin;
  RingState::begin(*this).appendTo(begin);
  begin.push_back(i32(0));
  forEachItem(
      begin, [&](const Item &item, ValueRange state) -> SmallVector<Value> {
        Value queryPhase = state[2];
        if (copiesRows()) {
          loadQueries(item, queryPhase);
        } else {
          ifThen(equal(thread(), 0), [&] {
            loadQueries(item, queryPhase);
            prefetchRows(item, i32(0));
            prefetchRows(item, i32(1));
          });
        }
        SmallVector<Value> next =
            loop(i32(0), item.blocks, 1, state.take_front(2),
                 [&](Value block, ValueRange carried) -> SmallVector<Value> {
                   RingState at = RingState::of(carried);
                   // The page is read while the stage is still in use.
                   Value row = cacheRowOf(item, block);
                   if (copiesRows())
                     copyRows(row, at);
                   else
                     widenRows(item, block, row, at);
                   SmallVector<Value> values;
                   at.next(*this, stages).appendTo(values);
                   return values;
                 });
        next.push_back(bitXor(queryPhase, 1));
        return next;
      });
}

void LatentEmitter::copyRows(Value row, const RingState &at) {
  waitParity(kvRing.emptyAt(*this, at.stage), bitXor(at.phase, 1));
  Value full = kvRing.fullAt(*this, at.stage);
  Value to = stageAddress(at.stage);
  arriveExpecting(full, blockBytes());
  loop(i32(0), i32(tiles), 1, [&](Value tile) {
    loadTile(add(to, mul(tile, tileBytes)), tensorMap(2), {mul(tile, 64), row},
             full);
  });
}

void LatentEmitter::prefetchRows(const Item &item, Value block) {
  ifThen(less(block, item.blocks), [&] {
    int64_t rowBytes = spec.cache.row().bytes();
    Value from = offset(binding(cacheRows),
                        mul(toI64(cacheRowOf(item, block)), rowBytes));
    prefetchBytes(from, i32(attentionBlockTokens * rowBytes));
  });
}

Value LatentEmitter::threadHere() {
  return ptx("mov.u32 $0, %tid.x;", "=r", getI32Type(), {})[0];
}

void LatentEmitter::widenRows(const Item &item, Value block, Value firstRow,
                              const RingState &at) {
  // L2 is two blocks ahead. Registers hold 16 bytes of a thread: the products
  // of the other warpgroups leave no more.
  ifThen(equal(thread(), 0), [&] { prefetchRows(item, add(block, 2)); });
  waitParity(kvRing.emptyAt(*this, at.stage), bitXor(at.phase, 1));
  CacheRow layout = spec.cache.row();
  Value base = stageAddress(at.stage), full = kvRing.fullAt(*this, at.stage);
  // Rotated keys are copied as they are.
  ifThen(equal(thread(), 0), [&] {
    arriveExpecting(full, tileBytes);
    loadTile(add(base, (tiles - 1) * tileBytes), tensorMap(2),
             {i32(layout.keyOffset() / 2), firstRow}, full);
  });
  Value rows = offset(binding(cacheRows), mul(toI64(firstRow), layout.bytes()));
  rolledLoop(16, 1, {}, [&](Value round, ValueRange) {
    // Eight lanes have a row: 16 bytes of a fourth of its latent.
    Value self = threadHere();
    Value part = bitAnd(self, 7), quarter = bitAnd(round, 3);
    Value row = add(shiftLeft(shiftRight(self, 5), 4),
                    add(bitAnd(round, 12), bitAnd(shiftRight(self, 3), 3)));
    Value from = offset(rows, mul(row, layout.bytes()));
    Value quants =
        load(vectorOf(4, getI32Type()),
             offset(from, add(shiftLeft(quarter, 7), shiftLeft(part, 4))));
    Value scale =
        load(getF32Type(), offset(from, add(shiftLeft(quarter, 2), latent)));

    // Where copies would put a byte of a row of a tile.
    Value tile = add(shiftLeft(quarter, 1), shiftRight(part, 2));
    Value to = add(add(base, mul(row, swizzleRowBytes)), mul(tile, tileBytes));
    Value column =
        bitXor(shiftLeft(bitAnd(part, 3), 5), shiftLeft(bitAnd(row, 7), 4));
    for (int64_t piece = 0; piece < 2; ++piece)
      store(widenEight(*this, extract(quants, 2 * piece),
                       extract(quants, 2 * piece + 1), scale),
            sharedPointerAt(add(to, bitXor(column, 16 * piece))));
    return SmallVector<Value>();
  });
  fenceAsync();
  arrive(full);
}

} // namespace mlir::dsv2::nvptx
