//===- RowNorm.cpp - Root mean square normalization -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/RowNorm.h"

namespace mlir::dsv2::x86 {

Value emitInverseRms(
    RowEmitter &k, int64_t depth, float epsilon,
    llvm::function_ref<Value(Value offset, int64_t valid)> load) {
  // Four chains hide the latency of the additions.
  constexpr int64_t chains = 4;
  int64_t step = chains * k.lanes();
  int64_t whole = depth / step * step;
  SmallVector<Value> sums(chains, k.splat(0.0f));
  auto accumulate = [&](Value offset, int64_t valid,
                        MutableArrayRef<Value> to) {
    for (int64_t i = 0; i < chains; ++i) {
      int64_t lanes = k.validLanes(valid, i);
      if (!lanes)
        continue;
      Value v = load(k.at(offset, i * k.lanes()), lanes);
      to[i] = k.fma(v, v, to[i]);
    }
  };
  if (whole)
    sums = k.loop(k.index(0), k.index(whole), step, sums,
                  [&](Value iv, ValueRange carried) {
                    SmallVector<Value> next(carried);
                    accumulate(iv, step, next);
                    return next;
                  });
  if (whole != depth)
    accumulate(k.index(whole), depth - whole, sums);
  Value sum =
      k.reduceAdd(k.fadd(k.fadd(sums[0], sums[1]), k.fadd(sums[2], sums[3])));
  Value mean = k.fdiv(sum, k.f32(static_cast<float>(depth)));
  Value root = k.sqrt(k.fadd(mean, k.f32(epsilon)));
  return k.broadcast(k.fdiv(k.f32(1.0f), root));
}

KernelInfo emitRmsNorm(ModuleOp module, StringRef name,
                       const InstructionSet &set, const RmsNormSpec &spec) {
  Builder b(module.getContext());
  int64_t stride = spec.stride ? spec.stride : spec.depth;
  MemRefType dense = flatType(b.getF32Type(), spec.rows * spec.depth);
  SmallVector<MemRefType> bindings = {
      flatType(b.getF32Type(), spec.rows * stride),
      flatType(b.getF32Type(), spec.depth)};
  if (spec.gather)
    bindings.push_back(flatType(b.getI32Type(), spec.rows));
  if (spec.add)
    bindings.append(2, dense);
  bindings.push_back(
      rowBufferType(module.getContext(), spec.format, spec.rows, spec.depth));
  RowEmitter k(module, name, bindings, set);

  Value row = k.workgroup();
  Value source = spec.gather ? k.loadIndex(k.binding(2), row) : row;
  Value input = k.binding(0), gamma = k.binding(1);
  Value start = k.at(k.mul(source, stride), spec.offset);
  unsigned next = spec.gather ? 3 : 2;

  Value inverse;
  if (spec.add) {
    Value addend = k.binding(next), sum = k.binding(next + 1);
    next += 2;
    Value dense = k.mul(source, spec.depth);
    inverse = emitInverseRms(
        k, spec.depth, spec.epsilon, [&](Value offset, int64_t valid) {
          Value v = k.fadd(k.loadRow(input, k.add(start, offset), valid),
                           k.loadRow(addend, k.add(dense, offset), valid));
          k.storeRow(v, sum, k.add(dense, offset), valid);
          return v;
        });
    input = sum;
    start = dense;
  } else {
    inverse = emitInverseRms(
        k, spec.depth, spec.epsilon, [&](Value offset, int64_t valid) {
          return k.loadRow(input, k.add(start, offset), valid);
        });
  }

  Value output = k.binding(next);
  Value target = k.mul(row, rowElements(spec.format, spec.depth));
  k.loopTail(spec.depth, groupSize, [&](Value column, int64_t valid) {
    SmallVector<Value> group;
    for (int64_t i = 0; i < groupSize / k.lanes(); ++i) {
      int64_t lanes = k.validLanes(valid, i);
      Value offset = k.at(column, i * k.lanes());
      Value v = k.loadRow(input, k.add(start, offset), lanes);
      Value factor = k.loadRow(gamma, offset, lanes);
      group.push_back(k.fmul(k.fmul(v, inverse), factor));
    }
    k.storeGroup(group, spec.format, output, target, column, spec.depth, valid);
  });
  return k.finish({1, 1, spec.gather ? Dim::logitRows : Dim::tokens});
}

} // namespace mlir::dsv2::x86
