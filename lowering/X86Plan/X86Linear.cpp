//===- X86Linear.cpp - Matrix products on x86 kernels ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/GroupedLinear.h"
#include "lowering/X86/Linear.h"
#include "lowering/X86Plan/X86Provider.h"

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

FailureOr<bool> X86Provider::linear(LinearOp op, Operation *at, Value result,
                                    Value residual, Builder &builder) {
  std::optional<WeightFormat> format = weightFormat(op.getWeight());
  if (!format)
    return false;
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(result);

  LinearSpec spec;
  spec.rows = weight.shape[0];
  spec.depth = weight.shape[1];
  spec.format = *format;
  spec.dim = static_cast<Dim>(input.rows.dim);
  spec.maxTokens = builder.limits().maxOf(input.rows.dim);
  spec.outputStride = output.rowStride();
  SmallVector<BindingAttr> bindings = {input.binding(Access::In),
                                       weight.binding(Access::In)};
  if (residual) {
    TensorView addend = builder.view(residual);
    spec.residual = true;
    spec.residualStride = addend.rowStride();
    bindings.push_back(addend.binding(Access::In));
  }
  bindings.push_back(output.binding(Access::Out));

  std::string name =
      ("linear_" + nameOf(*format) + "_" + Twine(spec.rows) + "x" +
       Twine(spec.depth) + unless(spec.outputStride, spec.rows, "stride") +
       (residual ? "_add" : "") +
       (residual ? unless(spec.residualStride, spec.rows, "from") : "") +
       (spec.dim == Dim::logitRows ? "_logits" : ""))
          .str();
  if (failed(use(
          at, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitLinear(module, symbol, set, spec);
          },
          bindings)))
    return failure();
  return true;
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
  if (failed(use(op, builder, name,
                 [&](ModuleOp module, StringRef symbol) {
                   return emitLinear(module, symbol, set, spec);
                 },
                 {input.binding(Access::In), weight.binding(Access::In),
                  output.binding(Access::Out)})))
    return failure();
  return true;
}

FailureOr<bool> X86Provider::groupedLinear(GroupedLinearOp op,
                                           Builder &builder) {
  std::optional<WeightFormat> format = weightFormat(op.getWeight());
  if (!format)
    return false;
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(op.getResult());
  if (!output.isDense())
    return false;

  GroupedLinearSpec spec;
  spec.experts = weight.shape[0];
  spec.rows = weight.shape[1];
  spec.depth = weight.shape[2];
  spec.format = *format;
  spec.maxSlots = builder.limits().maxBatchTokens * output.rows.multiple;
  spec.gather = op.getSlotToken() != nullptr;
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
       Twine(output.rows.multiple) + (spec.gather ? "_gather" : ""))
          .str();
  if (failed(use(
          op, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitGroupedLinear(module, symbol, set, spec);
          },
          bindings)))
    return failure();
  return true;
}
