//===- MoeSlots.cpp - Grouping tokens by expert ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/MoeSlots.h"
#include "lowering/X86/RowMap.h"

namespace mlir::dsv2::x86 {

KernelInfo emitGroupTokens(ModuleOp module, StringRef name,
                           const InstructionSet &set,
                           const GroupTokensSpec &spec) {
  Type i32 = IntegerType::get(module.getContext(), 32);
  MemRefType slots = flatType(i32, spec.tokens * spec.topK);
  RowEmitter k(module, name,
               {slots, flatType(i32, spec.experts + 1),
                flatType(i32, spec.experts), flatType(i32, 1), slots, slots},
               set);
  Value experts = k.binding(0), offsets = k.binding(1), active = k.binding(2),
        activeCount = k.binding(3), slotToken = k.binding(4),
        tokenSlot = k.binding(5);
  Value tokens = k.dim(Dim::tokens);
  Value zero = k.index(0), one = k.index(1);
  Value counts = k.scratch({spec.experts}, k.getIndexType());
  Value cursors = k.scratch({spec.experts}, k.getIndexType());

  k.loop(zero, k.index(spec.experts), 1,
         [&](Value e) { k.store(zero, counts, e); });
  k.loop(zero, k.mul(tokens, spec.topK), 1, [&](Value i) {
    Value expert = k.loadIndex(experts, i);
    k.store(k.add(k.load(counts, expert), one), counts, expert);
  });
  SmallVector<Value> totals =
      k.loop(zero, k.index(spec.experts), 1, {zero, zero},
             [&](Value e, ValueRange carried) -> SmallVector<Value> {
               Value count = k.load(counts, e);
               k.store(k.toI32(carried[0]), offsets, e);
               k.store(carried[0], cursors, e);
               // Overwritten by the next expert unless this one counts.
               k.store(k.toI32(e), active, carried[1]);
               Value used = k.select(k.less(zero, count), one, zero);
               return {k.add(carried[0], count), k.add(carried[1], used)};
             });
  k.store(k.toI32(totals[0]), offsets, k.index(spec.experts));
  k.store(k.toI32(totals[1]), activeCount, zero);
  k.loop(zero, tokens, 1, [&](Value token) {
    Value first = k.mul(token, spec.topK);
    k.loop(first, k.add(first, spec.topK), 1, [&](Value i) {
      Value expert = k.loadIndex(experts, i);
      Value slot = k.load(cursors, expert);
      k.store(k.add(slot, one), cursors, expert);
      k.store(k.toI32(token), slotToken, slot);
      k.store(k.toI32(slot), tokenSlot, i);
    });
  });
  return k.finish({1, 1, Dim::one});
}

KernelInfo emitCombine(ModuleOp module, StringRef name,
                       const InstructionSet &set, const CombineSpec &spec) {
  Builder b(module.getContext());
  int64_t slots = spec.tokens * spec.topK;
  SmallVector<MemRefType> inputs = {
      flatType(b.getF32Type(), slots * spec.depth),
      flatType(b.getF32Type(), slots), flatType(b.getI32Type(), slots)};
  inputs.append(spec.addends,
                flatType(b.getF32Type(), spec.tokens * spec.depth));
  MapShape shape{spec.tokens, 1, spec.depth};
  return emitRowMap(
      module, name, set, inputs, shape,
      [&](RowEmitter &k, Value token, Value) -> GroupBody {
        SmallVector<Value> weights, rows;
        for (int64_t i = 0; i < spec.topK; ++i) {
          Value place = k.at(k.mul(token, spec.topK), i);
          weights.push_back(k.broadcast(k.load(k.binding(1), place)));
          rows.push_back(k.mul(k.loadIndex(k.binding(2), place), spec.depth));
        }
        Value start = k.mul(token, spec.depth);
        return [&k, &spec, weights, rows, start](Value column, int64_t valid) {
          SmallVector<Value> group;
          for (int64_t j = 0; j < groupSize / k.lanes(); ++j) {
            int64_t lanes = k.validLanes(valid, j);
            Value offset = k.at(column, j * k.lanes());
            Value sum = k.splat(0.0f);
            for (auto [weight, row] : llvm::zip_equal(weights, rows))
              sum = k.fma(weight,
                          k.loadRow(k.binding(0), k.add(row, offset), lanes),
                          sum);
            for (int64_t i = 0; i < spec.addends; ++i)
              sum = k.fadd(sum, k.loadRow(k.binding(3 + i),
                                          k.add(start, offset), lanes));
            group.push_back(sum);
          }
          return group;
        };
      });
}

} // namespace mlir::dsv2::x86
