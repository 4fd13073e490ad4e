//===- MoeSlots.cpp - Grouping tokens by expert ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeSlots.h"
#include "lowering/NVPTX/RowMap.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {
namespace {

constexpr int64_t threads = 256;
constexpr int64_t warps = threads / 32;

class Sorter {
public:
  Sorter(RowEmitter &k, const GroupTokensSpec &spec)
      : k(k), spec(spec), i32(k.getI32Type()), expert(k.workgroup()),
        slots(k.mul(k.dim(Dim::tokens), spec.topK)),
        counts(k.shared(4 * spec.experts)), partials(k.shared(4 * warps)) {}

  void count();
  void publish();
  void place();

private:
  RowEmitter &k;
  const GroupTokensSpec &spec;
  Type i32;
  Value expert, slots, counts, partials;
  Value first; ///< the first slot of the expert

  Value at(unsigned binding, Value index) {
    return k.element(k.binding(binding), i32, index);
  }
  Value countOf(Value e) { return k.load(i32, k.element(counts, i32, e)); }
  /// The sum over the threads before this one, and over all.
  std::pair<Value, Value> scan(Value value);
};

void Sorter::count() {
  k.loop(k.thread(), k.i32(spec.experts), threads,
         [&](Value e) { k.store(k.i32(0), k.element(counts, i32, e)); });
  k.barrier();
  // Sums of integers do not depend on their order.
  k.loop(k.thread(), slots, threads, [&](Value i) {
    Value e = k.load(i32, at(0, i));
    LLVM::AtomicRMWOp::create(k, LLVM::AtomicBinOp::add,
                              k.element(counts, i32, e), k.i32(1),
                              LLVM::AtomicOrdering::monotonic, "block");
  });
  k.barrier();
}

void Sorter::publish() {
  // Slots and active experts before this one.
  SmallVector<Value> before =
      k.loop(k.thread(), expert, threads, {k.i32(0), k.i32(0)},
             [&](Value e, ValueRange carried) -> SmallVector<Value> {
               Value n = countOf(e);
               Value used = k.toI32(k.less(k.i32(0), n));
               return {k.add(carried[0], n), k.add(carried[1], used)};
             });
  // Both sums in one scan would need 64 bits; two scans are cheap.
  first = scan(before[0]).second;
  Value rank = scan(before[1]).second;
  Value own = countOf(expert);
  k.ifThen(k.equal(k.thread(), 0), [&] {
    k.store(first, at(1, expert));
    Value isActive = k.less(k.i32(0), own);
    k.ifThen(isActive, [&] { k.store(expert, at(2, rank)); });
    k.ifThen(k.equal(expert, spec.experts - 1), [&] {
      k.store(k.add(first, own), at(1, k.i32(spec.experts)));
      k.store(k.add(rank, k.toI32(isActive)), at(3, k.i32(0)));
    });
  });
}

std::pair<Value, Value> Sorter::scan(Value value) {
  // Inclusive over the lanes of the warp.
  Value sum = value;
  for (int64_t distance = 1; distance < 32; distance *= 2) {
    Value from = k.sub(k.lane(), distance);
    Value other = k.shuffleFrom(sum, k.max(from, 0));
    sum = k.add(sum, k.select(k.less(from, 0), k.i32(0), other));
  }
  Value warp = k.shiftRight(k.thread(), 5);
  k.barrier(); // the partials of an earlier scan have been read
  k.ifThen(k.equal(k.lane(), 31),
           [&] { k.store(sum, k.element(partials, i32, warp)); });
  k.barrier();
  Value before = k.sub(sum, value), total = k.i32(0);
  for (int64_t w = 0; w < warps; ++w) {
    Value partial = k.load(i32, k.offset(partials, 4 * w));
    before = k.add(before, k.select(k.less(k.i32(w), warp), partial, k.i32(0)));
    total = k.add(total, partial);
  }
  return {before, total};
}

void Sorter::place() {
  // Each thread has consecutive slots, so that their order is kept. The loop
  // and its barriers are entered by whole blocks.
  Value isUsed = k.less(k.i32(0), countOf(expert));
  k.ifThen(isUsed, [&] {
    Value each = k.ceilDiv(slots, threads);
    Value begin = k.min(k.mul(k.thread(), each), slots);
    Value end = k.min(k.add(begin, each), slots);
    Value mine = k.loop(begin, end, 1, {k.i32(0)},
                        [&](Value i, ValueRange carried) -> SmallVector<Value> {
                          Value same = k.equal(k.load(i32, at(0, i)), expert);
                          return {k.add(carried[0], k.toI32(same))};
                        })[0];
    Value slot = k.add(first, scan(mine).first);
    k.loop(begin, end, 1, {slot},
           [&](Value i, ValueRange carried) -> SmallVector<Value> {
             Value same = k.equal(k.load(i32, at(0, i)), expert);
             k.ifThen(same, [&] {
               k.store(k.div(i, spec.topK), at(4, carried[0]));
               k.store(carried[0], at(5, i));
             });
             return {k.add(carried[0], k.toI32(same))};
           });
  });
}

} // namespace

KernelInfo emitGroupTokens(ModuleOp module, StringRef name,
                           const GroupTokensSpec &spec) {
  Launch launch;
  launch.threads = threads;
  launch.workgroups = {.count = spec.experts};
  RowEmitter k(module, name, 6, launch);
  k.launchDependents();
  Sorter sorter(k, spec);
  sorter.count();
  sorter.publish();
  sorter.place();
  return k.finish();
}

KernelInfo emitCombine(ModuleOp module, StringRef name,
                       const CombineSpec &spec) {
  MapShape shape{1, spec.depth};
  return emitRowMap(
      module, name, 3 + spec.addends, shape,
      [&](RowEmitter &k, Value token, Value) -> ColumnBody {
        Type f32 = k.getF32Type(), i32 = k.getI32Type();
        Type type = elementType(k.getContext(), spec.bf16Slots);
        SmallVector<Value> weights, rows;
        for (int64_t i = 0; i < spec.topK; ++i) {
          Value place = k.add(k.mul(token, spec.topK), i);
          weights.push_back(k.load(f32, k.element(k.binding(1), f32, place)));
          Value slot = k.load(i32, k.element(k.binding(2), i32, place));
          rows.push_back(k.rowAt(k.binding(0), type, slot, spec.depth));
        }
        return [&k, &spec, type, f32, token, weights, rows](Value column) {
          Columns sum(4, k.f32(0.0f));
          for (auto [weight, row] : llvm::zip_equal(weights, rows)) {
            Columns terms = k.loadColumns(row, type, column);
            for (auto [total, term] : llvm::zip_equal(sum, terms))
              total = k.fma(weight, term, total);
          }
          for (int64_t a = 0; a < spec.addends; ++a) {
            Value row = k.rowAt(k.binding(3 + a), f32, token, spec.depth);
            Columns terms = k.loadColumns(row, f32, column);
            for (auto [total, term] : llvm::zip_equal(sum, terms))
              total = k.fadd(total, term);
          }
          return sum;
        };
      });
}

} // namespace mlir::dsv2::nvptx
