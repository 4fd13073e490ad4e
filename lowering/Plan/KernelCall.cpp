//===- KernelCall.cpp - A kernel as a provider asks for it ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Plan/KernelCall.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::plan;

std::string plan::bitsOf(double value) {
  return llvm::utohexstr(llvm::bit_cast<uint32_t>(static_cast<float>(value)));
}

BindingAttr plan::readable(BindingAttr written) {
  return BindingAttr::get(written.getContext(), Access::In, written.getKind(),
                          written.getSymbol(), 0, 0);
}

std::optional<KernelCall> plan::callOf(RouteOp op, DispatchBuilder &builder,
                                       RouteSpec &spec) {
  TensorView logits = builder.view(op.getLogits());
  if (!logits.isDense())
    return std::nullopt;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.experts = logits.shape[1];
  spec.topK = op.getTopK();
  spec.shared = op.getShared().value_or(0);
  spec.groups = op.getGroups();
  spec.topGroups = op.getTopGroups();
  spec.scoring = op.getScoring() == Scoring::Softmax
                     ? RouteSpec::Scoring::softmax
                     : RouteSpec::Scoring::sigmoid;
  spec.groupScore = op.getSelection() == Selection::GroupTop2
                        ? RouteSpec::GroupScore::topTwoSum
                        : RouteSpec::GroupScore::max;
  spec.bias = op.getBias() != nullptr;
  spec.normalize = op.getNormalize();
  spec.scale = static_cast<float>(op.getScale().convertToDouble());

  KernelCall call;
  call.bindings.push_back(logits.binding(Access::In));
  if (spec.bias) {
    TensorView bias = builder.view(op.getBias());
    if (!bias.elementType.isF32())
      return std::nullopt;
    call.bindings.push_back(bias.binding(Access::In));
  }
  call.bindings.push_back(builder.view(op.getWeights()).binding(Access::Out));
  call.bindings.push_back(builder.view(op.getExperts()).binding(Access::Out));
  call.name =
      ("route_" + stringifyScoring(op.getScoring()) + "_" +
       stringifySelection(op.getSelection()) + "_" + Twine(spec.topK) + "of" +
       Twine(spec.experts) + "_" + Twine(spec.topGroups) + "of" +
       Twine(spec.groups) +
       (spec.shared ? "_shared" + Twine(spec.shared) : Twine()) +
       (spec.bias ? "_bias" : "") + (spec.normalize ? "_normalize" : "") +
       "_scale" + bitsOf(spec.scale))
          .str();
  return call;
}

std::optional<KernelCall> plan::callOf(GroupTokensOp op,
                                       DispatchBuilder &builder,
                                       GroupTokensSpec &spec) {
  TensorView experts = builder.view(op.getExperts());
  spec.tokens = builder.limits().maxBatchTokens;
  spec.experts = cast<RankedTensorType>(op.getActive().getType()).getDimSize(0);
  spec.topK = experts.shape[1];
  KernelCall call;
  call.bindings.push_back(experts.binding(Access::In));
  for (Value result : op.getResults())
    call.bindings.push_back(builder.view(result).binding(Access::Out));
  call.name =
      ("group_tokens_" + Twine(spec.topK) + "of" + Twine(spec.experts)).str();
  return call;
}

std::optional<KernelCall> plan::callOf(CombineExpertsOp op, Value result,
                                       ValueRange addends,
                                       DispatchBuilder &builder,
                                       CombineSpec &spec) {
  TensorView slots = builder.view(op.getSlots());
  TensorView output = builder.view(result);
  spec.tokens = builder.limits().maxBatchTokens;
  spec.topK = builder.view(op.getTokenSlot()).shape[1];
  spec.depth = slots.shape[1];
  spec.addends = addends.size();
  spec.bf16Slots = slots.elementType.isBF16();
  auto isDense = [&](Value value) { return builder.view(value).isDense(); };
  if (!slots.isDense() || !output.isDense() || !llvm::all_of(addends, isDense))
    return std::nullopt;
  KernelCall call;
  for (Value value :
       SmallVector<Value>{op.getSlots(), op.getWeights(), op.getTokenSlot()})
    call.bindings.push_back(builder.view(value).binding(Access::In));
  for (Value addend : addends)
    call.bindings.push_back(builder.view(addend).binding(Access::In));
  call.bindings.push_back(output.binding(Access::Out));
  call.name = ("combine_" + Twine(spec.topK) + "x" + Twine(spec.depth) +
               (addends.empty() ? "" : "_add" + Twine(addends.size())) +
               (spec.bf16Slots ? "_bf16" : ""))
                  .str();
  return call;
}

std::optional<TokenRows> plan::rowsOf(const TensorView &view) {
  if (view.strides.back() != 1)
    return std::nullopt;
  int64_t rows = view.rows.multiple;
  if (view.shape.size() == 2)
    return TokenRows{rows, view.strides[0] * rows, view.strides[0]};
  if (rows != 1)
    return std::nullopt;
  return TokenRows{view.shape[1], view.strides[0], view.strides[1]};
}
