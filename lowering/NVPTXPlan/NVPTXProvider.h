//===- NVPTXProvider.h - Model operations on GPU kernels --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Chooses an emitter of lowering/NVPTX for each operation of prepared model IR
// (dsv2-pack-for-nvptx) and binds its operands.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTXPLAN_NVPTXPROVIDER_H
#define DSV2_LOWERING_NVPTXPLAN_NVPTXPROVIDER_H

#include "lowering/NVPTX/AttentionLatent.h"
#include "lowering/NVPTX/DotProduct.h"
#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTX/RowRope.h"
#include "lowering/NVPTXPlan/ProductShapes.h"
#include "lowering/Plan/KernelCall.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::dsv2::nvptx {

class NVPTXProvider : public plan::KernelProvider {
public:
  FailureOr<bool> dispatch(Operation *op,
                           plan::DispatchBuilder &builder) override;
  bool isFusedIntoUser(Operation *op) override;
  /// Lists the best logits, for sampling.
  LogicalResult finish(Value logits, plan::DispatchBuilder &builder) override;

  /// A product, and what it reads and writes.
  struct Product {
    DotProductSpec spec;
    /// Of the weight, unless it is f32 by `spec`.
    WeightFormat format = WeightFormat::bf16;
    /// x is in rows of e4m3.
    bool fp8Input = false;
    /// Rows of the weight are those of gate and up in turn, and
    /// y = silu(gate) * up.
    bool swiglu = false;
    /// The most rows of x, without experts; with them, that one of them gets.
    int64_t maxRows = 0;
    bool chunked = false; ///< for each chunk of the context
    plan::BindingAttr input, weight, output;
    plan::BindingAttr inputScales, weightScales; ///< of fp8
    plan::BindingAttr gamma;                     ///< normalizes x
    float epsilon = 0;
    /// Of x: what products of few tokens merge, and where it lies.
    std::optional<SplitRows> splitRows;
    SmallVector<plan::BindingAttr> splits;
    plan::BindingAttr residual, slotToken;          ///< when `spec` has them
    plan::BindingAttr offsets, active, activeCount; ///< with experts
  };

private:
  /// What attention leaves for the product that merges it.
  struct DividedRows {
    SplitRows rows;
    SmallVector<plan::BindingAttr> bindings;
  };
  llvm::DenseMap<Operation *, DividedRows> dividedInputs; ///< of products

  using Builder = plan::DispatchBuilder;
  using KernelCall = plan::KernelCall;
  using TokenRange = plan::TokenRange;

  /// A sum that the kernel of one of its operands computes, or any other.
  FailureOr<bool> add(arith::AddFOp op, Builder &builder);

  // NVPTXProducts.cpp
  FailureOr<bool> linear(LinearOp op, Operation *at, Value result,
                         Value residual, Builder &builder);
  FailureOr<bool> headProject(HeadProjectOp op, Builder &builder);
  FailureOr<bool> groupedLinear(GroupedLinearOp op, Operation *at, Value result,
                                Builder &builder);
  /// SwiGLU in the product of gate and up, which `product` is.
  FailureOr<bool> gatedProduct(SwigluOp op, Operation *product,
                               Builder &builder);
  /// Where a product writes `result`: packRounded() then makes it fp8 rows.
  void setOutput(Value result, Product &to, Builder &builder);
  LogicalResult packRounded(Operation *at, Value result, const Product &product,
                            Builder &builder);
  FailureOr<bool> multiply(Operation *at, Product product, Builder &builder);
  // NVPTXProductKernels.cpp
  /// Kernels that take some products; false when not this one.
  FailureOr<bool> routerProduct(Operation *at, const Product &product,
                                Builder &builder);
  FailureOr<bool> gemv(Operation *at, const Product &product, Builder &builder);
  FailureOr<bool> gemm(Operation *at, Product product, Builder &builder);
  /// Takes all plain weights.
  FailureOr<bool> dotProduct(Operation *at, const Product &product,
                             Builder &builder);
  /// Lets the product read its weight as bf16.
  LogicalResult dequantize(Operation *at, Product &product, Builder &builder);
  /// Lets the product read the rows of x by slot.
  LogicalResult gatherSlots(Operation *at, Product &product, Builder &builder);
  // NVPTXRows.cpp
  FailureOr<bool> embed(EmbedOp op, Builder &builder);
  FailureOr<bool> rmsNorm(RMSNormOp op, Builder &builder);
  FailureOr<bool> packRows(PackRowsOp op, Builder &builder);
  FailureOr<bool> swiglu(SwigluOp op, Builder &builder);
  FailureOr<bool> rope(RopeOp op, Builder &builder);
  FailureOr<bool> sumRows(arith::AddFOp op, Builder &builder);
  // NVPTXExperts.cpp
  FailureOr<bool> route(RouteOp op, Builder &builder);
  FailureOr<bool> groupTokens(GroupTokensOp op, Builder &builder);
  FailureOr<bool> combine(CombineExpertsOp op, Operation *at, Value result,
                          Value addend, Builder &builder);
  // NVPTXAttention.cpp
  FailureOr<bool> latentAppend(LatentAppendOp op, Builder &builder);
  FailureOr<bool> latentAttention(LatentAttentionOp op, Builder &builder);
  FailureOr<bool> tiledAttention(LatentAttentionOp op,
                                 const LatentAttentionSpec &spec,
                                 Builder &builder);
  FailureOr<bool> rowAttention(LatentAttentionOp op, Builder &builder);
  // NVPTXExpandedAttention.cpp
  FailureOr<bool> expandedAttention(ExpandedAttentionOp op, Builder &builder);
  /// The place of the result: of bf16 where its users round it.
  plan::TensorView roundedView(ExpandedAttentionOp op, Builder &builder);
  /// The latents of `rows` rows of the context; their keys go to `rotated`.
  FailureOr<plan::BindingAttr> gatherContext(ExpandedAttentionOp op,
                                             int64_t rows, bool chunked,
                                             plan::BindingAttr rotated,
                                             Builder &builder);
  /// What the matrices of heads make of latents, in a buffer called `name`.
  FailureOr<plan::BindingAttr> expand(Operation *at, Value weight,
                                      plan::BindingAttr latents, int64_t rows,
                                      bool chunked, StringRef name,
                                      Builder &builder);

  /// Dispatches a kernel, which is emitted for `spec` the first time. Always
  /// true unless it fails.
  template <typename Spec>
  FailureOr<bool>
  dispatchKernel(Operation *op, Builder &builder, const KernelCall &call,
                 KernelInfo (*emit)(ModuleOp, StringRef, const Spec &),
                 const Spec &spec) {
    return dispatchKernel(op, builder, call,
                          [&](ModuleOp module, StringRef symbol) {
                            return emit(module, symbol, spec);
                          });
  }
  FailureOr<bool>
  dispatchKernel(Operation *op, Builder &builder, const KernelCall &call,
                 function_ref<KernelInfo(ModuleOp, StringRef)> emit);
};

/// Where the rows of a placed activation lie, in elements. Packed rows are
/// dense.
struct RowPlace {
  bool isBf16 = false;
  int64_t rowStride = 0, headStride = 0;
};
RowPlace rowPlace(const plan::TensorView &view);

using plan::bitsOf;
using plan::readable;

/// The bytes `offset` behind those of a binding.
plan::BindingAttr behind(plan::BindingAttr binding, int64_t offset);

/// A layer of the cache as kernels see it.
CachePlane planeOf(LatentCacheType cache, const plan::StepLimits &limits);

/// The format of activations; nullopt for others.
std::optional<RowFormat> rowFormat(Type type);
StringRef nameOf(RowFormat format);
/// What the kernel of a rotation computes; nullopt where there is none.
std::optional<RopeSpec> rotationOf(RopeOp op, plan::DispatchBuilder &builder);
std::string nameOf(const RopeSpec &spec);
/// The bindings of rows: fp8 has quants and scales.
SmallVector<plan::BindingAttr> rowBindings(const plan::TensorView &view,
                                           plan::Access access);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTXPLAN_NVPTXPROVIDER_H
