//===- AttentionLatent.cpp - Attention over the latent cache --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatentEmitter.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

void LatentEmitter::emit() {
  query = sharedAddress(shared(blockBytes(), 1024));
  kv = sharedAddress(shared(stages * blockBytes(), 1024));
  probabilities = sharedAddress(shared(tileBytes, 1024));
  factors = shared(64 * 4);
  reserveWork();
  kvRing = Ring(*this, stages);
  queryRing = Ring(*this, 1);
  probabilityRing = Ring(*this, 1);

  ifThen(equal(warp(), 0), [&] {
    countWork([&](Value sequence) {
      Value first = number(queryOffsets, sequence);
      Value tokens = sub(number(queryOffsets, add(sequence, 1)), first);
      return countItems(*this, tokens, number(contextLengths, sequence),
                        spec.heads, spec.splitTokens);
    });
    ifThen(elect(), [&] {
      kvRing.init(*this, 1, 8);
      queryRing.init(*this, 1, 4);
      probabilityRing.init(*this, 128, 4);
      fenceBarrierInit();
      for (unsigned map = 0; map < 3; ++map)
        prefetchMap(tensorMap(map));
    });
  });
  barrier();
  total = totalItems();
  Value group = warpgroup();
  ifElse(
      equal(group, 0), {},
      [&] {
        lowerRegisters(24);
        ifThen(equal(warp(), 0), [&] { ifThen(elect(), [&] { produce(); }); });
        return SmallVector<Value>();
      },
      [&] {
        raiseRegisters(240);
        ifElse(
            equal(group, 1), {},
            [&] {
              consumeLeft();
              return SmallVector<Value>();
            },
            [&] {
              consumeRight();
              return SmallVector<Value>();
            });
        return SmallVector<Value>();
      });
}

// ---- What to do ------------------------------------------------------------

LatentEmitter::Item LatentEmitter::itemAt(Value index) {
  auto [sequence, local] = sequenceOf(index);
  Item item;
  item.sequence = sequence;
  item.firstToken = number(queryOffsets, sequence);
  item.tokens = sub(number(queryOffsets, add(sequence, 1)), item.firstToken);
  item.context = number(contextLengths, sequence);
  static_cast<AttentionItem<Value> &>(item) = itemOf(
      *this, local, item.tokens, item.context, spec.heads, spec.splitTokens);
  return item;
}

void LatentEmitter::forEachItem(
    ValueRange state,
    function_ref<SmallVector<Value>(const Item &, ValueRange)> body) {
  loop(workgroup(), total, gridBlocks(), state,
       [&](Value index, ValueRange carried) -> SmallVector<Value> {
         Item item = itemAt(index);
         return ifElse(
             less(i32(0), item.blocks), carried.getTypes(),
             [&] { return body(item, carried); },
             [&] { return SmallVector<Value>(carried); });
       });
}

// ---- The producer ----------------------------------------------------------

void LatentEmitter::produce() {
  SmallVector<Value> begin;
  RingState::begin(*this).appendTo(begin);
  begin.push_back(i32(0));
  forEachItem(
      begin, [&](const Item &item, ValueRange state) -> SmallVector<Value> {
        Value queryPhase = state[2];
        waitParity(queryRing.empty, bitXor(queryPhase, 1));
        arriveExpecting(queryRing.full, blockBytes());
        Value row = add(mul(item.firstToken, spec.heads), item.firstRow);
        loop(i32(0), i32(tiles - 1), 1, [&](Value tile) {
          loadTile(add(query, mul(tile, tileBytes)), tensorMap(0),
                   {mul(tile, 64), row}, queryRing.full, CacheHint::evictFirst);
        });
        loadTile(add(query, (tiles - 1) * tileBytes), tensorMap(1),
                 {i32(0), row}, queryRing.full, CacheHint::evictFirst);

        Value pages =
            element(binding(pageTable), getI32Type(),
                    mul(toI64(item.sequence), spec.cache.pagesPerSequence));
        SmallVector<Value> next = loop(
            i32(0), item.blocks, 1, state.take_front(2),
            [&](Value block, ValueRange carried) -> SmallVector<Value> {
              RingState at = RingState::of(carried);
              // The page is read while the stage is still in use.
              Value position =
                  add(item.begin, mul(block, attentionBlockTokens));
              Value page = load(getI32Type(),
                                element(pages, getI32Type(),
                                        div(position, spec.cache.pageSize)));
              Value row = add(mul(page, spec.cache.pageSize),
                              rem(position, spec.cache.pageSize));
              waitParity(kvRing.emptyAt(*this, at.stage), bitXor(at.phase, 1));
              Value full = kvRing.fullAt(*this, at.stage);
              Value to = stageAddress(at.stage);
              arriveExpecting(full, blockBytes());
              loop(i32(0), i32(tiles), 1, [&](Value tile) {
                loadTile(add(to, mul(tile, tileBytes)), tensorMap(2),
                         {mul(tile, 64), row}, full);
              });
              SmallVector<Value> values;
              at.next(*this, stages).appendTo(values);
              return values;
            });
        next.push_back(bitXor(queryPhase, 1));
        return next;
      });
}

LogicalResult checkLatentAttention(const LatentAttentionSpec &spec,
                                   std::string &error) {
  const CachePlane &plane = spec.cache;
  if (plane.latent % 128 || plane.latent > 512 || plane.rope != 64)
    error = "expected a latent of 128, 256, 384 or 512 and a rotated key of "
            "64, found " +
            std::to_string(plane.latent) + " + " + std::to_string(plane.rope);
  else if (plane.pageSize % attentionBlockTokens)
    error = "expected pages of a multiple of 64 tokens, found " +
            std::to_string(plane.pageSize);
  else if (spec.sequences > 512)
    error = "expected at most 512 sequences in a step, found " +
            std::to_string(spec.sequences);
  else if (spec.splitTokens % attentionBlockTokens)
    error = "expected splits of a multiple of 64 tokens, found " +
            std::to_string(spec.splitTokens);
  return success(error.empty());
}

KernelInfo emitLatentAttention(ModuleOp module, StringRef name,
                               const LatentAttentionSpec &spec) {
  auto mapOf = [](unsigned binding, int64_t width, int64_t rows) {
    TensorMap map;
    map.binding = binding;
    map.sizes = {width, rows};
    map.strides = {2 * width};
    map.box = {64, 64};
    return map;
  };
  const CachePlane &plane = spec.cache;
  int64_t rows = spec.tokens * spec.heads;
  SmallVector<TensorMap> maps = {
      mapOf(LatentEmitter::latentQueries, plane.latent, rows),
      mapOf(LatentEmitter::rotatedQueries, plane.rope, rows),
      mapOf(LatentEmitter::cacheRows, plane.width(), plane.rows)};
  Launch launch;
  launch.threads = 384;
  launch.minBlocksPerSM = 1;
  // No more items than tiles of every token by splits.
  int64_t tiles = llvm::divideCeil(spec.heads, attentionTileRows);
  launch.workgroups = {.count = tiles * spec.splits(),
                       .tile = 1,
                       .dim = Dim::tokens,
                       .blocksPerSM = 1};
  LatentEmitter emitter(module, name, spec, launch, maps);
  emitter.emit();
  return emitter.finish();
}

} // namespace mlir::dsv2::nvptx
