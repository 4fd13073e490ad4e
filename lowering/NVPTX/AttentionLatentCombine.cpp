//===- AttentionLatentCombine.cpp - Merging splits of the context ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatentCombine.h"

#include "lowering/NVPTX/AttentionLatent.h"

#include <limits>

namespace mlir::dsv2::nvptx {

static constexpr int64_t lanes = 32;

Value SplitCombine::number(unsigned binding, Value index) {
  Type i32 = k.getI32Type();
  return k.load(i32, k.element(k.binding(first + binding), i32, index));
}

Value SplitCombine::usedSplits(Value token) {
  Value position = number(2, token);
  Value context = number(4, number(3, token));
  Value splitTokens = splitTokensOf(k, context, rows.division);
  // Every split up to the token's own has something that it sees.
  return k.select(k.less(splitTokens, context),
                  k.add(k.div(position, splitTokens), 1), k.i32(0));
}

SmallVector<Value> SplitCombine::loadLogs(Value row) {
  Type f32 = k.getF32Type();
  Value logs =
      k.element(k.binding(first + 1), f32, k.mul(k.toI64(row), rows.splits));
  SmallVector<Value> values;
  for (int64_t base = 0; base < rows.splits; base += lanes) {
    Value split = k.add(k.lane(), base);
    if (base + lanes > rows.splits)
      split = k.min(split, rows.splits - 1);
    values.push_back(k.load(f32, k.element(logs, f32, split)));
  }
  return values;
}

void SplitCombine::storeWeights(ArrayRef<Value> logs, Value used,
                                Value weights) {
  Value lowest = k.f32(-std::numeric_limits<float>::infinity());
  Value largest = lowest;
  SmallVector<Value> splits, present;
  for (auto [i, log] : llvm::enumerate(logs)) {
    splits.push_back(k.add(k.lane(), static_cast<int64_t>(i) * lanes));
    present.push_back(k.less(splits[i], used));
    largest = k.fmax(largest, k.select(present[i], log, lowest));
  }
  largest = k.warpMax(largest);
  for (auto [i, log] : llvm::enumerate(logs)) {
    Value weight = k.ex2(k.fsub(log, largest));
    k.store(k.select(present[i], weight, k.f32(0)),
            k.element(weights, k.getF32Type(), splits[i]));
  }
}

SmallVector<Value> SplitCombine::merge(Value row, Value used, Value weights,
                                       Value column, int64_t columns,
                                       int64_t atOnce) {
  Type f32 = k.getF32Type();
  VectorType type = k.vectorOf(columns, f32), four = k.vectorOf(4, f32);
  Value part = k.element(
      k.binding(first), f32,
      k.add(k.mul(k.toI64(row), rows.splits * rows.latent), k.toI64(column)));
  Value last = k.sub(used, 1);
  SmallVector<Value> sums = k.loop(
      k.i32(0), used, atOnce, SmallVector<Value>(columns + 1, k.f32(0)),
      [&](Value begin, ValueRange carried) {
        SmallVector<Value> values;
        for (int64_t i = 0; i < atOnce; ++i) {
          Value split = k.min(k.add(begin, i), last);
          values.push_back(k.load(
              type, k.element(part, f32, k.mul(k.toI64(split), rows.latent))));
        }
        SmallVector<Value> next(carried);
        for (int64_t i = 0; i < atOnce; ++i) {
          Value weight =
              k.load(four, k.element(weights, f32, k.add(begin, i / 4 * 4)));
          weight = k.extract(weight, i % 4);
          // Adding nothing would turn -0 into 0.
          Value present = k.less(k.add(begin, i), used);
          for (int64_t c = 0; c < columns; ++c)
            next[c] = k.select(present,
                               k.fma(k.extract(values[i], c), weight, next[c]),
                               next[c]);
          next[columns] = k.fadd(next[columns], weight);
        }
        return next;
      });
  Value inverse = k.fdiv(k.f32(1.0f), sums[columns]);
  SmallVector<Value> pairs;
  for (int64_t c = 0; c < columns; c += 2)
    pairs.push_back(
        k.packBf16(k.fmul(sums[c], inverse), k.fmul(sums[c + 1], inverse)));
  return pairs;
}

SplitRows splitRowsOf(const LatentAttentionSpec &spec) {
  return {spec.heads, spec.cache.latent, spec.splits(), spec.contextSplits()};
}

KernelInfo emitLatentCombine(ModuleOp module, StringRef name,
                             const LatentAttentionSpec &spec) {
  SplitRows rows = splitRowsOf(spec);
  Launch launch;
  launch.threads = rows.latent / 4;
  launch.workgroups = {.count = rows.heads, .tile = 1, .dim = Dim::tokens};
  KernelBuilder k(module, name, SplitCombine::bindings + 1, launch);
  Value weights = k.shared(rows.weightBytes());
  k.launchDependents();
  SplitCombine splits(k, rows, 0);
  Value row = k.workgroup();
  Value used = splits.usedSplits(k.div(row, rows.heads));
  k.ifThen(k.less(k.i32(0), used), [&] {
    k.ifThen(k.equal(k.warp(), 0),
             [&] { splits.storeWeights(splits.loadLogs(row), used, weights); });
    k.barrier();
    Value column = k.shiftLeft(k.thread(), 2);
    SmallVector<Value> pairs = splits.merge(row, used, weights, column, 4, 8);
    Value packed = k.insert(pairs[1], k.splat(pairs[0], 2), 1);
    Value at = k.add(k.mul(k.toI64(row), rows.latent), k.toI64(column));
    k.store(packed,
            k.element(k.binding(SplitCombine::bindings), k.getBF16Type(), at));
  });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
