//===- MoeRouteGroup.cpp - Routing and sorting few tokens -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// All slots of a few tokens fit into one block, a thread each: where a slot
// goes is how many others come before it.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeRouteGroup.h"

#include "lowering/NVPTX/MoeRouter.h"

namespace mlir::dsv2::nvptx {
namespace {

constexpr int64_t threads = 32 * routeGroupTokens;

/// Sorts the slots whose experts lie in shared memory.
class FewSlots {
public:
  FewSlots(KernelBuilder &k, Value chosen, Value slots, int64_t experts,
           int64_t slotsPerToken, unsigned firstBinding)
      : k(k), chosen(chosen), slots(slots), isFirst(k.shared(4 * threads)),
        experts(experts), slotsPerToken(slotsPerToken),
        firstBinding(firstBinding) {}

  void sort();

private:
  /// The place of element `index` of the output `output`, in the order of
  /// GroupTokensSpec.
  Value at(unsigned output, Value index) {
    return k.element(k.binding(firstBinding + output), k.getI32Type(), index);
  }
  Value entry(Value array, Value index) {
    return k.load(k.getI32Type(), k.element(array, k.getI32Type(), index));
  }
  /// The sum over all slots j of term(j, expert of j).
  Value count(llvm::function_ref<Value(Value, Value)> term) {
    return k.loop(k.i32(0), slots, 1, k.i32(0),
                  [&](Value j, ValueRange carried) -> SmallVector<Value> {
                    return {k.add(carried[0], term(j, entry(chosen, j)))};
                  })[0];
  }
  void placeSlots();
  void listExperts();

  KernelBuilder &k;
  Value chosen, slots, isFirst;
  int64_t experts, slotsPerToken;
  unsigned firstBinding;
};

} // namespace

void FewSlots::sort() {
  Value isSlot = k.less(k.thread(), slots);
  k.ifThen(isSlot, [&] { placeSlots(); });
  k.barrier(); // isFirst is complete
  listExperts();
}

void FewSlots::placeSlots() {
  Value slot = k.thread(), expert = entry(chosen, slot);
  // Slots of lower experts come before, and earlier ones of the same.
  SmallVector<Value> counts =
      k.loop(k.i32(0), slots, 1, {k.i32(0), k.i32(0)},
             [&](Value j, ValueRange carried) -> SmallVector<Value> {
               Value other = entry(chosen, j);
               Value lower = k.toI32(k.less(other, expert));
               Value earlier =
                   k.toI32(k.both(k.equal(other, expert), k.less(j, slot)));
               return {k.add(carried[0], lower), k.add(carried[1], earlier)};
             });
  Value place = k.add(counts[0], counts[1]);
  k.store(k.div(slot, slotsPerToken), at(3, place));
  k.store(place, at(4, slot));
  k.store(k.toI32(k.equal(counts[1], 0)),
          k.element(isFirst, k.getI32Type(), slot));
}

void FewSlots::listExperts() {
  Value slot = k.thread();
  // The experts that have slots, by how many lower ones have some.
  k.ifThen(k.less(slot, slots), [&] {
    k.ifThen(k.notEqual(entry(isFirst, slot), 0), [&] {
      Value expert = entry(chosen, slot);
      Value rank = count([&](Value j, Value other) {
        return k.select(k.less(other, expert), entry(isFirst, j), k.i32(0));
      });
      k.store(expert, at(1, rank));
    });
  });
  k.ifThen(k.equal(slot, 0), [&] {
    k.store(count([&](Value j, Value) { return entry(isFirst, j); }),
            at(2, k.i32(0)));
  });
  k.loop(slot, k.i32(experts + 1), threads, [&](Value expert) {
    k.store(count([&](Value, Value other) {
              return k.toI32(k.less(other, expert));
            }),
            at(0, expert));
  });
}

KernelInfo emitRouteGroup(ModuleOp module, StringRef name,
                          const RouteSpec &spec) {
  RouteBindings bindings(spec);
  Launch launch;
  launch.threads = threads;
  launch.workgroups = {.count = 1};
  KernelBuilder k(module, name, bindings.count + 5, launch);
  k.launchDependents();
  Type i32 = k.getI32Type();
  int64_t each = spec.slotsPerToken();
  Value chosen = k.shared(4 * threads);
  MoeRouter router(k, spec, routeGroupTokens);
  Value token = k.warp(), tokens = k.dim(Dim::tokens);
  k.ifThen(k.less(token, tokens), [&] {
    router.route(token);
    k.ifThen(k.less(k.lane(), each), [&] {
      Value slot = k.add(k.mul(token, each), k.lane());
      k.store(router.expert(), k.element(chosen, i32, slot));
    });
  });
  k.barrier();
  FewSlots(k, chosen, k.mul(tokens, each), spec.experts + spec.shared, each,
           bindings.count)
      .sort();
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
