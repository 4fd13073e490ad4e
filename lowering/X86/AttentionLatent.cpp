//===- AttentionLatent.cpp - Attention over the latent cache --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionLatent.h"
#include "lowering/X86/AttentionBlock.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <tuple>

namespace mlir::dsv2::x86 {
namespace {

/// Where the partial results of one (token, group, split) lie.
struct PartialLayout {
  HeadGroups groups;
  int64_t latentPadded, splits;

  explicit PartialLayout(const LatentAttentionSpec &spec)
      : groups(spec.heads), latentPadded(roundUp(spec.cache.latent, 32)),
        splits(spec.splits()) {}

  int64_t maximaOffset() const { return groups.padded * latentPadded; }
  int64_t sumsOffset() const { return maximaOffset() + groups.padded; }
  int64_t size() const { return roundUp(sumsOffset() + groups.padded, 16); }

  Value at(RowEmitter &k, Value token, Value group, Value split) const {
    Value index = k.add(k.mul(token, groups.count), group);
    return k.mul(k.add(k.mul(index, splits), split), size());
  }
};

MemRefType outputType(MLIRContext *context, const LatentAttentionSpec &spec) {
  return rowBufferType(context, spec.format, spec.tokens * spec.heads,
                       spec.cache.latent);
}

SmallVector<MemRefType> inputTypes(MLIRContext *context,
                                   const LatentAttentionSpec &spec) {
  Builder b(context);
  const CachePlane &plane = spec.cache;
  int64_t width =
      spec.queryStride ? spec.queryStride : plane.latent + plane.rope;
  return {flatType(b.getBF16Type(), spec.tokens * spec.heads * width),
          plane.type(context), flatType(b.getI32Type(), spec.tokens),
          flatType(b.getI32Type(), spec.tokens),
          flatType(b.getI32Type(), spec.sequences * plane.pagesPerSequence)};
}

} // namespace

std::pair<Value, Value> unpermute(RowEmitter &k, Value low, Value high) {
  SmallVector<int64_t> order;
  for (int64_t i = 0; i < k.lanes(); i += 4)
    for (int64_t which = 0; which < 2; ++which)
      for (int64_t j = 0; j < 4; ++j)
        order.push_back(which * k.lanes() + i + j);
  ArrayRef<int64_t> all(order);
  return {k.shuffle(low, high, all.take_front(k.lanes())),
          k.shuffle(low, high, all.take_back(k.lanes()))};
}

void mergeSplit(RowEmitter &k, const SplitState &total, const SplitState &split,
                int64_t latentPadded) {
  Value before = k.load(total.memref, total.maximum);
  Value added = k.load(split.memref, split.maximum);
  Value maximum = k.fmax(before, added);
  Value keep = k.exp2Softmax(k.broadcast(k.fsub(before, maximum)));
  Value take = k.exp2Softmax(k.broadcast(k.fsub(added, maximum)));
  auto first = [&](Value v) -> Value {
    return vector::ExtractOp::create(k, v, ArrayRef<int64_t>{0});
  };
  Value sum = k.fma(k.load(split.memref, split.sum), first(take),
                    k.fmul(k.load(total.memref, total.sum), first(keep)));
  k.store(maximum, total.memref, total.maximum);
  k.store(sum, total.memref, total.sum);
  k.loop(k.index(0), k.index(latentPadded), k.lanes(), [&](Value i) {
    Value place = k.add(total.output, i);
    Value kept = k.fmul(k.loadF32(total.memref, place), keep);
    Value taken = k.loadF32(split.memref, k.add(split.output, i));
    k.storeVector(k.fma(taken, take, kept), total.memref, place);
  });
}

void storeLatentRow(RowEmitter &k, const LatentAttentionSpec &spec,
                    const SplitState &state, Value out, Value row) {
  int64_t latent = spec.cache.latent;
  bool bf16 = spec.format == RowFormat::bf16;
  Value inverse =
      k.broadcast(k.fdiv(k.f32(1.0f), k.load(state.memref, state.sum)));
  Value start = k.mul(row, rowElements(spec.format, latent));
  // bf16 rows include their padding, whose sums are zero.
  k.loopTail(bf16 ? roundUp(latent, 32) : latent, 2 * k.lanes(),
             [&](Value column, int64_t valid) {
               Value at = k.add(state.output, column);
               Value low = k.loadF32(state.memref, at);
               Value high = k.loadF32(state.memref, k.at(at, k.lanes()));
               if (spec.cache.format != CacheFormat::int8)
                 std::tie(low, high) = unpermute(k, low, high);
               Value to = k.add(start, column);
               k.storeRow(k.fmul(low, inverse), out, to,
                          k.validLanes(valid, 0));
               k.storeRow(k.fmul(high, inverse), out, k.at(to, k.lanes()),
                          k.validLanes(valid, 1));
             });
}

int64_t latentPartialElements(const LatentAttentionSpec &spec) {
  PartialLayout layout(spec);
  return spec.tokens * layout.groups.count * layout.splits * layout.size();
}

KernelInfo emitLatentAttention(ModuleOp module, StringRef name,
                               const InstructionSet &set,
                               const LatentAttentionSpec &spec) {
  SmallVector<MemRefType> bindings = inputTypes(module.getContext(), spec);
  bindings.push_back(outputType(module.getContext(), spec));
  RowEmitter k(module, name, bindings, set);
  auto blocks =
      LatentBlocks::create(k, spec, k.binding(0), k.binding(1), k.binding(4));
  const HeadGroups &groups = blocks->groups;
  PartialLayout layout(spec);

  Value token = k.div(k.workgroup(), groups.count);
  Value group = k.rem(k.workgroup(), groups.count);
  Value end = k.at(k.loadIndex(k.binding(2), token), 1);
  Value sequence = k.loadIndex(k.binding(3), token);
  blocks->loadQueries(token, group);

  auto makeState = [&]() -> HeadState {
    return {k.scratch({layout.size()}, k.getF32Type()), k.index(0),
            k.index(layout.maximaOffset()), k.index(layout.sumsOffset())};
  };
  auto ofHead = [&](const HeadState &state, Value head) -> SplitState {
    return {state.memref, blocks->outputOf(state, head),
            k.add(state.maxima, head), k.add(state.sums, head)};
  };
  HeadState total = makeState();
  blocks->attend(total, sequence, k.index(0), k.min(end, spec.splitTokens),
                 end);
  if (spec.splits() > 1) {
    HeadState further = makeState();
    k.loop(k.index(spec.splitTokens), end, spec.splitTokens, [&](Value first) {
      Value last = k.min(k.add(first, spec.splitTokens), end);
      blocks->attend(further, sequence, first, last, end);
      k.loop(k.index(0), k.index(groups.padded), 1, [&](Value head) {
        mergeSplit(k, ofHead(total, head), ofHead(further, head),
                   blocks->latentPadded);
      });
    });
  }
  Value firstHead = k.mul(group, groups.heads);
  Value count = k.min(k.sub(k.index(spec.heads), firstHead), groups.heads);
  Value firstRow = k.add(k.mul(token, spec.heads), firstHead);
  k.loop(k.index(0), count, 1, [&](Value head) {
    storeLatentRow(k, spec, ofHead(total, head), k.binding(5),
                   k.add(firstRow, head));
  });
  return k.finish({groups.count, 1, Dim::tokens});
}

KernelInfo emitLatentSplits(ModuleOp module, StringRef name,
                            const InstructionSet &set,
                            const LatentAttentionSpec &spec) {
  PartialLayout layout(spec);
  Type f32 = Float32Type::get(module.getContext());
  SmallVector<MemRefType> bindings = inputTypes(module.getContext(), spec);
  bindings.push_back(flatType(f32, latentPartialElements(spec)));
  RowEmitter k(module, name, bindings, set);
  auto blocks =
      LatentBlocks::create(k, spec, k.binding(0), k.binding(1), k.binding(4));

  Value index = k.div(k.workgroup(), layout.splits);
  Value split = k.rem(k.workgroup(), layout.splits);
  Value token = k.div(index, layout.groups.count);
  Value group = k.rem(index, layout.groups.count);
  Value end = k.at(k.loadIndex(k.binding(2), token), 1);
  Value first = k.mul(split, spec.splitTokens);
  k.ifThen(k.less(first, end), [&] {
    blocks->loadQueries(token, group);
    Value start = layout.at(k, token, group, split);
    HeadState state = {k.binding(5), start, k.at(start, layout.maximaOffset()),
                       k.at(start, layout.sumsOffset())};
    blocks->attend(state, k.loadIndex(k.binding(3), token), first,
                   k.min(k.add(first, spec.splitTokens), end), end);
  });
  return k.finish({layout.groups.count * layout.splits, 1, Dim::tokens});
}

KernelInfo emitLatentCombine(ModuleOp module, StringRef name,
                             const InstructionSet &set,
                             const LatentAttentionSpec &spec) {
  PartialLayout layout(spec);
  Builder b(module.getContext());
  RowEmitter k(module, name,
               {flatType(b.getF32Type(), latentPartialElements(spec)),
                flatType(b.getI32Type(), spec.tokens),
                outputType(module.getContext(), spec)},
               set);
  Value token = k.div(k.workgroup(), spec.heads);
  Value head = k.rem(k.workgroup(), spec.heads);
  Value group = k.div(head, layout.groups.heads);
  Value place = k.rem(head, layout.groups.heads);
  Value used =
      k.at(k.div(k.loadIndex(k.binding(1), token), spec.splitTokens), 1);

  Value scratch = k.scratch({layout.latentPadded + 16}, b.getF32Type());
  SplitState total = {scratch, k.index(0), k.index(layout.latentPadded),
                      k.index(layout.latentPadded + 1)};
  auto partial = [&](Value split) -> SplitState {
    Value start = layout.at(k, token, group, split);
    return {k.binding(0), k.add(start, k.mul(place, layout.latentPadded)),
            k.add(k.at(start, layout.maximaOffset()), place),
            k.add(k.at(start, layout.sumsOffset()), place)};
  };
  SplitState first = partial(k.index(0));
  k.loop(k.index(0), k.index(layout.latentPadded), k.lanes(), [&](Value i) {
    Value o = k.loadF32(first.memref, k.add(first.output, i));
    k.storeVector(o, scratch, i);
  });
  k.store(k.load(first.memref, first.maximum), scratch, total.maximum);
  k.store(k.load(first.memref, first.sum), scratch, total.sum);
  k.loop(k.index(1), used, 1, [&](Value split) {
    mergeSplit(k, total, partial(split), layout.latentPadded);
  });
  storeLatentRow(k, spec, total, k.binding(2), k.workgroup());
  return k.finish({spec.heads, 1, Dim::tokens});
}

} // namespace mlir::dsv2::x86
