//===- ExpertOps.cpp - Verifiers of routing and experts -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/Verify.h"

using namespace mlir;
using namespace mlir::dsv2;

LogicalResult RouteOp::verify() {
  int64_t experts = dimOf(getLogits(), 1);
  int64_t groups = getGroups(), topGroups = getTopGroups(), topK = getTopK();
  if (ShapedType::isDynamic(experts) || experts % groups != 0) // (C1)
    return emitOpError("expects the number of experts (")
           << experts << ") to be a multiple of the number of groups ("
           << groups << ")";
  if (topGroups > groups) // (C2)
    return emitOpError("expects to keep at most ")
           << groups << " groups, but keeps " << topGroups;
  if (getSelection() == Selection::Greedy && groups != 1) // (C2)
    return emitOpError("expects one group for greedy selection, but found ")
           << groups;
  int64_t candidates = topGroups * (experts / groups);
  if (topK > candidates) // (C3)
    return emitOpError("expects to select at most ")
           << candidates << " experts from " << topGroups
           << " groups, but selects " << topK;
  for (Value result : {getWeights(), getExperts()}) // (C4)
    if (failed(expectSize(*this, "the width of the results", dimOf(result, 1),
                          topK + getShared().value_or(0))))
      return failure();
  if (Value bias = getBias()) // (C5)
    return expectSize(*this, "the length of the bias", dimOf(bias, 0), experts);
  return success();
}

LogicalResult ExpertsOp::verify() {
  auto gate = cast<RankedTensorType>(getGate().getType());
  auto up = cast<RankedTensorType>(getUp().getType());
  auto down = cast<RankedTensorType>(getDown().getType());
  if (gate.getRank() != 3 || gate.getShape() != up.getShape() ||
      gate.getDimSize(2) != dimOf(getInput(), 1)) // (C1)
    return emitOpError("expects gate and up of one shape [experts, width, ")
           << dimOf(getInput(), 1) << "], but found " << gate << " and " << up;
  if (down.getRank() != 3 || down.getDimSize(0) != gate.getDimSize(0) ||
      down.getDimSize(1) != dimOf(getResult(), 1) ||
      down.getDimSize(2) != gate.getDimSize(1)) // (C2)
    return emitOpError("expects down to be [")
           << gate.getDimSize(0) << ", " << dimOf(getResult(), 1) << ", "
           << gate.getDimSize(1) << "], but found " << down;
  return expectSize(*this, "the number of selected experts",
                    dimOf(getExperts(), 1), dimOf(getWeights(), 1)); // (C3)
}

LogicalResult GroupTokensOp::verify() {
  if (failed(expectSize(*this, "the length of offsets", dimOf(getOffsets(), 0),
                        dimOf(getActive(), 0) + 1))) // (C1)
    return failure();
  return expectSize(*this, "the width of token_slot", dimOf(getTokenSlot(), 1),
                    dimOf(getExperts(), 1)); // (C2)
}

LogicalResult GroupedLinearOp::verify() {
  auto weight = cast<RankedTensorType>(getWeight().getType());
  if (weight.getRank() != 3 || weight.getDimSize(1) != dimOf(getResult(), 1) ||
      weight.getDimSize(2) != lastDimOf(getInput())) // (C1)
    return emitOpError("expects a weight [experts, ")
           << dimOf(getResult(), 1) << ", " << lastDimOf(getInput())
           << "], but found " << weight;
  return expectSize(*this, "the length of offsets", dimOf(getOffsets(), 0),
                    weight.getDimSize(0) + 1); // (C2)
}

LogicalResult CombineExpertsOp::verify() {
  if (failed(expectSize(*this, "the width of token_slot",
                        dimOf(getTokenSlot(), 1),
                        dimOf(getWeights(), 1)))) // (C1)
    return failure();
  return expectSize(*this, "the width of the result", dimOf(getResult(), 1),
                    dimOf(getSlots(), 1)); // (C2)
}
