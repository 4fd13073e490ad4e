//===- WeightClass.cpp - What a weight is used for ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/WeightClass.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;

/// Whether `predicate` holds for a user of `value` or, where a user only moves
/// elements, for one of its users.
static bool anyUser(Value value, llvm::function_ref<bool(Operation *)> holds) {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    if (isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp,
            tensor::CollapseShapeOp, PackRowsOp>(user))
      return anyUser(user->getResult(0), holds);
    return holds(user);
  });
}

/// Whether `value` is added to the result of selected experts.
static bool joinsExperts(Value value) {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    return isa<arith::AddFOp>(user) &&
           llvm::any_of(user->getOperands(), [](Value operand) {
             return isa_and_nonnull<ExpertsOp, CombineExpertsOp>(
                 operand.getDefiningOp());
           });
  });
}

/// Whether the gated unit behind `value` belongs to a shared expert.
static bool feedsSharedExpert(Value value) {
  return anyUser(value, [](Operation *user) {
    return isa<SwigluOp>(user) &&
           anyUser(user->getResult(0), [](Operation *product) {
             return isa<LinearOp>(product) &&
                    joinsExperts(product->getResult(0));
           });
  });
}

static WeightClass classify(LinearOp op) {
  Operation *producer = op.getInput().getDefiningOp();
  while (auto pack = dyn_cast_or_null<PackRowsOp>(producer))
    producer = pack.getInput().getDefiningOp();
  if (isa_and_nonnull<SwigluOp>(producer))
    return joinsExperts(op.getResult()) ? WeightClass::Shared
                                        : WeightClass::Dense;
  if (anyUser(op.getResult(), llvm::IsaPred<SwigluOp>))
    return feedsSharedExpert(op.getResult()) ? WeightClass::Shared
                                             : WeightClass::Dense;
  if (anyUser(op.getResult(), llvm::IsaPred<RouteOp>))
    return WeightClass::Router;
  if (anyUser(op.getResult(), [](Operation *user) {
        return user->hasTrait<mlir::OpTrait::ReturnLike>();
      }))
    return WeightClass::Head;
  return WeightClass::Attention;
}

std::optional<WeightClass> dsv2::classifyWeight(OpOperand &operand) {
  using Class = std::optional<WeightClass>;
  return llvm::TypeSwitch<Operation *, Class>(operand.getOwner())
      .Case([&](LinearOp op) -> Class {
        if (&operand != &op.getWeightMutable())
          return std::nullopt;
        return classify(op);
      })
      .Case([&](GroupedLinearOp op) -> Class {
        if (&operand != &op.getWeightMutable())
          return std::nullopt;
        return WeightClass::Experts;
      })
      .Case([&](ExpertsOp op) -> Class {
        if (&operand != &op.getGateMutable() &&
            &operand != &op.getUpMutable() && &operand != &op.getDownMutable())
          return std::nullopt;
        return WeightClass::Experts;
      })
      .Case([&](HeadProjectOp op) -> Class {
        if (&operand != &op.getWeightMutable())
          return std::nullopt;
        return WeightClass::UpProjections;
      })
      .Case([&](ExpandedAttentionOp op) -> Class {
        if (&operand != &op.getWUkMutable() && &operand != &op.getWUvMutable())
          return std::nullopt;
        return WeightClass::UpProjections;
      })
      .Default(Class());
}

bool dsv2::isComputedFromWeights(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !isMemoryEffectFree(op))
    return false;
  return isa<GetWeightOp>(op) ||
         llvm::all_of(op->getOperands(), isComputedFromWeights);
}
