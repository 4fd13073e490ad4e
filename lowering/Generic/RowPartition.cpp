//===- RowPartition.cpp - Which operations split by rows ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Generic/RowPartition.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::dsv2 {
namespace {

bool hasDynamicRows(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() > 0 && tensor.isDynamicDim(0);
}

SmallVector<unsigned> operandsWithRows(Operation *op) {
  SmallVector<unsigned> operands;
  for (OpOperand &operand : op->getOpOperands())
    if (hasDynamicRows(operand.get().getType()))
      operands.push_back(operand.getOperandNumber());
  return operands;
}

/// Keeps rows where they are.
bool keepsRows(tensor::ExtractSliceOp op) {
  return op.getType().getRank() == op.getSourceType().getRank() &&
         isConstantIntValue(op.getMixedOffsets().front(), 0) &&
         isConstantIntValue(op.getMixedStrides().front(), 1);
}

/// The operands that have the rows that a result or a cache gets.
std::optional<SmallVector<unsigned>> slicedOperands(Operation *op) {
  using Operands = SmallVector<unsigned>;
  if (op->hasTrait<OpTrait::RowWise>() ||
      mlir::OpTrait::hasElementwiseMappableTraits(op))
    return operandsWithRows(op);
  return llvm::TypeSwitch<Operation *, std::optional<Operands>>(op)
      .Case([](RopeOp) { return Operands{0}; })
      .Case([](AttentionOp) { return Operands{0, 1}; })
      .Case([](LatentAttentionOp) { return Operands{0, 1}; })
      .Case([](ExpandedAttentionOp) { return Operands{0, 1}; })
      .Case([](CacheAppendOp) { return Operands{1, 2}; })
      .Case([](LatentAppendOp) { return Operands{1}; })
      .Case([](CombineExpertsOp) { return Operands{1, 2}; })
      .Case<SelectRowsOp, CacheGatherOp>([](auto) { return Operands{}; })
      .Case([](tensor::ExtractSliceOp slice) -> std::optional<Operands> {
        if (!keepsRows(slice))
          return std::nullopt;
        return Operands{0};
      })
      .Default(std::nullopt);
}

} // namespace

std::optional<RowPartition> findRowPartition(Operation *op,
                                             ArrayRef<TensorBuffer> operands,
                                             ArrayRef<TensorBuffer> results) {
  std::optional<SmallVector<unsigned>> sliced = slicedOperands(op);
  if (!sliced)
    return std::nullopt;

  // All of them have to be rows of the same number.
  SmallVector<RowCount> counts;
  for (auto [result, buffer] : llvm::zip_equal(op->getResults(), results)) {
    if (isa<LatentCacheType>(result.getType()))
      continue;
    if (!hasDynamicRows(result.getType()))
      return std::nullopt;
    counts.push_back(buffer.rows);
  }
  for (unsigned index : *sliced) {
    if (!hasDynamicRows(op->getOperand(index).getType()))
      return std::nullopt;
    counts.push_back(operands[index].rows);
  }
  if (counts.empty() || !llvm::all_equal(counts) || counts[0].offset != 0 ||
      counts[0].dim == x86::Dim::one)
    return std::nullopt;
  return RowPartition{counts[0], std::move(*sliced)};
}

} // namespace mlir::dsv2
