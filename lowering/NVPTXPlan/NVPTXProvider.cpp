//===- NVPTXProvider.cpp - Model operations on GPU kernels ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTXPlan/NVPTXProvider.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::BindingAttr;
using plan::TensorView;

std::optional<RowFormat> nvptx::rowFormat(Type type) {
  Type element = getElementTypeOrSelf(type);
  if (element.isF32())
    return RowFormat::f32;
  if (element.isBF16())
    return RowFormat::bf16;
  if (isa<Float8E4M3FNType>(element))
    return RowFormat::fp8;
  return std::nullopt;
}

BindingAttr nvptx::behind(BindingAttr binding, int64_t offset) {
  return BindingAttr::get(binding.getContext(), binding.getAccess(),
                          binding.getKind(), binding.getSymbol(),
                          binding.getIndex(), binding.getOffset() + offset);
}

SmallVector<BindingAttr> nvptx::rowBindings(const TensorView &view,
                                            plan::Access access) {
  SmallVector<BindingAttr> bindings = {view.binding(access)};
  // The scales follow as many rows as there may be.
  if (isa<Float8E4M3FNType>(view.elementType))
    bindings.push_back(behind(bindings[0], llvm::product_of(view.shape)));
  return bindings;
}

StringRef nvptx::nameOf(RowFormat format) {
  return format == RowFormat::f32    ? "f32"
         : format == RowFormat::bf16 ? "bf16"
                                     : "fp8";
}

RowPlace nvptx::rowPlace(const TensorView &view) {
  RowPlace place;
  place.isBf16 = view.elementType.isBF16();
  place.rowStride = view.strides[0];
  if (view.shape.size() == 3)
    place.headStride = view.strides[1];
  return place;
}

FailureOr<bool> NVPTXProvider::dispatchKernel(
    Operation *op, Builder &builder, const KernelCall &call,
    function_ref<KernelInfo(ModuleOp, StringRef)> emit) {
  ModuleOp module = builder.kernelModule();
  auto kernel = module.lookupSymbol<LLVM::LLVMFuncOp>(call.name);
  if (!kernel)
    kernel = emit(module, call.name).func;
  std::optional<KernelInfo> info = launchOf(kernel);
  if (!info)
    return op->emitOpError("expects the kernel ") << call.name << " to be one";
  const Workgroups &groups = info->launch.workgroups;
  plan::KernelUse kernelUse;
  kernelUse.kernel = FlatSymbolRefAttr::get(kernel);
  kernelUse.workgroups = plan::WorkgroupsAttr::get(
      op->getContext(), groups.count, static_cast<plan::Dim>(groups.dim),
      groups.tile, /*indirect=*/-1);
  kernelUse.bindings = call.bindings;
  kernelUse.minTokens = call.range.first;
  kernelUse.maxTokens = call.range.last;
  kernelUse.chunked = call.range.chunked;
  kernelUse.label = call.label;
  builder.dispatch(op, kernelUse);
  return true;
}

//===----------------------------------------------------------------------===//
// Fusion
//===----------------------------------------------------------------------===//

static bool isGatedProduct(Operation *op) {
  if (auto linear = dyn_cast<LinearOp>(op))
    return isInterleaved(linear.getWeight());
  auto grouped = dyn_cast<GroupedLinearOp>(op);
  return grouped && isInterleaved(grouped.getWeight());
}

/// The operand of a sum whose kernel can add the other one: a product or a
/// combination that nothing else reads. Null when there is none.
static Operation *fusedProducer(arith::AddFOp add) {
  for (Value operand : {add.getRhs(), add.getLhs()}) {
    Operation *producer = operand.getDefiningOp();
    if (producer && producer->hasOneUse() &&
        isa<LinearOp, CombineExpertsOp>(producer))
      return producer;
  }
  return nullptr;
}

/// The product of gate and up that a SwiGLU is computed with, or null.
static Operation *gatedProductOf(SwigluOp op) {
  auto slice = op.getGate().getDefiningOp<tensor::ExtractSliceOp>();
  Operation *product = slice ? slice.getSource().getDefiningOp() : nullptr;
  return product && isGatedProduct(product) ? product : nullptr;
}

bool NVPTXProvider::isFusedIntoUser(Operation *op) {
  if (isGatedProduct(op))
    return true;
  if (auto norm = dyn_cast<RMSNormOp>(op))
    return isNormOfProducts(norm);
  if (auto router = dyn_cast<RouteOp>(op))
    return sortsFewSlots(router);
  if (auto rotation = dyn_cast<RopeOp>(op))
    return static_cast<bool>(appendWith(rotation));
  if (op->getNumResults() != 1 || !op->hasOneUse())
    return false;
  Operation *user = *op->getUsers().begin();
  if (isa<SelectRowsOp>(op))
    return isa<RMSNormOp>(user);
  auto add = dyn_cast<arith::AddFOp>(user);
  return add && fusedProducer(add) == op;
}

FailureOr<bool> NVPTXProvider::add(arith::AddFOp op, Builder &builder) {
  if (!isa<RankedTensorType>(op.getType()))
    return false;
  if (Operation *producer = fusedProducer(op)) {
    Value other =
        op.getRhs().getDefiningOp() == producer ? op.getLhs() : op.getRhs();
    if (auto product = dyn_cast<LinearOp>(producer))
      return linear(product, op, op.getResult(), other, builder);
    return combine(cast<CombineExpertsOp>(producer), op, op.getResult(), other,
                   builder);
  }
  return sumRows(op, builder);
}

//===----------------------------------------------------------------------===//
// Dispatch
//===----------------------------------------------------------------------===//

FailureOr<bool> NVPTXProvider::dispatch(Operation *op, Builder &builder) {
  return TypeSwitch<Operation *, FailureOr<bool>>(op)
      .Case([&](LinearOp linearOp) {
        return linear(linearOp, linearOp, linearOp.getResult(), Value(),
                      builder);
      })
      .Case(
          [&](HeadProjectOp project) { return headProject(project, builder); })
      .Case([&](GroupedLinearOp product) {
        return groupedLinear(product, product, product.getResult(), builder);
      })
      .Case([&](EmbedOp embedOp) { return embed(embedOp, builder); })
      .Case([&](RMSNormOp norm) { return rmsNorm(norm, builder); })
      .Case([&](PackRowsOp pack) { return packRows(pack, builder); })
      .Case([&](SwigluOp swigluOp) {
        Operation *product = gatedProductOf(swigluOp);
        return product ? gatedProduct(swigluOp, product, builder)
                       : swiglu(swigluOp, builder);
      })
      .Case([&](RopeOp ropeOp) { return rope(ropeOp, builder); })
      .Case([&](arith::AddFOp sum) { return add(sum, builder); })
      .Case([&](RouteOp routeOp) { return route(routeOp, builder); })
      .Case([&](GroupTokensOp group) { return groupTokens(group, builder); })
      .Case([&](CombineExpertsOp sum) {
        return combine(sum, sum, sum.getResult(), Value(), builder);
      })
      .Case(
          [&](LatentAppendOp append) { return latentAppend(append, builder); })
      .Case([&](LatentAttentionOp attention) {
        return latentAttention(attention, builder);
      })
      .Case([&](ExpandedAttentionOp attention) {
        return expandedAttention(attention, builder);
      })
      .Default([](Operation *) { return false; });
}
