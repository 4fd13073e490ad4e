//===- RowNorm.cpp - Root mean square normalization -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RowNorm.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

Value inverseRms(RowEmitter &k, Value squares, int64_t depth, float epsilon) {
  Value mean = k.fdiv(squares, k.f32(static_cast<float>(depth)));
  return k.rsqrt(k.fadd(mean, k.f32(epsilon)));
}

KernelInfo emitRmsNorm(ModuleOp module, StringRef name,
                       const RmsNormSpec &spec) {
  Launch launch;
  launch.threads = rowThreads(spec.depth);
  launch.workgroups = {
      .count = 1, .tile = 1, .dim = spec.gather ? Dim::logitRows : Dim::tokens};
  unsigned before = 2 + (spec.gather ? 1 : 0) + (spec.add ? 2 : 0);
  RowEmitter k(module, name, before + rowBindings(spec.format), launch);
  k.launchDependents();
  Type type = elementType(k.getContext(), spec.bf16Input);
  Type f32 = k.getF32Type();
  Value scratch = k.shared(4 * launch.threads / 32);

  Value row = k.workgroup();
  Value source = row;
  if (spec.gather)
    source =
        k.load(k.getI32Type(), k.element(k.binding(2), k.getI32Type(), row));
  Value input = k.rowAt(k.binding(0), type, source,
                        spec.stride ? spec.stride : spec.depth, spec.offset);
  Value addend, sum;
  if (spec.add) {
    addend = k.rowAt(k.binding(before - 2), f32, source, spec.depth);
    sum = k.rowAt(k.binding(before - 1), f32, source, spec.depth);
  }

  // The row stays in registers between the two passes; threads without columns
  // in the last step hold zeros.
  int64_t width = 4 * launch.threads;
  int64_t steps = llvm::divideCeil(spec.depth, width);
  SmallVector<Columns> held;
  Value squares = k.f32(0.0f);
  Value first = k.shiftLeft(k.thread(), 2);
  for (int64_t step = 0; step < steps; ++step) {
    Value column = k.add(first, step * width);
    bool whole = (step + 1) * width <= spec.depth;
    Value exists = k.less(column, spec.depth);
    auto read = [&]() -> SmallVector<Value> {
      Columns v = k.loadColumns(input, type, column);
      if (spec.add) {
        Columns other = k.loadColumns(addend, f32, column);
        for (auto [a, b] : llvm::zip_equal(v, other))
          a = k.fadd(a, b);
        k.storeColumns(v, sum, f32, column);
      }
      return {v.begin(), v.end()};
    };
    SmallVector<Value> values;
    if (whole)
      values = read();
    else
      values = k.ifElse(exists, SmallVector<Type>(4, f32), read,
                        [&] { return SmallVector<Value>(4, k.f32(0.0f)); });
    for (Value v : values)
      squares = k.fma(v, v, squares);
    held.push_back(Columns(values.begin(), values.end()));
  }
  Value inverse = inverseRms(k, k.blockSum(squares, launch.threads, scratch),
                             spec.depth, spec.epsilon);

  RowEmitter::Target target = k.target(spec.format, before, spec.depth);
  k.forColumns(spec.depth, launch.threads, [&](Value column, int64_t step) {
    Columns factors = k.loadColumns(k.binding(1), f32, column);
    Columns result;
    for (auto [v, factor] : llvm::zip_equal(held[step], factors))
      result.push_back(k.fmul(k.fmul(v, inverse), factor));
    k.storeTarget(result, target, row, column);
  });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
