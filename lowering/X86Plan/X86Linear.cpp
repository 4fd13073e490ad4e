//===- X86Linear.cpp - Matrix products on x86 kernels ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/GroupedLinear.h"
#include "lowering/X86/Linear.h"
#include "lowering/X86Plan/X86Provider.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::x86;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

/// "_name" followed by `value`, when it is not `usual`.
static std::string unless(int64_t value, int64_t usual, StringRef name) {
  if (value == usual)
    return "";
  return ("_" + name + Twine(value)).str();
}

/// Steps of more tokens compute SwiGLU with the products it takes.
static constexpr int64_t kFewTokens = 64;

static bool hasPackedWeight(Operation *product) {
  if (auto linear = dyn_cast_or_null<LinearOp>(product))
    return weightFormat(linear.getWeight()).has_value();
  auto grouped = dyn_cast_or_null<GroupedLinearOp>(product);
  return grouped && weightFormat(grouped.getWeight());
}

SwigluOp x86::gatedBy(Value product) {
  if (!hasPackedWeight(product.getDefiningOp()))
    return {};
  SwigluOp gate;
  int64_t slices = 0;
  for (Operation *user : product.getUsers()) {
    if (isa<tensor::DimOp>(user))
      continue;
    if (!isa<tensor::ExtractSliceOp>(user) || !user->hasOneUse())
      return {};
    auto swiglu = dyn_cast<SwigluOp>(*user->getUsers().begin());
    if (!swiglu || (gate && gate != swiglu))
      return {};
    gate = swiglu;
    ++slices;
  }
  if (slices != 2)
    return {};
  // Gate and up are the halves, in this order, in whole panels.
  auto slice = gate.getGate().getDefiningOp<tensor::ExtractSliceOp>();
  int64_t columns = cast<RankedTensorType>(gate.getType()).getShape().back();
  int64_t all = cast<RankedTensorType>(product.getType()).getShape().back();
  if (slice.isDynamicOffset(1) || slice.getStaticOffset(1) != 0 ||
      2 * columns != all || columns % panelRows != 0 ||
      !rowFormat(cast<RankedTensorType>(gate.getType())))
    return {};
  return gate;
}

plan::TokenRange X86Provider::rangeOf(Value product, bool swiglu,
                                      Builder &builder) {
  if (swiglu)
    return {kFewTokens + 1, std::nullopt};
  if (gatedBy(product) && kFewTokens < builder.programTokens())
    return {std::nullopt, kFewTokens};
  return {};
}

FailureOr<bool> X86Provider::linear(LinearOp op, const ProductUse &use,
                                    Builder &builder) {
  std::optional<WeightFormat> format = weightFormat(op.getWeight());
  if (!format)
    return false;
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(use.result);

  LinearSpec spec;
  spec.rows = weight.shape[0];
  spec.depth = weight.shape[1];
  spec.format = *format;
  spec.dim = static_cast<Dim>(input.rows.dim);
  spec.maxTokens = builder.limits().maxOf(input.rows.dim);
  spec.swiglu = use.swiglu;
  if (!spec.swiglu)
    spec.outputStride = output.rowStride();
  SmallVector<BindingAttr> bindings = {input.binding(Access::In),
                                       weight.binding(Access::In)};
  if (use.residual) {
    TensorView addend = builder.view(use.residual);
    spec.residual = true;
    spec.residualStride = addend.rowStride();
    bindings.push_back(addend.binding(Access::In));
  }
  bindings.push_back(output.binding(Access::Out));

  std::string name =
      ("linear_" + nameOf(*format) + "_" + Twine(spec.rows) + "x" +
       Twine(spec.depth) +
       (spec.swiglu ? ("_swiglu_" + nameOf(*spec.swiglu)).str()
                    : unless(spec.outputStride, spec.rows, "stride")) +
       (spec.residual ? "_add" : "") +
       (spec.residual ? unless(spec.residualStride, spec.rows, "from") : "") +
       (spec.dim == Dim::logitRows ? "_logits" : ""))
          .str();
  return dispatchKernel(
      use.at, builder,
      {name, bindings,
       rangeOf(op.getResult(), use.swiglu.has_value(), builder)},
      emitLinear, spec);
}

FailureOr<bool> X86Provider::headProject(HeadProjectOp op, Builder &builder) {
  std::optional<WeightFormat> format = weightFormat(op.getWeight());
  auto inputType = cast<RankedTensorType>(op.getInput().getType());
  if (!format || inputType.getRank() != 3)
    return false;
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = queryView(op.getResult(), builder);

  LinearSpec spec;
  spec.heads = weight.shape[0];
  spec.rows = weight.shape[1];
  spec.depth = weight.shape[2];
  spec.format = *format;
  spec.maxTokens = builder.limits().maxBatchTokens;
  spec.output =
      output.elementType.isBF16() ? OutputType::bf16 : OutputType::f32;
  spec.outputStride = output.strides[0];
  spec.outputHeadStride = output.strides[1];

  std::string name =
      ("head_project_" + nameOf(*format) + "_" + Twine(spec.heads) + "x" +
       Twine(spec.rows) + "x" + Twine(spec.depth) +
       (output.elementType.isBF16() ? "_bf16" : "_f32") +
       unless(spec.outputHeadStride, spec.rows, "stride"))
          .str();
  return dispatchKernel(op, builder,
                        {name,
                         {input.binding(Access::In), weight.binding(Access::In),
                          output.binding(Access::Out)}},
                        emitLinear, spec);
}

FailureOr<bool> X86Provider::groupedLinear(GroupedLinearOp op,
                                           const ProductUse &use,
                                           Builder &builder) {
  std::optional<WeightFormat> format = weightFormat(op.getWeight());
  if (!format)
    return false;
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(use.result);
  if (!use.swiglu && !output.isDense())
    return false;

  GroupedLinearSpec spec;
  spec.experts = weight.shape[0];
  spec.rows = weight.shape[1];
  spec.depth = weight.shape[2];
  spec.format = *format;
  spec.maxSlots = builder.limits().maxBatchTokens * output.rows.multiple;
  spec.gather = op.getSlotToken() != nullptr;
  spec.swiglu = use.swiglu;
  SmallVector<BindingAttr> bindings;
  for (Value value :
       SmallVector<Value>{op.getInput(), op.getWeight(), op.getOffsets(),
                          op.getActive(), op.getCount()})
    bindings.push_back(builder.view(value).binding(Access::In));
  if (spec.gather)
    bindings.push_back(builder.view(op.getSlotToken()).binding(Access::In));
  bindings.push_back(output.binding(Access::Out));

  std::string name =
      ("grouped_linear_" + nameOf(*format) + "_" + Twine(spec.experts) + "x" +
       Twine(spec.rows) + "x" + Twine(spec.depth) + "_" +
       Twine(output.rows.multiple) + (spec.gather ? "_gather" : "") +
       (spec.swiglu ? ("_swiglu_" + nameOf(*spec.swiglu)).str() : ""))
          .str();
  return dispatchKernel(
      use.at, builder,
      {name, bindings,
       rangeOf(op.getResult(), use.swiglu.has_value(), builder)},
      emitGroupedLinear, spec);
}
