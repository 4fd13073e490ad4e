//===- MoeRoute.cpp - Choosing the experts of each token ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Lane l of a token's warp holds experts l, l + 32, and so on. A choice is an
// i32 key that orders like its f32; 0 is below every key and marks an expert
// that is taken or does not exist.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeRoute.h"
#include "lowering/NVPTX/RowArgmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

namespace mlir::dsv2::nvptx {
namespace {

constexpr int64_t tokensPerBlock = 4;
constexpr float lowest = -std::numeric_limits<float>::infinity();

class Router {
public:
  Router(KernelBuilder &k, const RouteSpec &spec)
      : k(k), spec(spec), slots(llvm::divideCeil(spec.experts, 32)),
        lane(k.lane()) {
    // Scores by expert, for the lanes that look other experts up.
    Value all = k.shared(4 * spec.experts * tokensPerBlock);
    Value warp = k.shiftRight(k.thread(), 5);
    table = k.offset(all, k.mul(warp, 4 * spec.experts));
  }

  void score(Value logits);
  void choose(Value bias);
  void limitGroups();
  void select(Value weights, Value experts);

private:
  KernelBuilder &k;
  const RouteSpec &spec;
  int64_t slots;
  Value lane, table;
  SmallVector<Value> scores, choices, keys;

  Value expertOf(int64_t slot) { return k.add(lane, 32 * slot); }
  bool isWhole(int64_t slot) { return 32 * (slot + 1) <= spec.experts; }
  /// value() where the expert of `slot` exists, `other` beyond.
  Value orElse(int64_t slot, Value other, llvm::function_ref<Value()> value) {
    if (isWhole(slot))
      return value();
    return k.ifElse(
        k.less(expertOf(slot), spec.experts), other.getType(),
        [&] { return SmallVector<Value>{value()}; },
        [&] { return SmallVector<Value>{other}; })[0];
  }
  void publish(ArrayRef<Value> values);
  /// 1 for each group in the best, as bits of an i32.
  Value keptGroups();
};

void Router::score(Value logits) {
  Type f32 = k.getF32Type();
  SmallVector<Value> x;
  for (int64_t s = 0; s < slots; ++s)
    x.push_back(orElse(s, k.f32(lowest), [&] {
      return k.load(f32, k.element(logits, f32, expertOf(s)));
    }));
  if (spec.scoring == RouteSpec::Scoring::sigmoid) {
    for (Value v : x)
      scores.push_back(
          k.fdiv(k.f32(1.0f), k.fadd(k.exp(k.fneg(v)), k.f32(1.0f))));
    return;
  }
  Value largest = x[0];
  for (Value v : ArrayRef(x).drop_front())
    largest = k.fmax(largest, v);
  largest = k.warpMax(largest);
  Value sum;
  for (Value v : x) {
    scores.push_back(k.exp(k.fsub(v, largest)));
    sum = sum ? k.fadd(sum, scores.back()) : scores.back();
  }
  sum = k.warpSum(sum);
  for (Value &s : scores)
    s = k.fdiv(s, sum);
}

void Router::choose(Value bias) {
  Type f32 = k.getF32Type();
  choices = scores;
  if (bias)
    for (auto [s, choice] : llvm::enumerate(choices)) {
      Value term = orElse(s, k.f32(0.0f), [&, s = s] {
        return k.load(f32, k.element(bias, f32, expertOf(s)));
      });
      choice = k.fadd(choice, term);
    }
  for (auto [s, choice] : llvm::enumerate(choices)) {
    Value key = orderedKey(k, choice);
    if (!isWhole(s))
      key = k.select(k.less(expertOf(s), spec.experts), key, k.i32(0));
    keys.push_back(key);
  }
}

void Router::publish(ArrayRef<Value> values) {
  k.warpSync(); // the lanes have read what was there
  for (auto [s, value] : llvm::enumerate(values)) {
    auto put = [&, s = s, value = value] {
      k.store(value, k.element(table, k.getF32Type(), expertOf(s)));
    };
    if (isWhole(s))
      put();
    else
      k.ifThen(k.less(expertOf(s), spec.experts), put);
  }
  k.warpSync();
}

Value Router::keptGroups() {
  // Lane g ranks group g, from the choices of its experts one after the other.
  Type f32 = k.getF32Type();
  int64_t size = spec.experts / spec.groups;
  publish(choices);
  Value isGroup = k.less(lane, spec.groups);
  bool both = spec.groupScore == RouteSpec::GroupScore::topTwoSum && size > 1;
  Value rank = k.ifElse(
      isGroup, f32,
      [&]() -> SmallVector<Value> {
        Value first = k.mul(lane, size);
        SmallVector<Value> top =
            k.loop(first, k.add(first, size), 1, {k.f32(lowest), k.f32(lowest)},
                   [&](Value e, ValueRange carried) -> SmallVector<Value> {
                     Value v = k.load(f32, k.element(table, f32, e));
                     Value second = k.fmax(k.fmin(v, carried[0]), carried[1]);
                     return {k.fmax(v, carried[0]), second};
                   });
        return {both ? k.fadd(top[0], top[1]) : top[0]};
      },
      [&]() -> SmallVector<Value> { return {k.f32(lowest)}; })[0];

  // A group is kept when fewer than topGroups come before it.
  Value key = orderedKey(k, rank), before = k.i32(0);
  for (int64_t g = 0; g < spec.groups; ++g) {
    Value other = k.shuffleFrom(key, k.i32(g));
    Value larger =
        arith::CmpIOp::create(k, arith::CmpIPredicate::ugt, other, key);
    Value isBefore = k.both(k.equal(other, key), k.less(k.i32(g), lane));
    before = k.add(before, k.toI32(k.either(larger, isBefore)));
  }
  return k.ballot(k.both(isGroup, k.less(before, spec.topGroups)));
}

void Router::limitGroups() {
  int64_t size = spec.experts / spec.groups;
  Value kept = keptGroups();
  for (auto [s, key] : llvm::enumerate(keys)) {
    Value group = k.div(expertOf(s), size);
    Value isKept =
        k.notEqual(k.bitAnd(k.shiftRight(kept, k.min(group, 31)), 1), 0);
    key = k.select(isKept, key, k.i32(0));
  }
}

void Router::select(Value weights, Value experts) {
  Type f32 = k.getF32Type(), i32 = k.getI32Type();
  publish(scores);
  Value sum = k.f32(0.0f), myWeight = k.f32(0.0f), myExpert = k.i32(0);
  for (int64_t i = 0; i < spec.topK; ++i) {
    // The lane's best; the first of equals stays.
    Value key = keys[0], at = expertOf(0);
    for (int64_t s = 1; s < slots; ++s) {
      Value better =
          arith::CmpIOp::create(k, arith::CmpIPredicate::ugt, keys[s], key);
      key = k.select(better, keys[s], key);
      at = k.select(better, expertOf(s), at);
    }
    Value largest = warpUnsignedMax(k, key);
    Value expert = warpUnsignedMin(
        k, k.select(k.equal(key, largest), at, k.i32(spec.experts - 1)));
    for (auto [s, each] : llvm::enumerate(keys))
      each = k.select(k.equal(expertOf(s), expert), k.i32(0), each);
    Value score = k.load(f32, k.element(table, f32, expert));
    sum = k.fadd(sum, score);
    Value isMine = k.equal(lane, i);
    myWeight = k.select(isMine, score, myWeight);
    myExpert = k.select(isMine, expert, myExpert);
  }
  if (spec.normalize)
    myWeight = k.fdiv(myWeight, k.fadd(sum, k.f32(spec.normEpsilon)));
  if (spec.scale != 1.0f)
    myWeight = k.fmul(myWeight, k.f32(spec.scale));
  k.ifThen(k.less(lane, spec.topK), [&] {
    k.store(myWeight, k.element(weights, f32, lane));
    k.store(myExpert, k.element(experts, i32, lane));
  });
}

} // namespace

KernelInfo emitRoute(ModuleOp module, StringRef name, const RouteSpec &spec) {
  Launch launch;
  launch.threads = 32 * tokensPerBlock;
  launch.workgroups = {.count = 1, .tile = tokensPerBlock, .dim = Dim::tokens};
  KernelBuilder k(module, name, spec.bias ? 4 : 3, launch);
  k.launchDependents();
  Type f32 = k.getF32Type();
  Value token = k.add(k.mul(k.workgroup(), tokensPerBlock), k.warp());
  Router router(k, spec);
  k.ifThen(k.less(token, k.dim(Dim::tokens)), [&] {
    auto rowOf = [&](Value base, Type type, int64_t width) {
      return k.element(base, type, k.mul(k.toI64(token), width));
    };
    router.score(rowOf(k.binding(0), f32, spec.experts));
    router.choose(spec.bias ? k.binding(1) : Value());
    if (spec.topGroups < spec.groups)
      router.limitGroups();
    unsigned next = spec.bias ? 2 : 1;
    router.select(rowOf(k.binding(next), f32, spec.topK),
                  rowOf(k.binding(next + 1), k.getI32Type(), spec.topK));
  });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
