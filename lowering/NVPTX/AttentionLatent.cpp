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
                        spec.heads, spec.contextSplits());
    });
    ifThen(elect(), [&] {
      kvRing.init(*this, copiesRows() ? 1 : 129, 8);
      queryRing.init(*this, 1, 4);
      probabilityRing.init(*this, 128, 4);
      fenceBarrierInit();
      for (unsigned map = 0; map < 3; ++map)
        prefetchMap(tensorMap(map));
    });
  });
  barrier();
  total = totalItems();
  // Of 3 x 168 registers, the left needs most: it has sums and scores. Those
  // that widen rows have some of these on their way.
  Value group = warpgroup();
  ifElse(
      equal(group, 0), {},
      [&] {
        lowerRegisters(copiesRows() ? 24 : 88);
        if (copiesRows())
          ifThen(equal(warp(), 0),
                 [&] { ifThen(elect(), [&] { produce(); }); });
        else
          produce();
        return SmallVector<Value>();
      },
      [&] {
        ifElse(
            equal(group, 1), {},
            [&] {
              raiseRegisters(240);
              consumeLeft();
              return SmallVector<Value>();
            },
            [&] {
              raiseRegisters(copiesRows() ? 240 : 176);
              consumeRight();
              return SmallVector<Value>();
            });
        return SmallVector<Value>();
      });
}

LatentEmitter::Item LatentEmitter::itemAt(Value index) {
  auto [sequence, local] = sequenceOf(index);
  Item item;
  item.sequence = sequence;
  item.firstToken = number(queryOffsets, sequence);
  item.tokens = sub(number(queryOffsets, add(sequence, 1)), item.firstToken);
  item.context = number(contextLengths, sequence);
  static_cast<AttentionItem<Value> &>(item) =
      itemOf(*this, local, item.tokens, item.context, spec.heads,
             spec.contextSplits());
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

LogicalResult checkLatentAttention(const LatentAttentionSpec &spec,
                                   std::string &error) {
  const CachePlane &plane = spec.cache;
  if (plane.latent % 128 || plane.latent > 512 || plane.rope != 64)
    error = "expected a latent of 128, 256, 384 or 512 and a rotated key of "
            "64, found " +
            std::to_string(plane.latent) + " + " + std::to_string(plane.rope);
  else if (plane.format == CacheFormat::f32 ||
           (plane.format == CacheFormat::fp8 && plane.latent != 512))
    error = "expected a cache in bf16, or in fp8 with a latent of 512";
  else if (plane.pageSize % attentionBlockTokens)
    error = "expected pages of a multiple of 64 tokens, found " +
            std::to_string(plane.pageSize);
  else if (spec.sequences > 512)
    error = "expected at most 512 sequences in a step, found " +
            std::to_string(spec.sequences);
  else if (spec.splitTokens % attentionBlockTokens)
    error = "expected splits of a multiple of 64 tokens, found " +
            std::to_string(spec.splitTokens);
  else if (spec.maxSplits < 1)
    error = "expected at least one split of a context";
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
      mapOf(LatentEmitter::cacheRows, plane.row().bytes() / 2, plane.rows)};
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
