//===- AttentionExpanded.cpp - Attention over expanded keys ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionExpandedEmitter.h"

namespace mlir::dsv2::nvptx {

void ExpandedEmitter::emit() {
  query = sharedAddress(shared(keyTiles * tileBytes, 1024));
  key = sharedAddress(shared(stages * keyTiles * tileBytes, 1024));
  value = sharedAddress(shared(stages * valueTiles * tileBytes, 1024));
  reserveWork();
  queryRing = Ring(*this, 1);
  keyRing = Ring(*this, stages);
  valueRing = Ring(*this, stages);
  ifThen(equal(warp(), 0), [&] {
    countWork([&](Value sequence) {
      Value first = number(queryOffsets, sequence);
      Value tokens = sub(number(queryOffsets, add(sequence, 1)), first);
      Value count = mul(ceilDiv(tokens, rows), spec.heads);
      if (!spec.chunkStep)
        return count;
      Value start = startOf(sequence);
      Value behind = add(start, number(contextLengths, sequence));
      Value isHere = both(less(start, spec.chunkStep), less(i32(0), behind));
      return select(isHere, count, i32(0));
    });
    ifThen(elect(), [&] {
      queryRing.init(*this, 1, 8);
      keyRing.init(*this, 1, 8);
      valueRing.init(*this, 1, 8);
      fenceBarrierInit();
      for (unsigned map = 0; map < 5; ++map)
        prefetchMap(tensorMap(map));
    });
  });
  barrier();
  total = totalItems();
  ifElse(
      equal(warpgroup(), 0), {},
      [&] {
        lowerRegisters(40);
        ifThen(equal(warp(), 0), [&] { ifThen(elect(), [&] { produce(); }); });
        return SmallVector<Value>();
      },
      [&] {
        raiseRegisters(232);
        consume();
        return SmallVector<Value>();
      });
}

ExpandedEmitter::Item ExpandedEmitter::itemAt(Value index) {
  auto [sequence, local] = sequenceOf(index);
  Item item;
  item.sequence = sequence;
  item.firstRow = number(queryOffsets, sequence);
  item.tokens = sub(number(queryOffsets, add(sequence, 1)), item.firstRow);
  item.context = number(contextLengths, sequence);
  item.start = startOf(sequence);
  static_cast<ExpandedItem<Value> &>(item) =
      expandedItemOf(*this, local, item.tokens, item.context, spec.heads);
  item.begin = i32(0);
  item.end = item.blocks;
  if (spec.chunkStep) {
    ChunkBlocks<Value> here =
        chunkBlocksOf(*this, item.start, item.blocks, spec.chunkStep);
    item.begin = here.begin;
    item.end = here.end;
  }
  return item;
}

Value ExpandedEmitter::startOf(Value sequence) {
  Value start = number(contextOffsets, sequence);
  return spec.chunkStep ? sub(start, firstContextRow()) : start;
}

void ExpandedEmitter::forEachItem(
    ValueRange state,
    function_ref<SmallVector<Value>(const Item &, ValueRange)> body) {
  Value blocks = gridBlocks();
  loop(i32(0), total, blocks, state,
       [&](Value base, ValueRange carried) -> SmallVector<Value> {
         Value index = itemOfRound(*this, base, workgroup(), blocks);
         auto skip = [&] { return SmallVector<Value>(carried); };
         return ifElse(
             less(index, total), carried.getTypes(),
             [&] {
               Item item = itemAt(index);
               if (!spec.chunkStep)
                 return body(item, carried);
               return ifElse(
                   less(item.begin, item.end), carried.getTypes(),
                   [&] { return body(item, carried); }, skip);
             },
             skip);
       });
}

// ---- The producer ----------------------------------------------------------

void ExpandedEmitter::produceKeys(const Item &item, Value block,
                                  const RingState &at) {
  Value first = add(item.start, mul(block, rows));
  waitParity(keyRing.emptyAt(*this, at.stage), bitXor(at.phase, 1));
  Value full = keyRing.fullAt(*this, at.stage);
  Value to = add(key, mul(at.stage, keyTiles * tileBytes));
  arriveExpecting(full, keyTiles * tileBytes);
  for (int64_t tile = 0; tile < 2; ++tile)
    loadTile(add(to, tile * tileBytes), tensorMap(2),
             {i32(64 * tile), item.head, first}, full);
  loadTile(add(to, 2 * tileBytes), tensorMap(4), {i32(0), first}, full);
}

void ExpandedEmitter::produceValues(const Item &item, Value block,
                                    const RingState &at) {
  Value first = add(item.start, mul(block, rows));
  waitParity(valueRing.emptyAt(*this, at.stage), bitXor(at.phase, 1));
  Value full = valueRing.fullAt(*this, at.stage);
  Value to = add(value, mul(at.stage, valueTiles * tileBytes));
  arriveExpecting(full, valueTiles * tileBytes);
  for (int64_t tile = 0; tile < valueTiles; ++tile)
    loadTile(add(to, tile * tileBytes), tensorMap(3),
             {i32(64 * tile), item.head, first}, full);
}

SmallVector<Value> ExpandedEmitter::produceItem(const Item &item,
                                                ValueRange state) {
  Value phase = state[0];
  waitParity(queryRing.empty, bitXor(phase, 1));
  arriveExpecting(queryRing.full, keyTiles * tileBytes);
  Value token = add(item.firstRow, item.firstToken);
  for (int64_t tile = 0; tile < keyTiles; ++tile) {
    bool rotated = tile == 2;
    loadTile(add(query, tile * tileBytes), tensorMap(rotated ? 1 : 0),
             {i32(rotated ? 0 : 64 * tile), item.head, token}, queryRing.full,
             CacheHint::evictFirst);
  }
  SmallVector<Value> next = {bitXor(phase, 1)};
  llvm::append_range(
      next, loop(item.begin, item.end, 1, state.drop_front(1),
                 [&](Value block, ValueRange carried) -> SmallVector<Value> {
                   // Keys and values have as many stages, so one state serves
                   // both rings.
                   RingState at = RingState::of(carried);
                   produceKeys(item, block, at);
                   produceValues(item, block, at);
                   SmallVector<Value> values;
                   at.next(*this, stages).appendTo(values);
                   return values;
                 }));
  return next;
}

void ExpandedEmitter::produce() {
  SmallVector<Value> begin = {i32(0)};
  RingState::begin(*this).appendTo(begin);
  forEachItem(begin, [&](const Item &item, ValueRange state) {
    return produceItem(item, state);
  });
}

LogicalResult checkExpandedAttention(const ExpandedAttentionSpec &spec,
                                     std::string &error) {
  if (spec.nope != 128 || spec.value != 128 || spec.rope != 64)
    error = "expected heads of 128 + 64 and values of 128, found " +
            std::to_string(spec.nope) + " + " + std::to_string(spec.rope) +
            " and " + std::to_string(spec.value);
  else if (spec.chunkStep % ExpandedAttentionSpec::blockTokens)
    error = "expected chunks of a multiple of 128 rows, found " +
            std::to_string(spec.chunkStep);
  else if (spec.sequences > 512)
    error = "expected at most 512 sequences in a step, found " +
            std::to_string(spec.sequences);
  return success(error.empty());
}

KernelInfo emitExpandedAttention(ModuleOp module, StringRef name,
                                 const ExpandedAttentionSpec &spec) {
  auto headMap = [&](unsigned binding, int64_t width, int64_t count) {
    TensorMap map;
    map.binding = binding;
    map.sizes = {width, spec.heads, count};
    map.strides = {2 * width, 2 * width * spec.heads};
    map.box = {64, 1, ExpandedEmitter::rows};
    return map;
  };
  TensorMap rotatedMap;
  rotatedMap.binding = ExpandedEmitter::rotatedKeys;
  rotatedMap.sizes = {spec.rope, spec.rows()};
  rotatedMap.strides = {2 * spec.rope};
  rotatedMap.box = {64, ExpandedEmitter::rows};
  SmallVector<TensorMap> maps = {
      headMap(ExpandedEmitter::nopeQueries, spec.nope, spec.tokens),
      headMap(ExpandedEmitter::ropeQueries, spec.rope, spec.tokens),
      headMap(ExpandedEmitter::keys, spec.nope, spec.rows()),
      headMap(ExpandedEmitter::values, spec.value, spec.rows()), rotatedMap};
  Launch launch;
  launch.threads = 384;
  launch.minBlocksPerSM = 1;
  launch.workgroups = {
      .count = spec.heads, .tile = 1, .dim = Dim::tokens, .blocksPerSM = 1};
  ExpandedEmitter emitter(module, name, spec, launch, maps);
  emitter.emit();
  return emitter.finish();
}

} // namespace mlir::dsv2::nvptx
