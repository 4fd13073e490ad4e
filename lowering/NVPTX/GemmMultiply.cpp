//===- GemmMultiply.cpp - The consumers of a product of many rows ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/GemmEmitter.h"

namespace mlir::dsv2::nvptx {

void GemmEmitter::release(Value stage, Value condition) {
  Value who = less(lane(), shape.blocks);
  if (condition)
    who = both(who, condition);
  ifThen(who, [&] {
    Value barrier = ring.emptyAt(*this, stage);
    if (spec.pairs)
      arriveAt(barrier, lane());
    else
      arrive(barrier);
  });
}

SmallVector<Value> GemmEmitter::multiplyStage(ValueRange sums, Value stage,
                                              Value consumer,
                                              Value accumulate) {
  Value input =
      descriptor(add(add(inputStages, mul(consumer, shape.inputBytes / 2)),
                     mul(stage, shape.inputBytes)));
  Value weights = descriptor(add(weightStages, mul(stage, shape.weightBytes)));
  ProductOptions options;
  options.element = spec.format == GemmFormat::fp8 ? MatrixElement::e4m3
                                                   : MatrixElement::bf16;
  SmallVector<Value> current(sums);
  fenceProducts();
  // 32 bytes of k each: 2 units of a descriptor.
  for (int64_t part = 0; part < GemmShape::stepBytes / 32; ++part) {
    options.accumulate = part ? Value() : accumulate;
    current =
        product(current, add(input, 2 * part), add(weights, 2 * part), options);
  }
  commitProducts();
  return current;
}

SmallVector<Value> GemmEmitter::multiply(const GemmTile &tile, Value consumer,
                                         RingState &state) {
  int64_t count = shape.columns / 2;
  SmallVector<Value> inits = undefinedSums(count);
  state.appendTo(inits);
  inits.push_back(state.stage);
  SmallVector<Value> results = loop(
      i32(0), i32(shape.steps), 1, inits, [&](Value step, ValueRange carried) {
        RingState state = RingState::of(carried.slice(count, 2));
        waitParity(ring.fullAt(*this, state.stage), state.phase);
        SmallVector<Value> next = multiplyStage(carried.take_front(count),
                                                state.stage, consumer, step);
        // All but these products are done: nothing reads the stage before.
        waitProducts(1);
        release(carried.back(), less(i32(0), step));
        state.next(*this, shape.stages).appendTo(next);
        next.push_back(state.stage);
        return next;
      });
  state = RingState::of(ArrayRef(results).slice(count, 2));
  SmallVector<Value> sums =
      waitProducts(0, ArrayRef(results).take_front(count));
  release(results.back(), {});
  return sums;
}

SmallVector<Value> GemmEmitter::multiplyScaled(const GemmTile &tile,
                                               Value consumer,
                                               RingState &state) {
  // The tensor cores add e4m3 products with few bits, so the sum of each 128 k
  // is scaled and added in f32 registers. While one consumer does that, the
  // other multiplies.
  int64_t count = shape.columns / 2;
  Type f32Type = getF32Type();
  int64_t stackTiles = llvm::divideCeil(spec.rows, int64_t(128));
  Value scaleRow = add(mul(tile.stack, stackTiles), div(tile.column, 128));
  int64_t kinds = spec.swiglu ? 2 : 1; // of rows of w: gate and up
  scaleRow = mul(scaleRow, kinds);
  Value weightScales =
      element(binding(shape.weightScales), f32Type, mul(scaleRow, shape.steps));
  Value rowScales[2];
  for (int64_t half = 0; half < 2; ++half) {
    // Rows behind the last read its scales; what they make is not stored.
    Value row = min(add(firstRow(tile, consumer), 8 * half), spec.maxRows - 1);
    rowScales[half] = element(binding(shape.inputScales), f32Type,
                              mul(toI64(row), shape.steps));
  }
  // The scales of a step are loaded one step ahead.
  auto scalesOf = [&](Value step) {
    SmallVector<Value> scales;
    for (int64_t kind = 0; kind < kinds; ++kind) {
      Value at = element(weightScales, f32Type, step);
      Value weight = load(f32Type, offset(at, 4 * kind * shape.steps));
      for (Value rows : rowScales)
        scales.push_back(
            fmul(load(f32Type, element(rows, f32Type, step)), weight));
    }
    return scales;
  };

  SmallVector<Value> inits(count, f32(0));
  state.appendTo(inits);
  llvm::append_range(inits, scalesOf(i32(0)));
  SmallVector<Value> results = loop(
      i32(0), i32(shape.steps), 1, inits, [&](Value step, ValueRange carried) {
        RingState state = RingState::of(carried.slice(count, 2));
        ValueRange scales = carried.take_back(2 * kinds);
        SmallVector<Value> following =
            scalesOf(min(add(step, 1), shape.steps - 1));
        waitParity(ring.fullAt(*this, state.stage), state.phase);
        SmallVector<Value> products =
            waitProducts(0, multiplyStage(undefinedSums(count), state.stage,
                                          consumer, i32(0)));
        release(state.stage, {});
        SmallVector<Value> next;
        for (int64_t i = 0; i < count; ++i)
          // Four of each eight columns, of gate and of up in turn.
          next.push_back(fma(products[i],
                             scales[i / 2 % 2 + 2 * (i / 4 % kinds)],
                             carried[i]));
        state.next(*this, shape.stages).appendTo(next);
        llvm::append_range(next, following);
        return next;
      });
  state = RingState::of(ArrayRef(results).slice(count, 2));
  return SmallVector<Value>(ArrayRef(results).take_front(count));
}

} // namespace mlir::dsv2::nvptx
