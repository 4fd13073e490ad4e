//===- CacheGather.cpp - Rows of the context, side by side ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/CacheGather.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {
namespace {

constexpr int64_t warps = 8;

class GatherEmitter : public KernelBuilder {
public:
  enum Binding : unsigned {
    cache,
    contextOffsets,
    pageTable,
    latents,
    rotated
  };

  GatherEmitter(ModuleOp module, StringRef name, const CacheGatherSpec &spec)
      : KernelBuilder(module, name, 5, launch()), spec(spec) {}

  KernelInfo emit();

private:
  static Launch launch() {
    Launch launch;
    launch.threads = 32 * warps;
    launch.workgroups = {.count = 1, .tile = warps, .dim = Dim::context};
    return launch;
  }
  Value number(unsigned array, Value index) {
    return load(getI32Type(), element(binding(array), getI32Type(), index));
  }
  /// The row of the cache that holds a row of the context.
  Value cacheRowOf(Value contextRow);
  /// 16 bytes a lane.
  void copy(Value from, Value to, int64_t bytes);
  void widen(Value from, Value to);

  const CacheGatherSpec &spec;
};

Value GatherEmitter::cacheRowOf(Value contextRow) {
  // The last sequence that does not begin after the row.
  Value sequences = dim(Dim::sequences), sequence = i32(0);
  for (int64_t step = llvm::PowerOf2Ceil(spec.sequences) / 2; step > 0;
       step /= 2) {
    Value next = add(sequence, step);
    Value begin = number(contextOffsets, min(next, sequences));
    Value isBefore =
        both(less(next, sequences), less(begin, add(contextRow, 1)));
    sequence = select(isBefore, next, sequence);
  }
  Value position = sub(contextRow, number(contextOffsets, sequence));
  Value pages = element(binding(pageTable), getI32Type(),
                        mul(toI64(sequence), spec.cache.pagesPerSequence));
  Value page = load(getI32Type(), element(pages, getI32Type(),
                                          div(position, spec.cache.pageSize)));
  return add(mul(page, spec.cache.pageSize),
             rem(position, spec.cache.pageSize));
}

void GatherEmitter::copy(Value from, Value to, int64_t bytes) {
  VectorType piece = vectorOf(4, getI32Type());
  for (int64_t first = 0; first < bytes; first += 32 * 16) {
    Value at = add(shiftLeft(lane(), 4), first);
    ifThen(less(at, bytes),
           [&] { store(load(piece, offset(from, at)), offset(to, at)); });
  }
}

void GatherEmitter::widen(Value from, Value to) {
  // A lane has 16 of the latent; eight lanes share a scale.
  Value at = shiftLeft(lane(), 4);
  ifThen(less(at, spec.cache.latent), [&] {
    Value quants = load(vectorOf(4, getI32Type()), offset(from, at));
    Value scales = offset(from, spec.cache.latent);
    Value scale = load(getF32Type(),
                       element(scales, getF32Type(), shiftRight(lane(), 3)));
    for (int64_t half = 0; half < 2; ++half)
      store(widenEight(*this, extract(quants, 2 * half),
                       extract(quants, 2 * half + 1), scale),
            offset(to, add(shiftLeft(at, 1), 16 * half)));
  });
}

KernelInfo GatherEmitter::emit() {
  launchDependents();
  CacheRow layout = spec.cache.row();
  Value row = add(mul(workgroup(), warps), warp());
  ifThen(less(row, dim(Dim::context)), [&] {
    Value cacheRow = cacheRowOf(add(firstContextRow(), row));
    Value from = offset(binding(cache), mul(toI64(cacheRow), layout.bytes()));
    int64_t latentBytes = 2 * spec.cache.latent, keyBytes = 2 * spec.cache.rope;
    Value to = offset(binding(latents), mul(toI64(row), latentBytes));
    if (spec.cache.format == CacheFormat::fp8)
      widen(from, to);
    else
      copy(from, to, latentBytes);
    copy(offset(from, layout.keyOffset()),
         offset(binding(rotated), mul(toI64(row), keyBytes)), keyBytes);
  });
  return finish();
}

} // namespace

KernelInfo emitCacheGather(ModuleOp module, StringRef name,
                           const CacheGatherSpec &spec) {
  return GatherEmitter(module, name, spec).emit();
}

Value widenEight(PtxBuilder &b, Value low, Value high, Value scale) {
  Value words[2] = {low, high}, widened;
  for (int64_t i = 0; i < 4; ++i) {
    Value pairs = b.bitcast(words[i / 2], b.vectorOf(2, b.getI16Type()));
    auto [even, odd] = b.unpackE4m3(b.extract(pairs, i % 2));
    Value packed = b.packBf16(b.fmul(even, scale), b.fmul(odd, scale));
    widened = i ? b.insert(packed, widened, i) : b.splat(packed, 4);
  }
  return widened;
}

} // namespace mlir::dsv2::nvptx
