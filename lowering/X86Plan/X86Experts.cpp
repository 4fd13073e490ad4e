//===- X86Experts.cpp - Routing and experts on x86 kernels ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/MoeRoute.h"
#include "lowering/X86/MoeSlots.h"
#include "lowering/X86Plan/X86Provider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::x86;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

FailureOr<bool> X86Provider::route(RouteOp op, Builder &builder) {
  TensorView logits = builder.view(op.getLogits());
  if (!logits.isDense())
    return false;
  RouteSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
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
       (spec.normalize ? "_normalize" : "") + "_scale" +
       llvm::utohexstr(llvm::bit_cast<uint32_t>(spec.scale)))
          .str();
  if (failed(dispatchKernel(
          op, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitRoute(module, symbol, set, spec);
          },
          bindings)))
    return failure();
  return true;
}

FailureOr<bool> X86Provider::groupTokens(GroupTokensOp op, Builder &builder) {
  TensorView experts = builder.view(op.getExperts());
  GroupTokensSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.experts = cast<RankedTensorType>(op.getActive().getType()).getDimSize(0);
  spec.topK = experts.shape[1];
  SmallVector<BindingAttr> bindings = {experts.binding(Access::In)};
  for (Value result : op.getResults())
    bindings.push_back(builder.view(result).binding(Access::Out));
  std::string name =
      ("group_tokens_" + Twine(spec.topK) + "of" + Twine(spec.experts)).str();
  if (failed(dispatchKernel(
          op, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitGroupTokens(module, symbol, set, spec);
          },
          bindings)))
    return failure();
  return true;
}

FailureOr<bool> X86Provider::combine(CombineExpertsOp op, Operation *at,
                                     Value result, ValueRange addends,
                                     Builder &builder) {
  TensorView slots = builder.view(op.getSlots());
  TensorView output = builder.view(result);
  CombineSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.topK = builder.view(op.getTokenSlot()).shape[1];
  spec.depth = slots.shape[1];
  spec.addends = addends.size();
  auto isDense = [&](Value value) { return builder.view(value).isDense(); };
  if (!slots.isDense() || !output.isDense() || !llvm::all_of(addends, isDense))
    return false;
  SmallVector<BindingAttr> bindings;
  for (Value value :
       SmallVector<Value>{op.getSlots(), op.getWeights(), op.getTokenSlot()})
    bindings.push_back(builder.view(value).binding(Access::In));
  for (Value addend : addends)
    bindings.push_back(builder.view(addend).binding(Access::In));
  bindings.push_back(output.binding(Access::Out));
  std::string name = ("combine_" + Twine(spec.topK) + "x" + Twine(spec.depth) +
                      (addends.empty() ? "" : "_add" + Twine(addends.size())))
                         .str();
  if (failed(dispatchKernel(
          at, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitCombine(module, symbol, set, spec);
          },
          bindings)))
    return failure();
  return true;
}
