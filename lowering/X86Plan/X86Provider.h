//===- X86Provider.h - Model operations on x86 kernels ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Chooses an emitter of lowering/X86 for each operation of prepared model IR
// (dsv2-pack-for-x86) and binds its operands. What has no fast kernel is left
// to the generic provider.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86PLAN_X86PROVIDER_H
#define DSV2_LOWERING_X86PLAN_X86PROVIDER_H

#include "lowering/Plan/KernelCall.h"
#include "lowering/X86/CachePlane.h"
#include "lowering/X86/Formats.h"
#include "lowering/X86/Kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::dsv2::x86 {

class X86Provider : public plan::KernelProvider {
public:
  X86Provider(const InstructionSet &set) : set(set) {}

  FailureOr<bool> dispatch(Operation *op,
                           plan::DispatchBuilder &builder) override;
  bool isFusedIntoUser(Operation *op) override;

private:
  using Builder = plan::DispatchBuilder;
  using KernelCall = plan::KernelCall;
  using TokenRange = plan::TokenRange;

  /// A sum that the kernel of one of its operands computes, or any other.
  FailureOr<bool> add(arith::AddFOp op, Builder &builder);

  // X86Linear.cpp
  /// What becomes of a product: `result`, of the operation `at`.
  struct ProductUse {
    Operation *at;
    Value result;
    Value residual = {}; ///< added to it
    std::optional<RowFormat> swiglu = {};
  };
  FailureOr<bool> linear(LinearOp op, const ProductUse &use, Builder &builder);
  FailureOr<bool> headProject(HeadProjectOp op, Builder &builder);
  FailureOr<bool> groupedLinear(GroupedLinearOp op, const ProductUse &use,
                                Builder &builder);
  // X86Rows.cpp
  FailureOr<bool> embed(EmbedOp op, Builder &builder);
  FailureOr<bool> rmsNorm(RMSNormOp op, Builder &builder);
  FailureOr<bool> packRows(PackRowsOp op, Builder &builder);
  FailureOr<bool> swiglu(SwigluOp op, Builder &builder);
  FailureOr<bool> rope(RopeOp op, Builder &builder);
  FailureOr<bool> sumRows(arith::AddFOp op, Builder &builder);
  // X86Experts.cpp
  FailureOr<bool> route(RouteOp op, Builder &builder);
  FailureOr<bool> groupTokens(GroupTokensOp op, Builder &builder);
  FailureOr<bool> combine(CombineExpertsOp op, Operation *at, Value result,
                          ValueRange addends, Builder &builder);
  // X86Attention.cpp
  FailureOr<bool> latentAppend(LatentAppendOp op, Builder &builder);
  FailureOr<bool> latentAttention(LatentAttentionOp op, Builder &builder);
  FailureOr<bool> expandedAttention(ExpandedAttentionOp op, Builder &builder);
  /// Converts a plane of bf16 to int8 for the operation after it.
  FailureOr<plan::BindingAttr> cacheTiles(Operation *op,
                                          const CacheTilesSpec &spec,
                                          plan::BindingAttr cache,
                                          Builder &builder);
  /// Where a query of latent attention is written: its part of a row that holds
  /// both, since the kernel reads rows of the cache's layout.
  plan::TensorView queryView(Value query, Builder &builder);

  /// The steps that a use of `product` is for: when its halves are gate and up
  /// of a SwiGLU, many tokens take both in one dispatch, and few take the
  /// product as one stream of weights before.
  TokenRange rangeOf(Value product, bool swiglu, Builder &builder);
  /// Dispatches a kernel, which is emitted for `spec` the first time. Always
  /// true unless it fails.
  template <typename Spec>
  FailureOr<bool>
  dispatchKernel(Operation *op, Builder &builder, const KernelCall &call,
                 KernelInfo (*emit)(ModuleOp, StringRef, const InstructionSet &,
                                    const Spec &),
                 const Spec &spec) {
    return dispatchKernel(op, builder, call,
                          [&](ModuleOp module, StringRef symbol) {
                            return emit(module, symbol, set, spec);
                          });
  }
  FailureOr<bool>
  dispatchKernel(Operation *op, Builder &builder, const KernelCall &call,
                 function_ref<KernelInfo(ModuleOp, StringRef)> emit);

  const InstructionSet &set;
  /// Workgroups of the kernels emitted so far.
  llvm::StringMap<Workgroups> workgroups;
};

/// The SwiGLU whose gate and up are the halves of `product`, which has no other
/// use; null if there is none.
SwigluOp gatedBy(Value product);
/// The format of a packed weight, and of activations.
std::optional<WeightFormat> weightFormat(Value weight);
std::optional<RowFormat> rowFormat(RankedTensorType type);
StringRef nameOf(WeightFormat format);
StringRef nameOf(RowFormat format);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86PLAN_X86PROVIDER_H
