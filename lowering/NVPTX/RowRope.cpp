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

/// Rotates four elements of a head: `piece` of those of `token`, counted by
/// head.
void rotatePiece(RowEmitter &k, const RopeSpec &spec, Value x, Value y,
                 Value table, Value token, Value piece) {
  Type from = elementType(k.getContext(), spec.bf16Input);
  Type to = elementType(k.getContext(), spec.bf16Output);
  Value head = k.div(piece, spec.rope / 4);
  Value column = k.shiftLeft(k.rem(piece, spec.rope / 4), 2);
  auto rowOf = [&](Value base, Type type, const HeadSlices &slices) {
    Value row = k.rowAt(base, type, token, slices.tokenStride, slices.offset);
    return k.rowAt(row, type, head, slices.headStride);
  };
  Columns values = k.loadColumns(rowOf(x, from, spec.input), from, column);
  Columns factors = k.loadColumns(table, k.getF32Type(), column);
  k.storeColumns(rotate(k, values, factors), rowOf(y, to, spec.output), to,
                 column);
}

/// The row of the table for the position of `token`.
Value tableOf(RowEmitter &k, unsigned positions, unsigned table, Value token,
              int64_t rope) {
  Type i32 = k.getI32Type();
  Value position = k.load(i32, k.element(k.binding(positions), i32, token));
  return k.rowAt(k.binding(table), k.getF32Type(), position, rope);
}

} // namespace

KernelInfo emitRope(ModuleOp module, StringRef name, const RopeSpec &spec) {
  int64_t pieces = spec.heads * (spec.rope / 4);
  Launch launch;
  launch.threads = std::min<int64_t>(256, llvm::alignTo(pieces, 32));
  launch.workgroups = {.count = 1, .tile = 1, .dim = Dim::tokens};
  RowEmitter k(module, name, 4, launch);
  k.launchDependents();
  Value token = k.workgroup();
  Value table = tableOf(k, 1, 2, token, spec.rope);
  k.loop(k.thread(), k.i32(pieces), launch.threads, [&](Value piece) {
    rotatePiece(k, spec, k.binding(0), k.binding(3), table, token, piece);
  });
  return k.finish();
}

/// The cache row of `token`, by all threads of a block.
static void appendRow(RowEmitter &k, const CacheAppendSpec &spec, Value token,
                      int64_t threads) {
  CacheRow layout{spec.format, spec.latent, spec.rope};
  Type type = elementType(k.getContext(), spec.bf16Input);
  Type f32 = k.getF32Type(), i32 = k.getI32Type();
  Value scratch = k.shared(4 * threads / 32);
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
  Value inverse = inverseRms(k, k.blockSum(squares, threads, scratch),
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
    Value table = tableOf(k, 2, 3, token, spec.rope);
    Columns values = k.loadColumns(kv, type, k.add(column, spec.latent));
    Columns factors = k.loadColumns(table, f32, column);
    Type element = elementType(k.getContext(), spec.format != CacheFormat::f32);
    k.storeColumns(rotate(k, values, factors),
                   k.offset(row, layout.keyOffset()), element, column);
  });
}

KernelInfo emitCacheAppend(ModuleOp module, StringRef name,
                           const CacheAppendSpec &spec) {
  Launch launch;
  launch.threads = rowThreads(std::max(spec.latent, spec.rope));
  int64_t pieces = spec.queries ? spec.queries->heads * (spec.rope / 4) : 0;
  int64_t blocks = 1 + llvm::divideCeil(pieces, launch.threads);
  launch.workgroups = {.count = blocks, .tile = 1, .dim = Dim::tokens};
  RowEmitter k(module, name, spec.queries ? 8 : 6, launch);
  k.launchDependents();
  Value token = k.div(k.workgroup(), blocks);
  if (!spec.queries) {
    appendRow(k, spec, token, launch.threads);
    return k.finish();
  }
  Value block = k.rem(k.workgroup(), blocks);
  k.ifThen(k.equal(block, 0),
           [&] { appendRow(k, spec, token, launch.threads); });
  k.ifThen(k.less(k.i32(0), block), [&] {
    Value piece = k.add(k.mul(k.sub(block, 1), launch.threads), k.thread());
    k.ifThen(k.less(piece, pieces), [&] {
      rotatePiece(k, *spec.queries, k.binding(6), k.binding(7),
                  tableOf(k, 2, 3, token, spec.rope), token, piece);
    });
  });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
