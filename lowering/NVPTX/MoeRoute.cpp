//===- MoeRoute.cpp - Choosing the experts of each token ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeRoute.h"
#include "lowering/NVPTX/MoeRouter.h"
#include "lowering/NVPTX/OrderedKey.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <limits>

namespace mlir::dsv2::nvptx {

static constexpr int64_t tokensPerBlock = 4;
static constexpr float lowest = -std::numeric_limits<float>::infinity();

MoeRouter::MoeRouter(KernelBuilder &k, const RouteSpec &spec, int64_t warps)
    : k(k), spec(spec), slots(llvm::divideCeil(spec.experts, 32)),
      lane(k.lane()) {
  // Scores by expert, for the lanes that look other experts up.
  Value all = k.shared(4 * spec.experts * warps);
  table = k.offset(all, k.mul(k.warp(), 4 * spec.experts));
}

void MoeRouter::route(Value token) {
  Type f32 = k.getF32Type(), i32 = k.getI32Type();
  RouteBindings at(spec);
  auto rowOf = [&](unsigned binding, Type type, int64_t width) {
    return k.element(k.binding(binding), type, k.mul(k.toI64(token), width));
  };
  score(rowOf(at.logits, f32, spec.experts));
  choose(spec.bias ? k.binding(at.bias) : Value());
  if (spec.topGroups < spec.groups)
    limitGroups();
  select();
  Value weights = rowOf(at.weights, f32, spec.slotsPerToken());
  Value experts = rowOf(at.experts, i32, spec.slotsPerToken());
  k.ifThen(k.less(lane, spec.slotsPerToken()), [&] {
    k.store(myWeight, k.element(weights, f32, lane));
    k.store(myExpert, k.element(experts, i32, lane));
  });
}

void MoeRouter::score(Value logits) {
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

void MoeRouter::choose(Value bias) {
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

void MoeRouter::publish(ArrayRef<Value> values) {
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

Value MoeRouter::keptGroups() {
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

void MoeRouter::limitGroups() {
  int64_t size = spec.experts / spec.groups;
  Value kept = keptGroups();
  for (auto [s, key] : llvm::enumerate(keys)) {
    Value group = k.div(expertOf(s), size);
    Value isKept =
        k.notEqual(k.bitAnd(k.shiftRight(kept, k.min(group, 31)), 1), 0);
    key = k.select(isKept, key, k.i32(0));
  }
}

void MoeRouter::select() {
  Type f32 = k.getF32Type();
  publish(scores);
  Value sum = k.f32(0.0f);
  myWeight = k.f32(0.0f);
  myExpert = k.i32(0);
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
  if (spec.shared) {
    Value isShared = k.less(k.i32(spec.topK - 1), lane);
    myWeight = k.select(isShared, k.f32(1.0f), myWeight);
    myExpert =
        k.select(isShared, k.add(lane, spec.experts - spec.topK), myExpert);
  }
}

KernelInfo emitRoute(ModuleOp module, StringRef name, const RouteSpec &spec) {
  Launch launch;
  launch.threads = 32 * tokensPerBlock;
  launch.workgroups = {.count = 1, .tile = tokensPerBlock, .dim = Dim::tokens};
  KernelBuilder k(module, name, RouteBindings(spec).count, launch);
  k.launchDependents();
  Value token = k.add(k.mul(k.workgroup(), tokensPerBlock), k.warp());
  MoeRouter router(k, spec, tokensPerBlock);
  k.ifThen(k.less(token, k.dim(Dim::tokens)), [&] { router.route(token); });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
