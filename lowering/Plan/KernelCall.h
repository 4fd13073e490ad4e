//===- KernelCall.h - A kernel as a provider asks for it --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What providers of all targets decide alike: names of kernels, which say all
// that their code depends on, and what kernels of some operations are bound to.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_KERNELCALL_H
#define DSV2_LOWERING_PLAN_KERNELCALL_H

#include "lowering/Kernels/MoeSpecs.h"
#include "lowering/Plan/DispatchBuilder.h"

namespace mlir::dsv2::plan {

/// Steps that a variant of a computation is for: numbers of tokens, from first
/// to last, without a bound where there is none.
struct TokenRange {
  std::optional<int64_t> first, last;
  bool chunked = false; ///< once for each chunk of the context
};

/// A kernel by the name of its code, and the bytes it works on here.
struct KernelCall {
  std::string name;
  SmallVector<BindingAttr> bindings;
  TokenRange range = {};
  std::string label = {}; ///< empty: that of the operation
};

/// A part of a name for a number that the code depends on.
std::string bitsOf(double value);

/// The same bytes, for a dispatch that reads what another one wrote.
BindingAttr readable(BindingAttr written);

/// What a kernel for `op` computes, and its call. Nullopt when operands do not
/// lie as the bindings of the kernel want them.
std::optional<KernelCall> callOf(RouteOp op, DispatchBuilder &builder,
                                 RouteSpec &spec);
std::optional<KernelCall> callOf(GroupTokensOp op, DispatchBuilder &builder,
                                 GroupTokensSpec &spec);
/// With the sum of `op` and `addends` in `result`.
std::optional<KernelCall> callOf(CombineExpertsOp op, Value result,
                                 ValueRange addends, DispatchBuilder &builder,
                                 CombineSpec &spec);

/// Rows of one length in a tensor: heads of a token, or rows that belong to it.
/// Strides are in elements.
struct TokenRows {
  int64_t heads, tokenStride, headStride;
};
/// Nullopt when rows do not lie at even distances.
std::optional<TokenRows> rowsOf(const TensorView &view);

} // namespace mlir::dsv2::plan

#endif // DSV2_LOWERING_PLAN_KERNELCALL_H
