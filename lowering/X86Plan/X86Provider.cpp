//===- X86Provider.cpp - Model operations on x86 kernels ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86Plan/X86Provider.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::x86;

std::optional<WeightFormat> x86::weightFormat(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  auto panels = dyn_cast_or_null<PanelsAttr>(type.getEncoding());
  if (!panels)
    return std::nullopt;
  if (isa_and_nonnull<BlockInt8Attr>(panels.getFormat()))
    return WeightFormat::int8;
  if (isa_and_nonnull<BlockInt4Attr>(panels.getFormat()))
    return WeightFormat::int4;
  return type.getElementType().isBF16() ? WeightFormat::bf16
                                        : WeightFormat::f32;
}

std::optional<RowFormat> x86::rowFormat(RankedTensorType type) {
  if (!isa_and_nonnull<RowsAttr>(type.getEncoding())) {
    if (type.getElementType().isF32())
      return RowFormat::f32;
    return std::nullopt;
  }
  return type.getElementType().isBF16() ? RowFormat::bf16 : RowFormat::int8;
}

StringRef x86::nameOf(WeightFormat format) {
  switch (format) {
  case WeightFormat::f32:
    return "f32";
  case WeightFormat::bf16:
    return "bf16";
  case WeightFormat::int8:
    return "int8";
  case WeightFormat::int4:
    return "int4";
  }
  llvm_unreachable("all formats are listed");
}

StringRef x86::nameOf(RowFormat format) {
  switch (format) {
  case RowFormat::f32:
    return "f32";
  case RowFormat::bf16:
    return "bf16";
  case RowFormat::int8:
    return "int8";
  }
  llvm_unreachable("all formats are listed");
}

FailureOr<bool> X86Provider::dispatchKernel(
    Operation *op, Builder &builder, const KernelCall &call,
    function_ref<KernelInfo(ModuleOp, StringRef)> emit) {
  FailureOr<func::FuncOp> kernel =
      builder.kernel(call.name, [&]() -> FailureOr<func::FuncOp> {
        KernelInfo info = emit(builder.kernelModule(), call.name);
        workgroups[call.name] = info.workgroups;
        return info.func;
      });
  if (failed(kernel))
    return failure();
  const Workgroups &groups = workgroups.find(call.name)->second;
  plan::KernelUse kernelUse;
  kernelUse.kernel = FlatSymbolRefAttr::get(*kernel);
  kernelUse.workgroups = plan::WorkgroupsAttr::get(
      op->getContext(), groups.count, static_cast<plan::Dim>(groups.dim),
      groups.tile, groups.indirectBinding);
  kernelUse.bindings = call.bindings;
  kernelUse.minTokens = call.range.first;
  kernelUse.maxTokens = call.range.last;
  builder.dispatch(op, kernelUse);
  return true;
}

//===----------------------------------------------------------------------===//
// Fusion of sums and gathers
//===----------------------------------------------------------------------===//

/// A combination of experts, and what is added to it from the inside out:
/// nothing else reads the sums on the way.
namespace {
struct CombinedSum {
  CombineExpertsOp combine;
  SmallVector<Value> addends;
};
} // namespace

static std::optional<CombinedSum> combinedSum(arith::AddFOp add) {
  for (auto [operand, other] : {std::pair(add.getRhs(), add.getLhs()),
                                std::pair(add.getLhs(), add.getRhs())}) {
    if (!operand.hasOneUse())
      continue;
    std::optional<CombinedSum> sum;
    if (auto combine = operand.getDefiningOp<CombineExpertsOp>())
      sum = {combine, {}};
    else if (auto inner = operand.getDefiningOp<arith::AddFOp>())
      sum = combinedSum(inner);
    if (!sum)
      continue;
    sum->addends.push_back(other);
    return sum;
  }
  return std::nullopt;
}

/// The product that adds the other operand of `add` to its results; null when
/// there is none.
static LinearOp fusedProduct(arith::AddFOp add) {
  if (combinedSum(add))
    return {};
  for (Value operand : {add.getRhs(), add.getLhs()})
    if (auto linear = operand.getDefiningOp<LinearOp>())
      if (linear->hasOneUse() && weightFormat(linear.getWeight()))
        return linear;
  return {};
}

bool X86Provider::isFusedIntoUser(Operation *op) {
  if (op->getNumResults() != 1 || !op->hasOneUse())
    return false;
  Operation *user = *op->getUsers().begin();
  if (isa<SelectRowsOp>(op))
    return isa<RMSNormOp>(user);
  auto add = dyn_cast<arith::AddFOp>(user);
  if (!add)
    return false;
  if (std::optional<CombinedSum> sum = combinedSum(add))
    return !llvm::is_contained(sum->addends, op->getResult(0));
  return fusedProduct(add).getOperation() == op;
}

FailureOr<bool> X86Provider::add(arith::AddFOp op, Builder &builder) {
  if (!isa<RankedTensorType>(op.getType()))
    return false;
  if (std::optional<CombinedSum> sum = combinedSum(op))
    return combine(sum->combine, op, op.getResult(), sum->addends, builder);
  if (LinearOp product = fusedProduct(op)) {
    Value other =
        op.getRhs() == product.getResult() ? op.getLhs() : op.getRhs();
    return linear(product, {op, op.getResult(), other}, builder);
  }
  return sumRows(op, builder);
}

//===----------------------------------------------------------------------===//
// Dispatch
//===----------------------------------------------------------------------===//

FailureOr<bool> X86Provider::dispatch(Operation *op, Builder &builder) {
  return TypeSwitch<Operation *, FailureOr<bool>>(op)
      .Case([&](LinearOp linearOp) {
        return linear(linearOp, {linearOp, linearOp.getResult()}, builder);
      })
      .Case(
          [&](HeadProjectOp project) { return headProject(project, builder); })
      .Case([&](GroupedLinearOp product) {
        return groupedLinear(product, {product, product.getResult()}, builder);
      })
      .Case([&](EmbedOp embedOp) { return embed(embedOp, builder); })
      .Case([&](RMSNormOp norm) { return rmsNorm(norm, builder); })
      .Case([&](PackRowsOp pack) { return packRows(pack, builder); })
      .Case([&](SwigluOp swigluOp) { return swiglu(swigluOp, builder); })
      .Case([&](RopeOp ropeOp) { return rope(ropeOp, builder); })
      .Case([&](arith::AddFOp sum) { return add(sum, builder); })
      .Case([&](RouteOp routeOp) { return route(routeOp, builder); })
      .Case([&](GroupTokensOp group) { return groupTokens(group, builder); })
      .Case([&](CombineExpertsOp sum) {
        return combine(sum, sum, sum.getResult(), {}, builder);
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
