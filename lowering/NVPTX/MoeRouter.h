//===- MoeRouter.h - A warp that routes a token -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Lane l of a token's warp holds experts l, l + 32, and so on. A choice is an
// i32 key that orders like its f32; 0 is below every key and marks an expert
// that is taken or does not exist.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_MOEROUTER_H
#define DSV2_LOWERING_NVPTX_MOEROUTER_H

#include "lowering/Kernels/MoeSpecs.h"
#include "lowering/NVPTX/Kernel.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

/// What the bindings of a RouteSpec are.
struct RouteBindings {
  unsigned logits = 0, bias = 0, weights, experts, count;

  explicit RouteBindings(const RouteSpec &spec)
      : bias(1), weights(spec.bias ? 2 : 1), experts(weights + 1),
        count(experts + 1) {}
};

class MoeRouter {
public:
  /// For blocks of so many warps, each of which routes a token.
  MoeRouter(KernelBuilder &k, const RouteSpec &spec, int64_t warps);

  /// Routes `token` and writes its rows of the bindings. Lane i has the expert
  /// of slot i afterwards, where i < spec.slotsPerToken().
  void route(Value token);
  Value expert() const { return myExpert; }

private:
  void score(Value logits);
  void choose(Value bias);
  void limitGroups();
  void select();

  KernelBuilder &k;
  const RouteSpec &spec;
  int64_t slots;
  Value lane, table;
  SmallVector<Value> scores, choices, keys;
  Value myWeight, myExpert;

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

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_MOEROUTER_H
