//===- NVPTXExperts.cpp - Routing and experts on GPU kernels --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeRoute.h"
#include "lowering/NVPTX/MoeSlots.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

FailureOr<bool> NVPTXProvider::route(RouteOp op, Builder &builder) {
  TensorView logits = builder.view(op.getLogits());
  if (!logits.isDense() || op.getTopK() > 32 || op.getGroups() > 32)
    return false;
  RouteSpec spec;
  spec.experts = logits.shape[1];
  spec.topK = op.getTopK();
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
  SmallVector<BindingAttr> bindings = {logits.binding(Access::In)};
  if (spec.bias) {
    TensorView bias = builder.view(op.getBias());
    if (!bias.elementType.isF32())
      return false;
    bindings.push_back(bias.binding(Access::In));
  }
  bindings.push_back(builder.view(op.getWeights()).binding(Access::Out));
  bindings.push_back(builder.view(op.getExperts()).binding(Access::Out));

  std::string name =
      ("route_" + stringifyScoring(op.getScoring()) + "_" +
       stringifySelection(op.getSelection()) + "_" + Twine(spec.topK) + "of" +
       Twine(spec.experts) + "_" + Twine(spec.topGroups) + "of" +
       Twine(spec.groups) + (spec.bias ? "_bias" : "") +
       (spec.normalize ? "_normalize" : "") + "_scale" + bitsOf(spec.scale))
          .str();
  if (failed(use(
          op, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitRoute(module, symbol, spec);
          },
          bindings)))
    return failure();
  return true;
}

FailureOr<bool> NVPTXProvider::groupTokens(GroupTokensOp op, Builder &builder) {
  TensorView experts = builder.view(op.getExperts());
  GroupTokensSpec spec;
  spec.experts = cast<RankedTensorType>(op.getActive().getType()).getDimSize(0);
  spec.topK = experts.shape[1];
  SmallVector<BindingAttr> bindings = {experts.binding(Access::In)};
  for (Value result : op.getResults())
    bindings.push_back(builder.view(result).binding(Access::Out));
  std::string name =
      ("group_tokens_" + Twine(spec.topK) + "of" + Twine(spec.experts)).str();
  if (failed(use(
          op, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitGroupTokens(module, symbol, spec);
          },
          bindings)))
    return failure();
  return true;
}

FailureOr<bool> NVPTXProvider::combine(CombineExpertsOp op, Operation *at,
                                       Value result, Value addend,
                                       Builder &builder) {
  TensorView slots = builder.view(op.getSlots());
  TensorView output = builder.view(result);
  CombineSpec spec;
  spec.topK = builder.view(op.getTokenSlot()).shape[1];
  spec.depth = slots.shape[1];
  spec.addends = addend ? 1 : 0;
  spec.bf16Slots = slots.elementType.isBF16();
  if (!slots.isDense() || !output.isDense() || spec.depth % 4 != 0 ||
      (addend && !builder.view(addend).isDense()))
    return false;
  SmallVector<BindingAttr> bindings;
  for (Value value :
       SmallVector<Value>{op.getSlots(), op.getWeights(), op.getTokenSlot()})
    bindings.push_back(builder.view(value).binding(Access::In));
  if (addend)
    bindings.push_back(builder.view(addend).binding(Access::In));
  bindings.push_back(output.binding(Access::Out));
  std::string name = ("combine_" + Twine(spec.topK) + "x" + Twine(spec.depth) +
                      (addend ? "_add" : "") + (spec.bf16Slots ? "_bf16" : ""))
                         .str();
  if (failed(use(
          at, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitCombine(module, symbol, spec);
          },
          bindings)))
    return failure();
  return true;
}
