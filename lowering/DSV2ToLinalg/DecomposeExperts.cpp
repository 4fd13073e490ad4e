//===- DecomposeExperts.cpp - Expert networks -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/DSV2ToLinalg/Decompose.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::dsv2 {
namespace {

/// x[2] + x[0] * matrices[x[1], n, k]: a step of a product with the matrix of
/// the expert x[1].
Value stepWithExpert(LinalgBuilder &b, ValueRange x, Value matrices,
                     AffineExpr n, AffineExpr k) {
  Value factor = b.extract(matrices, {b.toIndex(x[1]), b.loop(n), b.loop(k)});
  return multiplyAdd(b, {x[0], factor, x[2]});
}

/// [T, d] of the sum over k, in order, of weights[t, k] * outputs[t, k, d].
Value combine(LinalgBuilder &b, Value weights, Value outputs) {
  AffineExpr t, k, d;
  bindDims(b.getContext(), t, k, d);
  Sizes sizes = {b.size(weights, 0), b.size(outputs, 2)};
  return b.generic({{t, k}, {t, k, d}, {t, d}}, {weights, outputs},
                   b.filled(sizes, b.f32(0)), multiplyAdd);
}

/// value[indices] = scalar.
Value insert(LinalgBuilder &b, Value scalar, Value into, ValueRange indices) {
  return tensor::InsertOp::create(b, scalar, into, indices);
}

/// offsets[e] = the number of pairs whose expert is less than e.
Value emitOffsets(LinalgBuilder &b, Value experts, OpFoldResult count) {
  AffineExpr e, t, k;
  bindDims(b.getContext(), e, t, k);
  return b.generic(
      {{t, k}, {e}}, experts, b.filled({count}, b.i32(0)),
      [&](LinalgBuilder &b, ValueRange x) -> Value {
        Value before = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, x[0],
                                             b.toI32(b.loop(e)));
        return arith::AddIOp::create(
            b, x[1], arith::ExtUIOp::create(b, b.getI32Type(), before));
      });
}

/// The experts that have slots, zeros after them, and their number.
std::pair<Value, Value> listActive(LinalgBuilder &b, Value offsets,
                                   OpFoldResult experts) {
  SmallVector<Value> inits = {b.filled({experts}, b.i32(0)), b.i32(0)};
  SmallVector<Value> listed = b.forEach(
      b.sizeValue(experts), inits,
      [&](LinalgBuilder &b, Value e, ValueRange carried) -> SmallVector<Value> {
        Value start = b.extract(offsets, e);
        Value next = arith::AddIOp::create(b, e, b.index(1));
        Value end = b.extract(offsets, next);
        Value hasSlots =
            arith::CmpIOp::create(b, arith::CmpIPredicate::slt, start, end);
        // An expert without slots writes a zero where the next that has some
        // will be.
        Value expert = b.toI32(e);
        Value entry = arith::SelectOp::create(b, hasSlots, expert, b.i32(0));
        Value list = insert(b, entry, carried[0], b.toIndex(carried[1]));
        Value one = arith::ExtUIOp::create(b, b.getI32Type(), hasSlots);
        return {list, arith::AddIOp::create(b, carried[1], one)};
      });
  Value count = b.filled({b.constant(1)}, listed[1]);
  return {listed[0], count};
}

/// The expert of each slot: how many later experts start at or before it.
Value expertOfSlots(LinalgBuilder &b, Value offsets, OpFoldResult slots) {
  AffineExpr s, e;
  bindDims(b.getContext(), s, e);
  Value starts = tensor::ExtractSliceOp::create(
      b, offsets, Sizes{b.constant(1)},
      Sizes{b.constant(cast<RankedTensorType>(offsets.getType()).getDimSize(0) -
                       1)},
      Sizes{b.constant(1)});
  return b.generic(
      {{e}, {s}}, starts, b.filled({slots}, b.i32(0)),
      [&](LinalgBuilder &b, ValueRange x) -> Value {
        Value started = arith::CmpIOp::create(b, arith::CmpIPredicate::sle,
                                              x[0], b.toI32(b.loop(s)));
        return arith::AddIOp::create(
            b, x[1], arith::ExtUIOp::create(b, b.getI32Type(), started));
      });
}

} // namespace

Results decompose(LinalgBuilder &b, ExpertsOp op) {
  AffineExpr t, k, n, d;
  bindDims(b.getContext(), t, k, n, d);
  Value experts = op.getExperts();
  auto project = [&](Value input, Indexing indexing, Value matrices) {
    Sizes sizes = {b.size(experts, 0), b.size(experts, 1), b.size(matrices, 1)};
    return b.generic({indexing, {t, k}, {t, k, n}}, {input, experts},
                     b.filled(sizes, b.f32(0)),
                     [&](LinalgBuilder &b, ValueRange x) {
                       return stepWithExpert(b, x, matrices, n, d);
                     });
  };
  Value gate = project(op.getInput(), {t, d}, op.getGate());
  Value up = project(op.getInput(), {t, d}, op.getUp());
  Value hidden = b.elementwise(
      {gate, up}, b.getF32Type(),
      [](LinalgBuilder &b, ValueRange x) { return emitSwiglu(b, x[0], x[1]); });
  Value outputs = project(hidden, {t, k, d}, op.getDown());
  return {combine(b, op.getWeights(), outputs)};
}

Results decompose(LinalgBuilder &b, GroupTokensOp op) {
  Value experts = op.getExperts();
  Sizes pairs = b.sizes(experts);
  Value tokens = b.sizeValue(pairs[0]), choices = b.sizeValue(pairs[1]);
  Value offsets = emitOffsets(b, experts, b.size(op.getOffsets(), 0));
  auto [active, count] = listActive(b, offsets, b.size(op.getActive(), 0));

  Value slots = arith::MulIOp::create(b, tokens, choices);
  SmallVector<Value> inits = {b.empty({slots}, Type(b.getI32Type())),
                              b.empty(pairs, Type(b.getI32Type())), offsets};
  SmallVector<Value> sorted = b.forEach(
      tokens, inits, [&](LinalgBuilder &b, Value t, ValueRange outer) {
        return b.forEach(
            choices, outer,
            [&](LinalgBuilder &b, Value k,
                ValueRange carried) -> SmallVector<Value> {
              Value expert = b.toIndex(b.extract(experts, {t, k}));
              Value slot = b.extract(carried[2], expert);
              Value next = arith::AddIOp::create(b, slot, b.i32(1));
              return {insert(b, b.toI32(t), carried[0], b.toIndex(slot)),
                      insert(b, slot, carried[1], {t, k}),
                      insert(b, next, carried[2], expert)};
            });
      });
  return {offsets, active, count, sorted[0], sorted[1]};
}

Results decompose(LinalgBuilder &b, GroupedLinearOp op) {
  AffineExpr s, n, k;
  bindDims(b.getContext(), s, n, k);
  Value input = op.getInput(), slotToken = op.getSlotToken();
  OpFoldResult slots = b.size(slotToken ? slotToken : input, 0);
  Value experts = expertOfSlots(b, op.getOffsets(), slots);
  Value init = b.filled({slots, b.size(op.getWeight(), 1)}, b.f32(0));
  if (!slotToken)
    return {b.generic({{s, k}, {s}, {s, n}}, {input, experts}, init,
                      [&](LinalgBuilder &b, ValueRange x) {
                        return stepWithExpert(b, x, op.getWeight(), n, k);
                      })};

  AffineExpr column = n;
  auto type = cast<RankedTensorType>(input.getType());
  Value gathered = b.generic(
      {{s}, {s, column}}, slotToken,
      b.empty({slots, b.constant(type.getDimSize(1))}, type.getElementType()),
      [&](LinalgBuilder &b, ValueRange x) {
        return b.extract(input, {b.toIndex(x[0]), b.loop(column)});
      });
  return {b.generic({{s, k}, {s}, {s, n}}, {gathered, experts}, init,
                    [&](LinalgBuilder &b, ValueRange x) {
                      return stepWithExpert(b, x, op.getWeight(), n, k);
                    })};
}

Results decompose(LinalgBuilder &b, CombineExpertsOp op) {
  AffineExpr t, k, d;
  bindDims(b.getContext(), t, k, d);
  Sizes sizes = {b.size(op.getWeights(), 0), b.size(op.getSlots(), 1)};
  return {b.generic(
      {{t, k}, {t, k}, {t, d}}, {op.getWeights(), op.getTokenSlot()},
      b.filled(sizes, b.f32(0)), [&](LinalgBuilder &b, ValueRange x) -> Value {
        Value output = b.extract(op.getSlots(), {b.toIndex(x[1]), b.loop(d)});
        return multiplyAdd(b, {x[0], output, x[2]});
      })};
}

} // namespace mlir::dsv2
