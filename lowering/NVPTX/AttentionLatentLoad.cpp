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
  // In 32 bits, which takes fewer registers from block to block.
  Value position = add(item.begin, mul(block, attentionBlockTokens));
  Value index = add(mul(item.sequence, spec.cache.pagesPerSequence),
                    div(position, spec.cache.pageSize));
  Value page =
      load(getI32Type(), element(binding(pageTable), getI32Type(), index));
  return add(mul(page, spec.cache.pageSize),
             rem(position, spec.cache.pageSize));
}

void LatentEmitter::produce() {
  SmallVector<Value> begin;
  RingState::begin(*this).appendTo(begin);
  begin.push_back(i32(0));
  forEachItem(begin,
              [&](const Item &item, ValueRange state) -> SmallVector<Value> {
                Value queryPhase = state[2];
                RingState at = RingState::of(state);
                SmallVector<Value> next = copiesRows()
                                              ? copyItem(item, queryPhase, at)
                                              : widenItem(item, queryPhase, at);
                next.push_back(bitXor(queryPhase, 1));
                return next;
              });
}

SmallVector<Value> LatentEmitter::copyItem(const Item &item, Value queryPhase,
                                           const RingState &begin) {
  SmallVector<Value> state;
  begin.appendTo(state);
  return loop(i32(0), item.blocks, 1, state,
              [&](Value block, ValueRange carried) -> SmallVector<Value> {
                RingState at = RingState::of(carried);
                // The page is read while the stage is still in use.
                copyRows(cacheRowOf(item, block), at);
                // The first rows, whose stage may be free before, come first.
                ifThen(equal(block, 0), [&] { loadQueries(item, queryPhase); });
                SmallVector<Value> values;
                at.next(*this, stages).appendTo(values);
                return values;
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

// A warp has 16 rows of a block, four at a time. A lane has 16 bytes of each
// fourth of the latent of one of these. Eight consecutive lanes have half a
// fourth of two neighboring rows: swizzling then spreads what they store at
// once over all banks. Registers hold eight rows ahead, 10 KiB of a block's 41:
// about what is on its way from L2 at the rate of memory.
Value LatentEmitter::rowOfThread() {
  Value self = threadHere();
  return bitOr(
      shiftLeft(shiftRight(self, 5), 4),
      bitOr(bitAnd(shiftRight(self, 2), 1), bitAnd(shiftRight(self, 3), 2)));
}
Value LatentEmitter::partOfThread() {
  Value self = threadHere();
  return bitOr(bitAnd(self, 3), bitAnd(shiftRight(self, 1), 4));
}

void LatentEmitter::loadFourth(Value first, int64_t fourth,
                               SmallVectorImpl<Value> &quants) {
  CacheRow layout = spec.cache.row();
  Value row = offset(binding(cacheRows), mul(toI64(first), layout.bytes()));
  row = offset(row, fourth / 4 * 4 * layout.bytes());
  Value part = offset(row, shiftLeft(partOfThread(), 4));
  quants.push_back(
      load(vectorOf(4, getI32Type()), offset(part, 128 * (fourth % 4))));
  quants.push_back(load(getF32Type(), offset(row, latent + 4 * (fourth % 4))));
}

SmallVector<Value> LatentEmitter::widenItem(const Item &item, Value queryPhase,
                                            const RingState &begin) {
  ifThen(equal(thread(), 0), [&] {
    prefetchRows(item, i32(0));
    prefetchRows(item, i32(1));
  });
  // Carried: stage and phase, the thread's first row of a block, and what it
  // has of that.
  SmallVector<Value> state;
  begin.appendTo(state);
  Value first = add(cacheRowOf(item, i32(0)), rowOfThread());
  state.push_back(first);
  for (int64_t fourth = 0; fourth < 8; ++fourth)
    loadFourth(first, fourth, state);
  // While the previous item may still need its queries, these are on their way.
  ifThen(equal(thread(), 0), [&] { loadQueries(item, queryPhase); });
  state = loop(i32(0), item.blocks, 1, state,
               [&](Value block, ValueRange carried) -> SmallVector<Value> {
                 RingState at = RingState::of(carried);
                 // L2 is two blocks ahead.
                 ifThen(equal(thread(), 0),
                        [&] { prefetchRows(item, add(block, 2)); });
                 // The page is read while the stage is still in use. The last
                 // block is followed by itself.
                 Value next = add(block, 1);
                 next = select(less(next, item.blocks), next, block);
                 Value following = add(cacheRowOf(item, next), rowOfThread());
                 SmallVector<Value> values;
                 at.next(*this, stages).appendTo(values);
                 llvm::append_range(
                     values, widenRows(following, carried.drop_front(2), at));
                 return values;
               });
  return {state[0], state[1]};
}

SmallVector<Value> LatentEmitter::widenRows(Value following, ValueRange quants,
                                            const RingState &at) {
  waitParity(kvRing.emptyAt(*this, at.stage), bitXor(at.phase, 1));
  Value base = stageAddress(at.stage), full = kvRing.fullAt(*this, at.stage);
  // Rotated keys are copied as they are. The thread's row is the block's first.
  ifThen(equal(thread(), 0), [&] {
    arriveExpecting(full, tileBytes);
    loadTile(add(base, (tiles - 1) * tileBytes), tensorMap(2),
             {i32(spec.cache.row().keyOffset() / 2), quants[0]}, full);
  });
  // Where copies would put the thread's bytes of its row: a half of a fourth is
  // a row of a tile.
  Value row = rowOfThread(), part = partOfThread();
  Value to = add(add(base, mul(row, swizzleRowBytes)),
                 mul(shiftRight(part, 2), tileBytes));
  to = add(to,
           bitXor(shiftLeft(bitAnd(part, 3), 5), shiftLeft(bitAnd(row, 7), 4)));
  SmallVector<Value> state(quants);
  state.push_back(to);
  state = rolledLoop(
      2, 1, state, [&](Value round, ValueRange carried) -> SmallVector<Value> {
        // Four rows on, bit 2 of the row flips what it swizzles.
        Value to[2] = {carried.back(),
                       bitXor(add(carried.back(), 4 * swizzleRowBytes), 64)};
        Value row = select(equal(round, 0), add(carried[0], 8), following);
        SmallVector<Value> next = {row};
        for (int64_t fourth = 0; fourth < 8; ++fourth) {
          Value words = carried[1 + 2 * fourth],
                scale = carried[2 + 2 * fourth];
          for (int64_t piece = 0; piece < 2; ++piece)
            store(widenEight(*this, extract(words, 2 * piece),
                             extract(words, 2 * piece + 1), scale),
                  sharedPointerAt(add(bitXor(to[fourth / 4], 16 * piece),
                                      fourth % 4 * 2 * tileBytes)));
          // A load takes the registers of what has just been widened. ptxas
          // would put all loads behind the last store, but moves none across
          // this.
          loadFourth(row, fourth, next);
          warpSync();
        }
        next.push_back(add(to[0], 8 * swizzleRowBytes));
        return next;
      });
  fenceAsync();
  arrive(full);
  state.pop_back();
  return state;
}

} // namespace mlir::dsv2::nvptx
