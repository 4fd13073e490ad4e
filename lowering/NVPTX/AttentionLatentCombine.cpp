//===- AttentionLatentCombine.cpp - Merging splits of the context ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatent.h"

namespace mlir::dsv2::nvptx {

KernelInfo emitLatentCombine(ModuleOp module, StringRef name,
                             const LatentAttentionSpec &spec) {
  int64_t latent = spec.cache.latent;
  Launch launch;
  launch.threads = latent / 4;
  launch.workgroups = {.count = spec.heads, .tile = 1, .dim = Dim::tokens};
  KernelBuilder k(module, name, 6, launch);
  k.launchDependents();
  Type i32 = k.getI32Type(), f32 = k.getF32Type();
  auto number = [&](unsigned binding, Value index) {
    return k.load(i32, k.element(k.binding(binding), i32, index));
  };
  Value row = k.workgroup();
  Value token = k.div(row, spec.heads);
  Value context = number(4, number(3, token));
  Value splitTokens = splitTokensOf(k, context, spec.contextSplits());
  k.ifThen(k.less(splitTokens, context), [&] {
    // Every split up to the token's own has something that it sees.
    Value used = k.add(k.div(number(2, token), splitTokens), 1);
    Value first = k.mul(k.toI64(row), spec.splits());
    Value logs = k.element(k.binding(1), f32, first);
    auto logAt = [&](Value split) {
      return k.load(f32, k.element(logs, f32, split));
    };
    Value largest =
        k.loop(k.i32(1), used, 1, {logAt(k.i32(0))},
               [&](Value split, ValueRange carried) -> SmallVector<Value> {
                 return {k.fmax(carried[0], logAt(split))};
               })[0];
    Value column = k.shiftLeft(k.thread(), 2);
    Value part = k.element(k.binding(0), f32,
                           k.add(k.mul(first, latent), k.toI64(column)));
    SmallVector<Value> merged = k.loop(
        k.i32(0), used, 1, SmallVector<Value>(5, k.f32(0.0f)),
        [&](Value split, ValueRange carried) -> SmallVector<Value> {
          Value weight = k.ex2(k.fsub(logAt(split), largest));
          Value values =
              k.load(k.vectorOf(4, f32),
                     k.element(part, f32, k.mul(k.toI64(split), latent)));
          SmallVector<Value> next;
          for (int64_t i = 0; i < 4; ++i)
            next.push_back(k.fma(k.extract(values, i), weight, carried[i]));
          next.push_back(k.fadd(carried[4], weight));
          return next;
        });
    Value inverse = k.fdiv(k.f32(1.0f), merged[4]);
    auto pair = [&](int64_t i) {
      return k.packBf16(k.fmul(merged[i], inverse),
                        k.fmul(merged[i + 1], inverse));
    };
    Value packed = k.insert(pair(2), k.splat(pair(0), 2), 1);
    k.store(packed,
            k.element(k.binding(5), k.getBF16Type(),
                      k.add(k.mul(k.toI64(row), latent), k.toI64(column))));
  });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
