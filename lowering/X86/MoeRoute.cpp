//===- MoeRoute.cpp - Choosing the experts of each token ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/MoeRoute.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

namespace mlir::dsv2::x86 {
namespace {

constexpr float lowest = -std::numeric_limits<float>::infinity();

class Router {
public:
  Router(RowEmitter &k, const RouteSpec &spec)
      : k(k), spec(spec), padded(roundUp(spec.experts, k.lanes())),
        scores(k.scratch({padded}, k.getF32Type())),
        choices(k.scratch({padded}, k.getF32Type())) {}

  void score(Value logits, Value start);
  void addBias(Value bias);
  void limitGroups();
  void select(Value weights, Value experts, Value start);

private:
  RowEmitter &k;
  const RouteSpec &spec;
  int64_t padded;
  Value scores, choices;

  /// Every vector of the experts with the number of those that exist.
  void forLanes(RowEmitter::TailBody body) {
    k.loopTail(spec.experts, k.lanes(), body);
  }
  /// `v` where lanes exist, `other` beyond them.
  Value orElse(Value v, int64_t valid, float other) {
    if (valid == k.lanes())
      return v;
    Value exists = k.laneLess(k.laneIds(), k.splatInt(valid));
    return k.select(exists, v, k.splat(other));
  }
  /// combine over all vectors of `memref`.
  Value fold(Value memref, float init,
             llvm::function_ref<Value(Value, Value)> combine) {
    return k.loop(k.index(0), k.index(padded), k.lanes(), {k.splat(init)},
                  [&](Value iv, ValueRange carried) -> SmallVector<Value> {
                    return {combine(k.loadF32(memref, iv), carried[0])};
                  })[0];
  }
  /// The largest element of `memref[0, size)` and its first index; scalars.
  std::pair<Value, Value> argMaxScalar(Value memref, int64_t size);
  Value argMax();
};

void Router::score(Value logits, Value start) {
  if (spec.scoring == RouteSpec::Scoring::sigmoid) {
    forLanes([&](Value i, int64_t valid) {
      Value x = k.loadRow(logits, k.add(start, i), valid);
      Value exp = k.exp(k.fsub(k.splat(0.0f), x));
      Value score = k.fdiv(k.splat(1.0f), k.fadd(exp, k.splat(1.0f)));
      k.storeVector(score, scores, i);
      k.storeVector(orElse(score, valid, lowest), choices, i);
    });
    return;
  }
  forLanes([&](Value i, int64_t valid) {
    Value x = k.loadRow(logits, k.add(start, i), valid);
    k.storeVector(orElse(x, valid, lowest), scores, i);
  });
  Value largest = k.broadcast(k.reduceMax(
      fold(scores, lowest, [&](Value a, Value b) { return k.fmax(a, b); })));
  forLanes([&](Value i, int64_t valid) {
    Value exp = k.exp(k.fsub(k.loadF32(scores, i), largest));
    k.storeVector(orElse(exp, valid, 0.0f), scores, i);
  });
  Value sum = k.broadcast(k.reduceAdd(
      fold(scores, 0.0f, [&](Value a, Value b) { return k.fadd(b, a); })));
  forLanes([&](Value i, int64_t valid) {
    Value score = k.fdiv(k.loadF32(scores, i), sum);
    k.storeVector(score, scores, i);
    k.storeVector(orElse(score, valid, lowest), choices, i);
  });
}

void Router::addBias(Value bias) {
  forLanes([&](Value i, int64_t valid) {
    Value choice = k.fadd(k.loadF32(choices, i), k.loadRow(bias, i, valid));
    k.storeVector(choice, choices, i);
  });
}

std::pair<Value, Value> Router::argMaxScalar(Value memref, int64_t size) {
  SmallVector<Value> best =
      k.loop(k.index(0), k.index(size), 1, {k.f32(lowest), k.index(0)},
             [&](Value i, ValueRange carried) -> SmallVector<Value> {
               Value v = k.load(memref, i);
               Value better = k.laneLess(carried[0], v);
               return {k.select(better, v, carried[0]),
                       k.select(better, i, carried[1])};
             });
  return {best[0], best[1]};
}

void Router::limitGroups() {
  int64_t size = spec.experts / spec.groups;
  Value ranks = k.scratch({spec.groups}, k.getF32Type());
  Value kept = k.scratch({spec.groups}, k.getI32Type());
  k.loop(k.index(0), k.index(spec.groups), 1, [&](Value group) {
    Value first = k.mul(group, size);
    SmallVector<Value> top =
        k.loop(first, k.add(first, size), 1, {k.f32(lowest), k.f32(lowest)},
               [&](Value i, ValueRange carried) -> SmallVector<Value> {
                 Value v = k.load(choices, i);
                 Value second = k.fmax(k.fmin(v, carried[0]), carried[1]);
                 return {k.fmax(v, carried[0]), second};
               });
    bool both = spec.groupScore == RouteSpec::GroupScore::topTwoSum && size > 1;
    k.store(both ? k.fadd(top[0], top[1]) : top[0], ranks, group);
    k.store(k.i32(0), kept, group);
  });
  k.loop(k.index(0), k.index(spec.topGroups), 1, [&](Value) {
    Value group = argMaxScalar(ranks, spec.groups).second;
    k.store(k.i32(1), kept, group);
    k.store(k.f32(lowest), ranks, group);
  });
  k.loop(k.index(0), k.index(spec.groups), 1, [&](Value group) {
    k.ifThen(k.equal(k.load(kept, group), k.i32(0)), [&] {
      Value first = k.mul(group, size);
      k.loop(first, k.add(first, size), 1,
             [&](Value i) { k.store(k.f32(lowest), choices, i); });
    });
  });
}

Value Router::argMax() {
  SmallVector<Value> best = k.loop(
      k.index(0), k.index(padded), k.lanes(), {k.splat(lowest), k.laneIds()},
      [&](Value i, ValueRange carried) -> SmallVector<Value> {
        Value v = k.loadF32(choices, i);
        Value ids = k.addLanes(k.laneIds(), k.broadcastInt(k.toI32(i)));
        Value better = k.laneLess(carried[0], v);
        return {k.select(better, v, carried[0]),
                k.select(better, ids, carried[1])};
      });
  Value largest = k.broadcast(k.reduceMax(best[0]));
  Value ids = k.select(k.laneEqual(best[0], largest), best[1],
                       k.splatInt(std::numeric_limits<int32_t>::max()));
  Value id = vector::ReductionOp::create(k, vector::CombiningKind::MINSI, ids);
  // Fewer experts than lanes and none of them a number.
  return k.min(k.toIndex(id), spec.experts - 1);
}

void Router::select(Value weights, Value experts, Value start) {
  Value sum = k.loop(k.index(0), k.index(spec.topK), 1, {k.f32(0.0f)},
                     [&](Value i, ValueRange carried) -> SmallVector<Value> {
                       Value expert = argMax();
                       k.store(k.f32(lowest), choices, expert);
                       Value score = k.load(scores, expert);
                       k.store(score, weights, k.add(start, i));
                       k.store(k.toI32(expert), experts, k.add(start, i));
                       return {k.fadd(carried[0], score)};
                     })[0];
  Value total = k.fadd(sum, k.f32(spec.normEpsilon));
  k.loop(k.index(0), k.index(spec.topK), 1, [&](Value i) {
    Value weight = k.load(weights, k.add(start, i));
    if (spec.normalize)
      weight = k.fdiv(weight, total);
    if (spec.scale != 1.0f)
      weight = k.fmul(weight, k.f32(spec.scale));
    k.store(weight, weights, k.add(start, i));
  });
}

} // namespace

KernelInfo emitRoute(ModuleOp module, StringRef name, const InstructionSet &set,
                     const RouteSpec &spec) {
  Builder b(module.getContext());
  SmallVector<MemRefType> bindings = {
      flatType(b.getF32Type(), spec.tokens * spec.experts)};
  if (spec.bias)
    bindings.push_back(flatType(b.getF32Type(), spec.experts));
  bindings.push_back(flatType(b.getF32Type(), spec.tokens * spec.topK));
  bindings.push_back(flatType(b.getI32Type(), spec.tokens * spec.topK));
  RowEmitter k(module, name, bindings, set);

  Value token = k.workgroup();
  Router router(k, spec);
  router.score(k.binding(0), k.mul(token, spec.experts));
  if (spec.bias)
    router.addBias(k.binding(1));
  if (spec.topGroups < spec.groups)
    router.limitGroups();
  unsigned next = spec.bias ? 2 : 1;
  router.select(k.binding(next), k.binding(next + 1), k.mul(token, spec.topK));
  return k.finish({1, 1, Dim::tokens});
}

} // namespace mlir::dsv2::x86
