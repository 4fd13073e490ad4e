//===- RowRope.cpp - Rotary embedding and the cache -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RowRope.h"
#include "lowering/NVPTX/RowNorm.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {
namespace {

/// Two pairs rotated: (a, b) -> (a cos - b sin, b cos + a sin).
Columns rotate(RowEmitter &k, const Columns &x, const Columns &table) {
  Columns y;
  for (int64_t i = 0; i < 4; i += 2) {
    Value a = x[i], b = x[i + 1], cos = table[i], sin = table[i + 1];
    y.push_back(k.fma(k.fneg(b), sin, k.fmul(a, cos)));
    y.push_back(k.fma(a, sin, k.fmul(b, cos)));
  }
  return y;
}

} // namespace

KernelInfo emitRope(ModuleOp module, StringRef name, const RopeSpec &spec) {
  int64_t pieces = spec.heads * (spec.rope / 4);
  Launch launch;
  launch.threads = std::min<int64_t>(256, llvm::alignTo(pieces, 32));
  launch.workgroups = {.count = 1, .tile = 1, .dim = Dim::tokens};
  RowEmitter k(module, name, 4, launch);
  k.launchDependents();
  Type from = elementType(k.getContext(), spec.bf16Input);
  Type to = elementType(k.getContext(), spec.bf16Output);
  Value token = k.workgroup();
  Value position =
      k.load(k.getI32Type(), k.element(k.binding(1), k.getI32Type(), token));
  Value table = k.rowAt(k.binding(2), k.getF32Type(), position, spec.rope);
  Value x = k.rowAt(k.binding(0), from, token, spec.input.tokenStride,
                    spec.input.offset);
  Value y = k.rowAt(k.binding(3), to, token, spec.output.tokenStride,
                    spec.output.offset);
  k.loop(k.thread(), k.i32(pieces), launch.threads, [&](Value piece) {
    Value head = k.div(piece, spec.rope / 4);
    Value column = k.shiftLeft(k.rem(piece, spec.rope / 4), 2);
    Columns values = k.loadColumns(
        k.rowAt(x, from, head, spec.input.headStride), from, column);
    Columns factors = k.loadColumns(table, k.getF32Type(), column);
    k.storeColumns(rotate(k, values, factors),
                   k.rowAt(y, to, head, spec.output.headStride), to, column);
  });
  return k.finish();
}

KernelInfo emitCacheAppend(ModuleOp module, StringRef name,
                           const CacheAppendSpec &spec) {
  CacheRow layout{spec.format, spec.latent, spec.rope};
  Launch launch;
  launch.threads = rowThreads(std::max(spec.latent, spec.rope));
  launch.workgroups = {.count = 1, .tile = 1, .dim = Dim::tokens};
  RowEmitter k(module, name, 6, launch);
  k.launchDependents();
  Type type = elementType(k.getContext(), spec.bf16Input);
  Type f32 = k.getF32Type(), i32 = k.getI32Type();
  Value scratch = k.shared(4 * launch.threads / 32);
  Value token = k.workgroup();
  Value kv = k.rowAt(k.binding(0), type, token, spec.stride, spec.offset);
  Value cacheRow = k.load(i32, k.element(k.binding(4), i32, token));
  Value row = k.rowAt(k.binding(5), k.getI8Type(), cacheRow, layout.bytes());

  // A row of latents is at most 2048 wide: one step.
  Value column = k.shiftLeft(k.thread(), 2);
  Value exists = k.less(column, spec.latent);
  SmallVector<Value> latent = k.ifElse(
      exists, SmallVector<Type>(4, f32),
      [&] { return SmallVector<Value>(k.loadColumns(kv, type, column)); },
      [&] { return SmallVector<Value>(4, k.f32(0.0f)); });
  Value squares = k.f32(0.0f);
  for (Value v : latent)
    squares = k.fma(v, v, squares);
  Value inverse = inverseRms(k, k.blockSum(squares, launch.threads, scratch),
                             spec.latent, spec.epsilon);
  k.ifThen(exists, [&] {
    Columns factors = k.loadColumns(k.binding(1), f32, column);
    Columns values;
    for (auto [v, factor] : llvm::zip_equal(latent, factors))
      values.push_back(k.fmul(k.fmul(v, inverse), factor));
    if (spec.format != CacheFormat::fp8) {
      Type element =
          elementType(k.getContext(), spec.format == CacheFormat::bf16);
      k.storeColumns(values, row, element, column);
      return;
    }
    Value scale = k.warpScale(values);
    k.store(k.quantize(values, scale), k.offset(row, column));
    k.ifThen(k.equal(k.lane(), 0), [&] {
      Value at = k.offset(row, spec.latent);
      k.store(scale, k.element(at, f32, k.shiftRight(column, 7)));
    });
  });
  k.ifThen(k.less(column, spec.rope), [&] {
    Value position = k.load(i32, k.element(k.binding(2), i32, token));
    Value table = k.rowAt(k.binding(3), f32, position, spec.rope);
    Columns values = k.loadColumns(kv, type, k.add(column, spec.latent));
    Columns factors = k.loadColumns(table, f32, column);
    Type element = elementType(k.getContext(), spec.format != CacheFormat::f32);
    k.storeColumns(rotate(k, values, factors),
                   k.offset(row, layout.keyOffset()), element, column);
  });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
