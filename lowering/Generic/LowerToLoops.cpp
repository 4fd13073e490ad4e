//===- LowerToLoops.cpp - Generic operations as loops ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Generic/LowerToBuffers.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

namespace mlir::dsv2 {
namespace {

class LoopEmitter {
public:
  LoopEmitter(RewriterBase &rewriter, linalg::GenericOp op)
      : b(op.getLoc(), rewriter), op(op),
        ranges(cast<linalg::LinalgOp>(op.getOperation())
                   .createLoopRanges(rewriter, op.getLoc())),
        loops(op.getNumLoops()) {
    while (firstSum > 0 && op.getIteratorTypesArray()[firstSum - 1] ==
                               utils::IteratorType::reduction)
      --firstSum;
  }

  void emit() { emitParallel(0); }

private:
  Value bound(OpFoldResult value) {
    return getValueOrCreateConstantIndexOp(b, b.getLoc(), value);
  }

  SmallVector<Value> indices(OpOperand &operand) {
    SmallVector<Value> values;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (unsigned i = 0; i < map.getNumResults(); ++i) {
      AffineMap one = map.getSubMap(i);
      if (auto dim = dyn_cast<AffineDimExpr>(map.getResult(i)))
        values.push_back(ivs[dim.getPosition()]);
      else
        values.push_back(
            affine::AffineApplyOp::create(b, b.getLoc(), one, ivs));
    }
    return values;
  }

  Value load(OpOperand &operand) {
    if (!isa<MemRefType>(operand.get().getType()))
      return operand.get();
    return memref::LoadOp::create(b, operand.get(), indices(operand));
  }

  void emitParallel(unsigned loop) {
    if (loop < firstSum) {
      inLoop(loop, {}, [&](ValueRange) -> SmallVector<Value> {
        emitParallel(loop + 1);
        return {};
      });
      return;
    }
    OpOperand &output = *op.getDpsInitOperand(0);
    bool reads = firstSum < loops || op.payloadUsesValueFromOperand(&output);
    Value start = reads ? load(output) : Value();
    Value result = emitSum(loop, start);
    memref::StoreOp::create(b, result, output.get(), indices(output));
  }

  /// The value of the loops from `loop` on, which starts at `carried`.
  Value emitSum(unsigned loop, Value carried) {
    if (loop == loops)
      return emitPayload(carried);
    return inLoop(loop, carried,
                  [&](ValueRange values) -> SmallVector<Value> {
                    return {emitSum(loop + 1, values.front())};
                  })
        .front();
  }

  SmallVector<Value>
  inLoop(unsigned loop, ValueRange inits,
         llvm::function_ref<SmallVector<Value>(ValueRange)> body) {
    const Range &range = ranges[loop];
    auto nest = scf::ForOp::create(b, bound(range.offset), bound(range.size),
                                   bound(range.stride), inits);
    OpBuilder::InsertionGuard guard(b);
    if (inits.empty())
      b.setInsertionPoint(nest.getBody()->getTerminator());
    else
      b.setInsertionPointToEnd(nest.getBody());
    ivs.push_back(nest.getInductionVar());
    SmallVector<Value> yielded = body(nest.getRegionIterArgs());
    ivs.pop_back();
    if (!inits.empty())
      scf::YieldOp::create(b, yielded);
    return SmallVector<Value>(nest.getResults());
  }

  Value emitPayload(Value carried) {
    IRMapping mapping;
    Block *body = op.getBody();
    for (OpOperand *input : op.getDpsInputOperands())
      if (op.payloadUsesValueFromOperand(input))
        mapping.map(op.getMatchingBlockArgument(input), load(*input));
    if (carried)
      mapping.map(body->getArguments().back(), carried);
    for (Operation &inner : body->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
        mapping.map(index.getResult(), ivs[index.getDim()]);
        continue;
      }
      Operation *clone = b.clone(inner, mapping);
      if (mayReassociate(&inner))
        cast<arith::AddFOp>(clone).setFastmath(arith::FastMathFlags::reassoc |
                                               arith::FastMathFlags::contract);
    }
    return mapping.lookup(body->getTerminator()->getOperand(0));
  }

  /// Whether `inner` adds to a sum over dimensions whose sizes are known. Over
  /// others the order has to be kept: where a row lies in the context depends
  /// on the other sequences.
  bool mayReassociate(Operation *inner) {
    auto add = dyn_cast<arith::AddFOp>(inner);
    Block *body = op.getBody();
    if (!add || firstSum == loops ||
        body->getTerminator()->getOperand(0) != add.getResult() ||
        !llvm::is_contained(add->getOperands(), body->getArguments().back()))
      return false;
    SmallVector<int64_t> sizes = op.getStaticLoopRanges();
    return llvm::none_of(ArrayRef<int64_t>(sizes).drop_front(firstSum),
                         ShapedType::isDynamic);
  }

  ImplicitLocOpBuilder b;
  linalg::GenericOp op;
  SmallVector<Range> ranges;
  unsigned loops;
  unsigned firstSum = loops; ///< the first of the trailing reductions
  SmallVector<Value> ivs;
};

} // namespace

LogicalResult lowerToLoops(RewriterBase &rewriter, linalg::GenericOp op) {
  if (!op.hasPureBufferSemantics() || op.getNumDpsInits() != 1)
    return rewriter.notifyMatchFailure(op, "expects memory and one result");
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  LoopEmitter(rewriter, op).emit();
  rewriter.eraseOp(op);
  return success();
}

} // namespace mlir::dsv2
