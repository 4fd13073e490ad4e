//===- GemvInput.cpp - The rows of x of a product of few rows -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Each block prepares all rows for itself: they are few, and come from L2.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/GemvEmitter.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

/// Parts of a row that a warp loads at once: more would need registers that
/// hold the weights (and scales) on their way.
static int64_t partsAtOnce(const GemvSpec &spec, int64_t parts) {
  bool many = spec.norm || spec.input == GemvType::f32;
  return std::min<int64_t>(parts, many ? 2 : 4);
}

Value GemvEmitter::factorOf(Value sumOfSquares) {
  return rsqrt(fma(sumOfSquares, f32(1.0f / static_cast<float>(spec.depth)),
                   f32(spec.epsilon)));
}

void GemvEmitter::prepare(Value matrix, Rows rows) {
  if (holdsRow())
    return prepareOne(matrix, rows);
  Value count = sub(rows.end, rows.first);
  int64_t together = std::min<int64_t>(llvm::bit_ceil(uint64_t(shape.chunk)),
                                       GemvShape::warps);
  int64_t warpsOfRow = GemvShape::warps / together;
  int64_t parts = GemvShape::virtualWarps / warpsOfRow;
  int64_t atOnce = partsAtOnce(spec, parts);
  Value firstPart = mul(rem(warp(), warpsOfRow), parts);
  auto forEachPart = [&](ValueRange inits, LoopBody body) {
    if (parts == atOnce)
      return body(firstPart, inits);
    return rolledLoop(parts, atOnce, inits,
                      [&](Value part, ValueRange carried) {
                        return body(add(firstPart, part), carried);
                      });
  };
  auto prepareRow = [&](Value address, Value row, Value factor) {
    forEachPart({}, [&](Value part, ValueRange) {
      prepareItems(address, row, part, atOnce, factor);
      return SmallVector<Value>();
    });
  };

  Value row = div(warp(), warpsOfRow);
  if (warpsOfRow == 1) {
    loop(row, count, together, [&](Value row) {
      Value address = inputAddress(matrix, rows, row);
      Value factor;
      if (spec.norm) {
        Value sum = forEachPart({f32(0)}, [&](Value part, ValueRange carried) {
          SmallVector<Value> sum(carried);
          for (Value square : squares(address, part, atOnce))
            sum[0] = fadd(sum[0], square);
          return sum;
        })[0];
        factor = factorOf(sum);
      }
      prepareRow(address, row, factor);
    });
    return barrier();
  }

  // At most one row for each warp.
  Value present = less(row, count);
  Value partials;
  if (spec.norm) {
    partials =
        element(normPartial, getF32Type(), mul(row, GemvShape::virtualWarps));
    ifThen(present, [&] {
      Value address = inputAddress(matrix, rows, row);
      forEachPart({}, [&](Value part, ValueRange) {
        SmallVector<Value> sums = squares(address, part, atOnce);
        ifThen(equal(lane(), 0), [&] {
          Value to = element(partials, getF32Type(), part);
          for (auto [i, sum] : llvm::enumerate(sums))
            store(sum, offset(to, 4 * static_cast<int64_t>(i)));
        });
        return SmallVector<Value>();
      });
    });
    barrier();
  }
  ifThen(present, [&] {
    Value address = inputAddress(matrix, rows, row);
    Value factor;
    if (spec.norm) {
      Value sum = load(getF32Type(), partials);
      for (int64_t part = 1; part < GemvShape::virtualWarps; ++part)
        sum = fadd(sum, load(getF32Type(), offset(partials, 4 * part)));
      factor = factorOf(sum);
    }
    prepareRow(address, row, factor);
  });
  barrier();
}

Value GemvEmitter::inputAddress(Value matrix, Rows rows, Value row) {
  if (spec.splitRows)
    return offset(merged, mul(row, spec.depth * 2));
  Type i32Type = getI32Type();
  Value index = add(rows.first, row);
  if (spec.gather)
    index = load(i32Type, element(binding(shape.slotToken), i32Type, index));
  Value first = mul(toI64(index), shape.inputStride);
  if (spec.heads > 1)
    first = add(first, mul(toI64(matrix), shape.inputHeadStride));
  return offset(binding(0), mul(first, spec.input == GemvType::bf16 ? 2 : 4));
}

SmallVector<Value> GemvEmitter::forEachItem(int64_t items, Value part,
                                            ValueRange inits, LoopBody body) {
  // All lanes take part in every round, since they exchange values.
  constexpr int64_t itemsOfRound = 32 * GemvShape::virtualWarps;
  Value first = add(mul(part, 32), lane());
  if (items <= itemsOfRound)
    return body(first, inits);
  int64_t rounds = llvm::divideCeil(items, itemsOfRound);
  return rolledLoop(rounds, 1, inits, [&](Value round, ValueRange carried) {
    return body(add(first, mul(round, itemsOfRound)), carried);
  });
}

SmallVector<Value> GemvEmitter::loadEight(Value address, Value item,
                                          GemvType type) {
  // Behind the end: anything, then zeros.
  int64_t items = spec.depth / 8;
  bool exact = items % (32 * GemvShape::virtualWarps) == 0;
  Value inside = exact ? item : min(item, items - 1);
  SmallVector<Value> values;
  if (type == GemvType::f32) {
    VectorType four = vectorOf(4, getF32Type());
    for (int64_t half = 0; half < 2; ++half) {
      Value vector =
          load(four, offset(address, add(mul(inside, 32), 16 * half)));
      for (int64_t i = 0; i < 4; ++i)
        values.push_back(extract(vector, i));
    }
  } else {
    Value vector =
        load(vectorOf(4, getI32Type()), offset(address, mul(inside, 16)));
    for (int64_t i = 0; i < 4; ++i) {
      values.push_back(lowBf16(extract(vector, i)));
      values.push_back(highBf16(extract(vector, i)));
    }
  }
  if (!exact) {
    Value present = less(item, items);
    for (Value &value : values)
      value = select(present, value, f32(0));
  }
  return values;
}

SmallVector<Value> GemvEmitter::squares(Value address, Value part,
                                        int64_t parts) {
  SmallVector<Value> sums = forEachItem(
      spec.depth / 8, part, SmallVector<Value>(parts, f32(0)),
      [&](Value item, ValueRange carried) {
        SmallVector<Value> sums(carried);
        for (int64_t i = 0; i < parts; ++i)
          for (Value value : loadEight(address, add(item, 32 * i), spec.input))
            sums[i] = fma(value, value, sums[i]);
        return sums;
      });
  for (Value &sum : sums)
    sum = warpSum(sum);
  return sums;
}

void GemvEmitter::prepareItems(Value address, Value row, Value part,
                               int64_t parts, Value factor) {
  int64_t depth = hasGroups(spec.format) ? paddedDepth(spec.depth) : spec.depth;
  forEachItem(depth / 8, part, {}, [&](Value first, ValueRange) {
    // All loads are on their way before the first value is used.
    SmallVector<SmallVector<Value>> values, scales;
    for (int64_t i = 0; i < parts; ++i) {
      Value item = add(first, 32 * i);
      values.push_back(loadEight(address, item, spec.input));
      if (spec.norm)
        scales.push_back(loadEight(binding(shape.gamma), item, GemvType::f32));
    }
    for (int64_t i = 0; i < parts; ++i) {
      if (spec.norm)
        for (int64_t k = 0; k < 8; ++k)
          values[i][k] = fmul(fmul(values[i][k], factor), scales[i][k]);
      prepareEight(values[i], add(first, 32 * i), row);
    }
    return SmallVector<Value>();
  });
}

void GemvEmitter::prepareEight(SmallVector<Value> values, Value item,
                               Value row) {
  bool groups = hasGroups(spec.format);
  int64_t depth = groups ? paddedDepth(spec.depth) : spec.depth;
  Value present = less(item, depth / 8);
  Value place = offset(input, mul(row, shape.inputBytes));
  SmallVector<Value> words;
  Value scale, scaleGroup;
  int64_t scaleLanes = groups ? 4 : 16;

  if (spec.format != WeightFormat::bf16) {
    Value largest = fabs(values[0]);
    for (int64_t i = 1; i < 8; ++i)
      largest = fmax(largest, fabs(values[i]));
    largest = warpMax(largest, scaleLanes);
    Value inverse;
    // Divisions that round correctly branch, and would divide the loads of a
    // row from each other. What is next to nothing becomes zeros.
    if (groups) {
      // int4 products are 16 times too large, which a power of two undoes.
      float unit = spec.format == WeightFormat::int4 ? 16.0f : 1.0f;
      scale = fmul(largest, f32(1.0f / (127.0f * unit)));
      inverse = select(fless(f32(1e-30f), largest),
                       fmul(f32(127), rcp(largest)), f32(0));
    } else {
      scale = fmul(fmax(largest, f32(1e-4f)), f32(1.0f / 448));
      inverse = rcp(scale);
    }
    for (Value &value : values)
      value = fmul(value, inverse);
    scaleGroup = div(item, scaleLanes);
  }

  switch (spec.format) {
  case WeightFormat::bf16:
    for (int64_t i = 0; i < 8; i += 2)
      words.push_back(packBf16(values[i], values[i + 1]));
    break;
  case WeightFormat::fp8:
    for (int64_t i = 0; i < 8; i += 2)
      words.push_back(ptx("cvt.rn.f16x2.e4m3x2 $0, $1;", "=r,h", getI32Type(),
                          packE4m3(values[i], values[i + 1]),
                          /*hasSideEffects=*/false)[0]);
    break;
  case WeightFormat::int8:
  case WeightFormat::int4:
    for (int64_t word = 0; word < 2; ++word) {
      Value packed = bitAnd(roundToI32(values[4 * word]), 255);
      for (int64_t i = 1; i < 4; ++i)
        packed = bitOr(
            packed,
            shiftLeft(bitAnd(roundToI32(values[4 * word + i]), 255), 8 * i));
      words.push_back(packed);
    }
    break;
  }

  Value at;
  if (groups) // the order of int8 weights: of 64 k, lane, group, eight k
    at = add(mul(div(item, 8), 64),
             add(mul(rem(item, 4), 16), mul(rem(div(item, 4), 2), 8)));
  else
    at = mul(item, 16);
  Value vector = splat(words[0], words.size());
  for (size_t i = 1; i < words.size(); ++i)
    vector = insert(words[i], vector, i);
  ifThen(present, [&] {
    store(vector, offset(place, at));
    if (scale)
      ifThen(equal(rem(lane(), scaleLanes), 0), [&] {
        Value index = add(mul(scaleGroup, 8 * shape.columnTiles), row);
        store(scale, element(inputScale, getF32Type(), index));
      });
  });
}

} // namespace mlir::dsv2::nvptx
