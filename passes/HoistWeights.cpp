//===- HoistWeights.cpp - Move computations of weights out of functions ---===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/WeightName.h"

#include "dialect/DSV2Dialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_HOISTWEIGHTSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// What an operation contributes to the computation of weights.
enum class Role {
  None,
  Constant, ///< Needs no operand; goes along with a computation.
  Weight    ///< Depends on weights and constants alone.
};

/// Finds the computations of weights in one function.
class WeightComputations {
public:
  explicit WeightComputations(Operation *root) {
    root->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op == root)
        return WalkResult::advance();
      Role role = classify(op);
      if (role == Role::None)
        return WalkResult::advance();
      roles[op] = role;
      operations.push_back(op);
      return WalkResult::skip();
    });
  }

  /// Values computed from weights that something else uses.
  SmallVector<Value> getResults() const {
    SmallVector<Value> results;
    for (Operation *op : operations)
      if (roles.lookup(op) == Role::Weight && !isa<GetWeightOp>(op))
        for (Value result : op->getResults())
          if (llvm::any_of(result.getUsers(), [&](Operation *user) {
                return !isPartOfComputation(user);
              }))
            results.push_back(result);
    return results;
  }

  /// Erases what is not used any more.
  void eraseUnused() {
    for (Operation *op : llvm::reverse(operations))
      if (op->use_empty())
        op->erase();
  }

private:
  Role classify(Operation *op) const {
    if (isa<GetWeightOp>(op))
      return Role::Weight;
    if (op->hasTrait<mlir::OpTrait::IsTerminator>() ||
        op->getNumResults() == 0 || !isMemoryEffectFree(op))
      return Role::None;
    llvm::SetVector<Value> operands(op->operand_begin(), op->operand_end());
    getUsedValuesDefinedAbove(op->getRegions(), operands);
    Role role = Role::Constant;
    for (Value operand : operands) {
      Operation *producer = operand.getDefiningOp();
      Role operandRole = producer ? roles.lookup(producer) : Role::None;
      if (operandRole == Role::None)
        return Role::None;
      if (operandRole == Role::Weight)
        role = Role::Weight;
    }
    if (role == Role::Weight && !llvm::all_of(op->getResultTypes(), isStatic))
      return Role::None;
    return role;
  }

  static bool isStatic(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && tensor.hasStaticShape();
  }

  bool isPartOfComputation(Operation *op) const {
    for (; op; op = op->getParentOp())
      if (roles.lookup(op) == Role::Weight)
        return true;
    return false;
  }

  DenseMap<Operation *, Role> roles;
  SmallVector<Operation *> operations;
};

/// The weights of a module that are computed, by their computation.
class ComputedWeights {
public:
  explicit ComputedWeights(ModuleOp module) : symbols(module) {
    for (auto weight : module.getOps<WeightOp>())
      if (!weight.getBody().empty())
        buckets[hash(weight)].push_back(weight);
  }

  /// The weight that is computed as `value` is, newly made before `before` if
  /// there is none.
  WeightOp getOrCreate(Value value, Operation *before) {
    WeightOp weight = create(value);
    SmallVector<WeightOp> &bucket = buckets[hash(weight)];
    for (WeightOp other : bucket)
      if (OperationEquivalence::isRegionEquivalentTo(
              &weight.getBody(), &other.getBody(),
              OperationEquivalence::IgnoreLocations)) {
        weight.erase();
        return other;
      }
    symbols.insert(weight, before->getIterator());
    bucket.push_back(weight);
    return weight;
  }

private:
  /// A weight in no module that computes `value`.
  static WeightOp create(Value value) {
    OpBuilder builder(value.getContext());
    auto weight = WeightOp::create(
        builder, value.getLoc(),
        builder.getStringAttr(nameComputedWeight(value)),
        TypeAttr::get(value.getType()), /*source=*/StringAttr());
    builder.createBlock(&weight.getBody());
    IRMapping mapping;
    Value computed = cloneComputation(value, mapping, builder);
    YieldOp::create(builder, value.getLoc(), computed);
    return weight;
  }

  /// Clones the producers of `value` in the order of their operands, so that
  /// equal computations have equal bodies.
  static Value cloneComputation(Value value, IRMapping &mapping,
                                OpBuilder &builder) {
    if (Value clone = mapping.lookupOrNull(value))
      return clone;
    Operation *op = value.getDefiningOp();
    llvm::SetVector<Value> operands(op->operand_begin(), op->operand_end());
    getUsedValuesDefinedAbove(op->getRegions(), operands);
    for (Value operand : operands)
      cloneComputation(operand, mapping, builder);
    builder.clone(*op, mapping);
    return mapping.lookup(value);
  }

  static llvm::hash_code hash(WeightOp weight) {
    llvm::hash_code code =
        llvm::hash_value(weight.getType().getAsOpaquePointer());
    for (Operation &op : weight.getBody().front())
      code = llvm::hash_combine(code,
                                OperationEquivalence::computeHash(
                                    &op, OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::IgnoreLocations));
    return code;
  }

  SymbolTable symbols;
  DenseMap<size_t, SmallVector<WeightOp>> buckets;
};

/// Erases the weights that no function needs, directly or through another
/// weight, and returns their number.
int64_t eraseUnusedWeights(ModuleOp module) {
  std::optional<SymbolTable::UseRange> uses =
      SymbolTable::getSymbolUses(&module.getBodyRegion());
  if (!uses)
    return 0;
  DenseMap<WeightOp, SmallVector<StringAttr>> needs;
  SmallVector<StringAttr> worklist;
  for (SymbolTable::SymbolUse use : *uses) {
    StringAttr name = use.getSymbolRef().getRootReference();
    auto user = use.getUser()->getParentOfType<WeightOp>();
    (user ? needs[user] : worklist).push_back(name);
  }
  SymbolTable symbols(module);
  DenseSet<StringAttr> live;
  while (!worklist.empty()) {
    StringAttr name = worklist.pop_back_val();
    if (!live.insert(name).second)
      continue;
    if (auto weight = symbols.lookup<WeightOp>(name))
      llvm::append_range(worklist, needs.lookup(weight));
  }
  int64_t numErased = 0;
  for (auto weight : llvm::make_early_inc_range(module.getOps<WeightOp>()))
    if (!live.contains(weight.getSymNameAttr())) {
      weight.erase();
      ++numErased;
    }
  return numErased;
}

struct HoistWeightsPass final
    : dsv2::impl::HoistWeightsPassBase<HoistWeightsPass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    ComputedWeights weights(module);
    SmallVector<Operation *> roots;
    for (Operation &op : *module.getBody())
      if (!isa<WeightOp>(op))
        roots.push_back(&op);

    for (Operation *root : roots) {
      WeightComputations computations(root);
      // Every body starts from weights that exist, whatever else is hoisted.
      SmallVector<std::pair<Value, WeightOp>> hoisted;
      for (Value result : computations.getResults())
        hoisted.emplace_back(result, weights.getOrCreate(result, root));
      for (auto [result, weight] : hoisted) {
        OpBuilder builder(result.getDefiningOp());
        Value value =
            GetWeightOp::create(builder, result.getLoc(), result.getType(),
                                weight.getSymNameAttr());
        result.replaceAllUsesWith(value);
        ++numHoisted;
      }
      computations.eraseUnused();
    }
    numRemoved += eraseUnusedWeights(module);
  }
};

} // namespace
