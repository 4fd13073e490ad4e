//===- RouterProduct.cpp - Router logits of few tokens --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RouterProduct.h"

#include "lowering/NVPTX/RowEmitter.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {
namespace {

constexpr int64_t threads = 256, warps = threads / 32;
constexpr int64_t width = 4 * threads; ///< columns of a round

class RouterProductEmitter : public RowEmitter {
public:
  RouterProductEmitter(ModuleOp module, StringRef name,
                       const RouterProductSpec &spec)
      : RowEmitter(module, name, spec.norm ? 4 : 3, launchOf(spec)), spec(spec),
        rounds(llvm::divideCeil(spec.depth, width)) {}

  KernelInfo emit();

private:
  static Launch launchOf(const RouterProductSpec &spec) {
    Launch launch;
    launch.threads = threads;
    launch.workgroups = {
        .count = spec.rows, .tile = spec.tileRows, .dim = Dim::tokens};
    launch.waitsItself = true;
    return launch;
  }

  /// Four columns of a row, zeros behind its end.
  Columns columnsOf(Value row, int64_t round, bool isWeight = false);
  /// This thread's part of w[n] * gamma.
  SmallVector<Columns> factors(Value n);
  /// The sums over the block of `values`, which each thread has a part of.
  SmallVector<Value> sumOverBlock(ArrayRef<Value> values);

  const RouterProductSpec spec;
  const int64_t rounds;
};

} // namespace

Columns RouterProductEmitter::columnsOf(Value row, int64_t round,
                                        bool isWeight) {
  Value column = add(shiftLeft(thread(), 2), round * width);
  bool isWhole = (round + 1) * width <= spec.depth;
  Value inside = isWhole ? column : min(column, spec.depth - 4);
  VectorType four = vectorOf(4, getF32Type());
  Value at = element(row, getF32Type(), inside);
  Value vector = isWeight ? loadStream(four, at) : load(four, at);
  Columns values;
  for (int64_t i = 0; i < 4; ++i)
    values.push_back(extract(vector, i));
  if (!isWhole) {
    Value exists = less(column, spec.depth);
    for (Value &value : values)
      value = select(exists, value, f32(0));
  }
  return values;
}

SmallVector<Columns> RouterProductEmitter::factors(Value n) {
  Value row = rowAt(binding(1), getF32Type(), n, spec.depth);
  SmallVector<Columns> result, scales;
  for (int64_t round = 0; round < rounds; ++round) {
    result.push_back(columnsOf(row, round, /*isWeight=*/true));
    if (spec.norm)
      scales.push_back(columnsOf(binding(2), round, /*isWeight=*/true));
  }
  for (auto [columns, by] : llvm::zip(result, scales))
    for (auto [value, scale] : llvm::zip_equal(columns, by))
      value = fmul(value, scale);
  return result;
}

SmallVector<Value> RouterProductEmitter::sumOverBlock(ArrayRef<Value> values) {
  Type f32Type = getF32Type();
  auto count = static_cast<int64_t>(values.size());
  Value partials = shared(4 * warps * count);
  Value ofWarp = offset(partials, mul(warp(), 4 * count));
  for (int64_t i = 0; i < count; ++i) {
    Value sum = warpSum(values[i]);
    ifThen(equal(lane(), 0), [&] { store(sum, offset(ofWarp, 4 * i)); });
  }
  barrier();
  SmallVector<Value> sums;
  for (int64_t i = 0; i < count; ++i) {
    Value sum = load(f32Type, offset(partials, 4 * i));
    for (int64_t w = 1; w < warps; ++w)
      sum = fadd(sum, load(f32Type, offset(partials, 4 * (w * count + i))));
    sums.push_back(sum);
  }
  return sums;
}

KernelInfo RouterProductEmitter::emit() {
  Value tile = div(workgroup(), spec.rows), n = rem(workgroup(), spec.rows);
  SmallVector<Columns> weights = factors(n);
  waitForPrevious();
  launchDependents();
  Value tokens = dim(Dim::tokens), first = mul(tile, spec.tileRows);
  // Rows past the end repeat the last one, and are not stored.
  SmallVector<Value> parts;
  for (int64_t i = 0; i < spec.tileRows; ++i) {
    Value token = add(first, i);
    if (spec.tileRows > 1)
      token = min(token, sub(tokens, 1));
    Value row = rowAt(binding(0), getF32Type(), token, spec.stride);
    Value dot = f32(0), squares = f32(0);
    for (int64_t round = 0; round < rounds; ++round)
      for (auto [x, w] :
           llvm::zip_equal(columnsOf(row, round), weights[round])) {
        dot = fma(x, w, dot);
        if (spec.norm)
          squares = fma(x, x, squares);
      }
    parts.push_back(dot);
    if (spec.norm)
      parts.push_back(squares);
  }
  SmallVector<Value> sums = sumOverBlock(parts);
  int64_t each = spec.norm ? 2 : 1;
  ifThen(equal(thread(), 0), [&] {
    for (int64_t i = 0; i < spec.tileRows; ++i) {
      Value result = sums[each * i];
      if (spec.norm) {
        Value mean = fmul(sums[each * i + 1],
                          f32(1.0f / static_cast<float>(spec.depth)));
        result = fmul(result, rsqrt(fadd(mean, f32(spec.epsilon))));
      }
      Value token = add(first, i);
      ifThen(less(token, tokens), [&] {
        Value row =
            rowAt(binding(spec.norm ? 3 : 2), getF32Type(), token, spec.rows);
        store(result, element(row, getF32Type(), n));
      });
    }
  });
  return finish();
}

KernelInfo emitRouterProduct(ModuleOp module, StringRef name,
                             const RouterProductSpec &spec) {
  return RouterProductEmitter(module, name, spec).emit();
}

} // namespace mlir::dsv2::nvptx
