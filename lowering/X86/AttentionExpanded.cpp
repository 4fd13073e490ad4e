//===- AttentionExpanded.cpp - Attention over expanded keys ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionExpanded.h"
#include "lowering/X86/AttentionFlash.h"

namespace mlir::dsv2::x86 {
/// What a workgroup may keep on its stack.
static constexpr int64_t scratchBytes = 639 * 1024;

int64_t ExpandedAttentionSpec::queryBlock() const {
  int64_t tokens = cache.blockTokens(), depth = paddedDepth(nope);
  int64_t latent = roundUp(cache.latent, 32), columns = roundUp(value, 32);
  int64_t fixed =
      (depth + columns) * tokens * 2 + FlashAttention::rowBlock * tokens * 6;
  int64_t row = columns * 4 + 8;
  if (cache.format == CacheFormat::int8) {
    fixed += (depth + columns) * (latent + 4 * (cache.groups() + 1)) +
             (depth + 4 * (cache.groups() + 2)) * tokens;
    row += depth + 8;
  } else {
    fixed += depth * latent * 2 + (cache.latent + cache.rope) * tokens * 2;
  }
  int64_t fitting = (scratchBytes - fixed) / row / FlashAttention::rowBlock *
                    FlashAttention::rowBlock;
  return std::clamp<int64_t>(
      std::min(fitting, roundUp(maxQueries, FlashAttention::rowBlock)),
      FlashAttention::rowBlock, 512);
}

KernelInfo emitExpandedAttention(ModuleOp module, StringRef name,
                                 const InstructionSet &set,
                                 const ExpandedAttentionSpec &spec) {
  Builder b(module.getContext());
  const CachePlane &plane = spec.cache;
  int64_t latent = roundUp(plane.latent, 32);
  RowEmitter k(
      module, name,
      {flatType(b.getBF16Type(), spec.tokens * spec.queryNope.tokenStride),
       flatType(b.getBF16Type(), spec.tokens * spec.queryRope.tokenStride),
       plane.type(module.getContext()),
       flatType(b.getBF16Type(), spec.heads * latent * paddedDepth(spec.nope)),
       flatType(b.getBF16Type(), spec.heads * roundUp(spec.value, 32) * latent),
       flatType(b.getI32Type(), spec.sequences + 1),
       flatType(b.getI32Type(), spec.sequences),
       flatType(b.getI32Type(), spec.sequences * plane.pagesPerSequence),
       rowBufferType(module.getContext(), spec.format, spec.tokens,
                     spec.heads * spec.value)},
      set);
  int64_t rows = spec.queryBlock();
  int64_t blocks = (spec.maxQueries + rows - 1) / rows;
  ExpandedTile tile(k, spec, k.binding(2), k.binding(3), k.binding(4),
                    k.binding(7));
  FlashAttention attention(k, spec, tile, rows);

  Value sequence = k.div(k.workgroup(), spec.heads * blocks);
  Value rest = k.rem(k.workgroup(), spec.heads * blocks);
  Value skipped = k.mul(k.div(rest, spec.heads), rows);
  Value offset = k.loadIndex(k.binding(5), sequence);
  Value count = k.sub(k.loadIndex(k.binding(5), k.at(sequence, 1)), offset);
  k.ifThen(k.less(skipped, count), [&] {
    Value context = k.loadIndex(k.binding(6), sequence);
    Queries queries;
    queries.first = k.add(offset, skipped);
    queries.count = k.min(k.sub(count, skipped), rows);
    queries.position = k.add(k.sub(context, count), skipped);
    queries.head = k.rem(rest, spec.heads);
    tile.loadHead(queries.head);
    attention.start(queries);
    Value end = k.add(queries.position, queries.count);
    k.loop(k.index(0), end, tile.tokens, [&](Value position) {
      tile.expand(sequence, position, k.min(k.sub(end, position), tile.tokens));
      attention.update(queries, position);
    });
    attention.store(queries, k.binding(8));
  });
  return k.finish({spec.heads * blocks, 1, Dim::sequences});
}

} // namespace mlir::dsv2::x86
