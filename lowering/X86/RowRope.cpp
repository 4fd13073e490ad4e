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

/// Writes one row into its block, which other workgroups write to at the same
/// time: in words that are its own.
void appendInt8(RowEmitter &k, const CachePlane &plane, Value cache, Value row,
                llvm::function_ref<Value(Value column, int64_t valid)> latent,
                llvm::function_ref<void(Value to, Value at)> rotateInto) {
  int64_t tokens = plane.blockTokens();
  Value slot = k.rem(row, tokens);
  Value start = k.add(k.mul(k.sub(row, slot), plane.rowStride()), slot);
  auto place = [&](Value word) { return k.add(start, k.mul(word, tokens)); };
  int64_t quantBytes = plane.groups() * latentGroup;
  int64_t pairBytes = roundUp(2 * plane.rope, bufferAlignment);
  Value bytes = k.scratch({quantBytes}, k.getI8Type());
  Value keyBytes = k.scratch({pairBytes}, k.getI8Type());
  quantizeLatent(
      k, plane,
      [&](int64_t offset, int64_t valid) {
        return latent(k.index(offset), valid);
      },
      bytes, k.index(0),
      [&](int64_t group, Value scale) {
        k.store(k.bitcast(scale, k.getI32Type()), cache,
                place(k.index(plane.scaleRow() + group)));
      });
  rotateInto(k.viewBytes(keyBytes, k.getBF16Type()), k.index(0));
  auto copy = [&](Value words, int64_t count, int64_t firstRow) {
    k.loop(k.index(0), k.index(count), 1, [&](Value i) {
      k.store(k.load(words, i), cache, place(k.at(i, firstRow)));
    });
  };
  copy(k.viewBytes(bytes, k.getI32Type()), plane.quads(), 0);
  copy(k.viewBytes(keyBytes, k.getI32Type()), plane.pairs(), plane.pairRow());
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
  const CachePlane &plane = spec.cache;
  RowEmitter k(module, name,
               {flatType(b.getF32Type(), spec.tokens * spec.stride),
                flatType(b.getF32Type(), plane.latent),
                flatType(b.getI32Type(), spec.tokens),
                flatType(b.getF32Type(), spec.positions * plane.rope),
                flatType(b.getI32Type(), spec.tokens),
                plane.type(module.getContext())},
               set);
  Value token = k.workgroup();
  Value kv = k.binding(0), gamma = k.binding(1), cache = k.binding(5);
  Value start = k.at(k.mul(token, spec.stride), spec.offset);
  Value row = k.loadIndex(k.binding(4), token);

  Value inverse = emitInverseRms(
      k, plane.latent, spec.epsilon, [&](Value offset, int64_t valid) {
        return k.loadRow(kv, k.add(start, offset), valid);
      });
  auto normalized = [&](Value column, int64_t valid) {
    Value v = k.loadRow(kv, k.add(start, column), valid);
    Value factor = k.loadRow(gamma, column, valid);
    return k.fmul(k.fmul(v, inverse), factor);
  };
  Value tableRow = k.mul(k.loadIndex(k.binding(2), token), plane.rope);
  auto rotateInto = [&](Value to, Value at) {
    emitRotation(k, plane.rope, kv, k.at(start, plane.latent), k.binding(3),
                 tableRow, to, at);
  };
  if (plane.format == CacheFormat::int8) {
    appendInt8(k, plane, cache, row, normalized, rotateInto);
    return k.finish({1, 1, Dim::tokens});
  }
  Value target = k.mul(row, plane.rowStride());
  k.loopTail(plane.latent, k.lanes(), [&](Value column, int64_t valid) {
    k.storeRow(normalized(column, valid), cache, k.add(target, column), valid);
  });
  rotateInto(cache, k.at(target, plane.latent));
  return k.finish({1, 1, Dim::tokens});
}

} // namespace mlir::dsv2::x86
