//===- GemvMultiply.cpp - Weights and products of few rows ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The order of k within a product is free, as long as w and x agree: a lane
// takes consecutive k of a row, 16 bytes of them.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/GemvEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::dsv2::nvptx {

/// 1.5 * 2^23 as f32 and its bits: integers below 2^22 added to the bits make
/// a float that is the constant plus the integer, without a conversion.
static constexpr float bias = 12582912.0f;
static constexpr int64_t biasBits = 0x4b400000;

/// Values a step keeps: two rows, and their scales.
static int64_t valuesOfStep(WeightFormat format, bool swiglu) {
  switch (format) {
  case WeightFormat::bf16:
    return 2;
  case WeightFormat::fp8:
    return swiglu ? 4 : 3;
  case WeightFormat::int8:
  case WeightFormat::int4:
    return 4;
  }
  return 0;
}

SmallVector<Value> GemvEmitter::wordsOf(Value vector) {
  if (!isa<VectorType>(vector.getType()))
    return {vector};
  SmallVector<Value> words;
  for (int64_t i = 0; i < cast<VectorType>(vector.getType()).getDimSize(0); ++i)
    words.push_back(extract(vector, i));
  return words;
}

GemvEmitter::Batch GemvEmitter::loadBatch(Value matrix, Value tile,
                                          Value firstStep, bool mayEnd) {
  Type i32Type = getI32Type();
  VectorType four = vectorOf(4, i32Type);
  Value base = binding(1);
  if (shape.matrices > 1)
    base = offset(base, mul(toI64(matrix), shape.matrixBytes));
  // This lane's two rows.
  Value row =
      add(add(mul(tile, shape.tileRows), mul(group, 16)), div(lane(), 4));
  Value data[2], scales[2];
  auto place = [&](Value row, int64_t i) {
    data[i] = offset(base, add(mul(toI64(row), shape.rowBytes),
                               toI64(mul(rem(lane(), 4), 16))));
    if (hasGroups(spec.format))
      scales[i] = offset(base, add(mul(toI64(row), shape.scaleBytes),
                                   spec.rows * shape.rowBytes));
  };
  if (spec.rows % shape.tileRows) {
    place(min(row, spec.rows - 1), 0);
    place(min(add(row, 8), spec.rows - 1), 1);
  } else {
    // One address serves both.
    place(row, 0);
    data[1] = offset(data[0], 8 * shape.rowBytes);
    if (hasGroups(spec.format))
      scales[1] = offset(scales[0], 8 * shape.scaleBytes);
  }
  if (spec.format == WeightFormat::fp8) {
    // One scale for all rows of the tile; with swiglu another for those of up.
    Value block = div(mul(tile, shape.tileRows), 128);
    if (shape.rowGroups > 1)
      block = div(min(row, spec.rows - 1), 128);
    int64_t blocks = (spec.rows + 127) / 128, steps = spec.depth / 128;
    if (shape.matrices > 1)
      block = add(block, mul(matrix, blocks));
    if (spec.swiglu)
      block = mul(block, 2);
    scales[0] = element(binding(shape.scales), getF32Type(), mul(block, steps));
    scales[1] = offset(scales[0], 4 * steps);
  }

  Batch batch;
  for (int64_t i = 0; i < shape.batch; ++i) {
    Value step = add(add(firstStep, i * shape.splits), split);
    bool clamps = mayEnd
                      ? shape.batches * shape.batch * shape.splits > shape.steps
                      : (i + 1) * shape.splits > shape.steps;
    if (clamps)
      step = min(step, shape.steps - 1);
    for (Value rowData : data)
      batch.push_back(
          loadStream(four, offset(rowData, mul(step, GemvShape::stepBytes))));
    if (spec.format == WeightFormat::fp8)
      for (int64_t half = 0; half < (spec.swiglu ? 2 : 1); ++half)
        batch.push_back(load(
            getF32Type(), element(scales[half], getF32Type(), div(step, 2))));
    if (hasGroups(spec.format)) {
      bool pair = spec.format == WeightFormat::int8;
      Type type = pair ? i32Type : vectorOf(2, i32Type);
      for (Value rowScales : scales)
        batch.push_back(
            loadStream(type, offset(rowScales, mul(step, pair ? 4 : 8))));
    }
  }
  return batch;
}

SmallVector<Value> GemvEmitter::multiplyBatch(ArrayRef<Value> batch,
                                              Value firstStep, ValueRange sums,
                                              bool last) {
  SmallVector<Value> current(sums);
  int64_t values = valuesOfStep(spec.format, spec.swiglu);
  for (int64_t i = 0; i < shape.batch; ++i) {
    ArrayRef<Value> weights = batch.slice(i * values, values);
    Value step = add(add(firstStep, i * shape.splits), split);
    int64_t begin = ((shape.batches - 1) * shape.batch + i) * shape.splits;
    if (!last || begin + shape.splits <= shape.steps) {
      current = multiplyStep(weights, step, current);
      continue;
    }
    if (begin >= shape.steps)
      break;
    // The same in all lanes of a warp.
    SmallVector<Type> types(current.size(), getF32Type());
    current = ifElse(
        less(split, shape.steps - begin), types,
        [&] { return multiplyStep(weights, step, current); },
        [&] { return current; });
  }
  return current;
}

SmallVector<Value> GemvEmitter::multiplyStep(ArrayRef<Value> weights,
                                             Value step, ValueRange sums) {
  switch (spec.format) {
  case WeightFormat::bf16:
    return multiplyPlain(weights, step, sums);
  case WeightFormat::fp8:
    return multiplyFp8(weights, step, sums);
  case WeightFormat::int8:
  case WeightFormat::int4:
    return multiplyGroups(weights, step, sums);
  }
  return {};
}

SmallVector<Value> GemvEmitter::inputWords(int64_t columnTile, Value step,
                                           int64_t bytes) {
  Value address =
      offset(inputAt[columnTile], add(mul(step, shape.inputStep), bytes));
  return wordsOf(load(vectorOf(4, getI32Type()), address));
}

std::pair<Value, Value> GemvEmitter::inputScales(int64_t columnTile,
                                                 Value group) {
  Value index = add(mul(group, 8 * shape.columnTiles),
                    add(mul(rem(lane(), 4), 2), 8 * columnTile));
  Value pair =
      load(vectorOf(2, getF32Type()), element(inputScale, getF32Type(), index));
  return {extract(pair, 0), extract(pair, 1)};
}

SmallVector<Value> GemvEmitter::multiplyPlain(ArrayRef<Value> weights,
                                              Value step, ValueRange sums) {
  SmallVector<Value> rows[2] = {wordsOf(weights[0]), wordsOf(weights[1])};
  SmallVector<Value> result;
  for (int64_t tile = 0; tile < shape.columnTiles; ++tile) {
    SmallVector<Value> x = inputWords(tile, step, 0);
    SmallVector<Value> part(sums.slice(4 * tile, 4));
    for (int64_t i = 0; i < 4; i += 2)
      part = warpProduct(
          part, {rows[0][i], rows[1][i], rows[0][i + 1], rows[1][i + 1]},
          {x[i], x[i + 1]}, MatrixElement::bf16);
    llvm::append_range(result, part);
  }
  return result;
}

SmallVector<Value> GemvEmitter::multiplyFp8(ArrayRef<Value> weights, Value step,
                                            ValueRange sums) {
  // e4m3 is exact in f16, and so are the products in f32.
  SmallVector<Value> rows[2];
  for (int64_t row = 0; row < 2; ++row)
    for (Value word : wordsOf(weights[row])) {
      Value pairs = bitcast(word, vectorOf(2, getI16Type()));
      for (int64_t half = 0; half < 2; ++half)
        rows[row].push_back(ptx("cvt.rn.f16x2.e4m3x2 $0, $1;", "=r,h",
                                getI32Type(), extract(pairs, half),
                                /*hasSideEffects=*/false)[0]);
    }
  SmallVector<Value> result;
  for (int64_t tile = 0; tile < shape.columnTiles; ++tile) {
    SmallVector<Value> x = inputWords(tile, step, 0);
    llvm::append_range(x, inputWords(tile, step, 16));
    SmallVector<Value> part(4, f32(0));
    for (int64_t i = 0; i < 8; i += 2)
      part = warpProduct(
          part, {rows[0][i], rows[1][i], rows[0][i + 1], rows[1][i + 1]},
          {x[i], x[i + 1]}, MatrixElement::f16);
    auto [even, odd] = inputScales(tile, div(step, 2));
    Value scales[2][2]; // of the rows, of the columns
    for (int64_t row = 0; row < 2; ++row) {
      Value weight = weights[spec.swiglu ? 2 + row : 2];
      scales[row][0] = fmul(even, weight);
      scales[row][1] = fmul(odd, weight);
    }
    for (int64_t i = 0; i < 4; ++i)
      result.push_back(fma(part[i], scales[i / 2][i % 2], sums[4 * tile + i]));
  }
  return result;
}

SmallVector<Value> GemvEmitter::multiplyGroups(ArrayRef<Value> weights,
                                               Value step, ValueRange sums) {
  bool four = spec.format == WeightFormat::int4;
  int64_t groups = four ? 4 : 2;
  SmallVector<Value> rows[2] = {wordsOf(weights[0]), wordsOf(weights[1])};
  SmallVector<Value> scales[2]; // f32, of each group
  for (int64_t row = 0; row < 2; ++row)
    for (Value word : wordsOf(weights[2 + row])) {
      Value halves = bitcast(word, vectorOf(2, getF16Type()));
      for (int64_t half = 0; half < 2; ++half)
        scales[row].push_back(
            arith::ExtFOp::create(*this, getF32Type(), extract(halves, half)));
    }
  auto operands = [&](int64_t group) -> SmallVector<Value> {
    if (!four)
      return {rows[0][2 * group], rows[1][2 * group], rows[0][2 * group + 1],
              rows[1][2 * group + 1]};
    // Quants in the high halves of bytes: 16 times their value.
    Value a = rows[0][group], b = rows[1][group];
    auto mask = static_cast<int32_t>(0xf0f0f0f0);
    return {bitAnd(shiftLeft(a, 4), mask), bitAnd(shiftLeft(b, 4), mask),
            bitAnd(a, mask), bitAnd(b, mask)};
  };
  SmallVector<SmallVector<Value>> a;
  for (int64_t group = 0; group < groups; ++group)
    a.push_back(operands(group));

  SmallVector<Value> result;
  for (int64_t tile = 0; tile < shape.columnTiles; ++tile) {
    SmallVector<Value> x = inputWords(tile, step, 0);
    if (four)
      llvm::append_range(x, inputWords(tile, step, 64));
    SmallVector<Value> part(sums.slice(4 * tile, 4));
    SmallVector<Value> start(4, i32(biasBits));
    for (int64_t group = 0; group < groups; ++group) {
      SmallVector<Value> dots = warpProduct(
          start, a[group], {x[2 * group], x[2 * group + 1]}, MatrixElement::s8);
      auto [even, odd] = inputScales(tile, add(mul(step, groups), group));
      for (int64_t i = 0; i < 4; ++i) {
        Value dot = fsub(bitcast(dots[i], getF32Type()), f32(bias));
        Value scale = fmul(scales[i / 2][group], i % 2 ? odd : even);
        part[i] = fma(dot, scale, part[i]);
      }
    }
    llvm::append_range(result, part);
  }
  return result;
}

} // namespace mlir::dsv2::nvptx
