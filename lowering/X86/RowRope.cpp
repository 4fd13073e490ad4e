//===- RowRope.cpp - Rotary embedding and the cache -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/RowRope.h"
#include "lowering/X86/RowNorm.h"

namespace mlir::dsv2::x86 {
namespace {

/// The rotated lanes of `x` by the (cos, sin) pairs of the same lanes.
Value rotate(RowEmitter &k, Value x, Value pairs) {
  SmallVector<int64_t> even, odd, swapped;
  SmallVector<int64_t> signs;
  for (int64_t i = 0; i < k.lanes(); ++i) {
    even.push_back(i & ~1);
    odd.push_back(i | 1);
    swapped.push_back(i ^ 1);
    signs.push_back(i & 1 ? i + k.lanes() : i);
  }
  Value cos = k.shuffle(pairs, pairs, even);
  Value sin = k.shuffle(pairs, pairs, odd);
  // (a, b) -> (a cos - b sin, b cos + a sin)
  Value negative = k.fsub(k.splat(0.0f), sin);
  Value signedSin = k.shuffle(negative, sin, signs);
  return k.fma(k.shuffle(x, x, swapped), signedSin, k.fmul(x, cos));
}

void emitRotation(RowEmitter &k, int64_t rope, Value x, Value from, Value table,
                  Value tableRow, Value y, Value to) {
  k.loopTail(rope, k.lanes(), [&](Value column, int64_t valid) {
    Value pairs = k.loadRow(table, k.add(tableRow, column), valid);
    Value rotated = rotate(k, k.loadRow(x, k.add(from, column), valid), pairs);
    k.storeRow(rotated, y, k.add(to, column), valid);
  });
}

} // namespace

KernelInfo emitRope(ModuleOp module, StringRef name, const InstructionSet &set,
                    const RopeSpec &spec) {
  Builder b(module.getContext());
  Type element = spec.bf16Output ? Type(b.getBF16Type()) : b.getF32Type();
  RowEmitter k(module, name,
               {flatType(b.getF32Type(), spec.tokens * spec.input.tokenStride),
                flatType(b.getI32Type(), spec.tokens),
                flatType(b.getF32Type(), spec.positions * spec.rope),
                flatType(element, spec.tokens * spec.output.tokenStride)},
               set);
  Value token = k.workgroup();
  Value tableRow = k.mul(k.loadIndex(k.binding(1), token), spec.rope);
  k.loop(k.index(0), k.index(spec.heads), 1, [&](Value head) {
    emitRotation(k, spec.rope, k.binding(0), spec.input.at(k, token, head),
                 k.binding(2), tableRow, k.binding(3),
                 spec.output.at(k, token, head));
  });
  return k.finish({1, 1, Dim::tokens});
}

KernelInfo emitCacheAppend(ModuleOp module, StringRef name,
                           const InstructionSet &set,
                           const CacheAppendSpec &spec) {
  Builder b(module.getContext());
  Type element = spec.bf16Cache ? Type(b.getBF16Type()) : b.getF32Type();
  int64_t cacheStride =
      spec.cacheStride ? spec.cacheStride : spec.latent + spec.rope;
  RowEmitter k(module, name,
               {flatType(b.getF32Type(), spec.tokens * spec.stride),
                flatType(b.getF32Type(), spec.latent),
                flatType(b.getI32Type(), spec.tokens),
                flatType(b.getF32Type(), spec.positions * spec.rope),
                flatType(b.getI32Type(), spec.tokens),
                flatType(element, spec.cacheRows * cacheStride)},
               set);
  Value token = k.workgroup();
  Value kv = k.binding(0), gamma = k.binding(1), cache = k.binding(5);
  Value start = k.at(k.mul(token, spec.stride), spec.offset);
  Value target = k.mul(k.loadIndex(k.binding(4), token), cacheStride);

  Value inverse = emitInverseRms(
      k, spec.latent, spec.epsilon, [&](Value offset, int64_t valid) {
        return k.loadRow(kv, k.add(start, offset), valid);
      });
  k.loopTail(spec.latent, k.lanes(), [&](Value column, int64_t valid) {
    Value v = k.loadRow(kv, k.add(start, column), valid);
    Value factor = k.loadRow(gamma, column, valid);
    k.storeRow(k.fmul(k.fmul(v, inverse), factor), cache, k.add(target, column),
               valid);
  });
  Value tableRow = k.mul(k.loadIndex(k.binding(2), token), spec.rope);
  emitRotation(k, spec.rope, kv, k.at(start, spec.latent), k.binding(3),
               tableRow, cache, k.at(target, spec.latent));
  return k.finish({1, 1, Dim::tokens});
}

} // namespace mlir::dsv2::x86
