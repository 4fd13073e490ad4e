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

/// A row is divided among this many virtual warps, so that sums of squares do
/// not depend on how many real ones share it.
static constexpr int64_t virtualWarps = 8;

void GemvEmitter::prepare(Value matrix, Rows rows) {
  Value count = sub(rows.end, rows.first);
  int64_t together = std::min<int64_t>(llvm::bit_ceil(uint64_t(shape.chunk)),
                                       GemvShape::warps);
  int64_t warpsOfRow = GemvShape::warps / together;
  int64_t parts = virtualWarps / warpsOfRow;
  Value firstPart = mul(rem(warp(), warpsOfRow), parts);
  auto meanToFactor = [&](Value sum) {
    return rsqrt(fma(sum, f32(1.0f / static_cast<float>(spec.depth)),
                     f32(spec.epsilon)));
  };

  Value row = div(warp(), warpsOfRow);
  if (warpsOfRow == 1) {
    loop(row, count, together, [&](Value row) {
      Value address = inputAddress(matrix, rows, row);
      Value factor;
      if (spec.norm) {
        factor = squares(address, i32(0));
        for (int64_t part = 1; part < virtualWarps; ++part)
          factor = fadd(factor, squares(address, i32(part)));
        factor = meanToFactor(factor);
      }
      for (int64_t part = 0; part < parts; ++part)
        prepareItems(address, row, i32(part), factor);
    });
    return barrier();
  }

  // At most one row for each warp.
  Value present = less(row, count);
  Value partials;
  if (spec.norm) {
    partials = element(normPartial, getF32Type(), mul(row, virtualWarps));
    ifThen(present, [&] {
      Value address = inputAddress(matrix, rows, row);
      for (int64_t part = 0; part < parts; ++part) {
        Value which = add(firstPart, part);
        Value sum = squares(address, which);
        ifThen(equal(lane(), 0),
               [&] { store(sum, element(partials, getF32Type(), which)); });
      }
    });
    barrier();
  }
  ifThen(present, [&] {
    Value address = inputAddress(matrix, rows, row);
    Value factor;
    if (spec.norm) {
      factor = load(getF32Type(), partials);
      for (int64_t part = 1; part < virtualWarps; ++part)
        factor = fadd(factor, load(getF32Type(), offset(partials, 4 * part)));
      factor = meanToFactor(factor);
    }
    for (int64_t part = 0; part < parts; ++part)
      prepareItems(address, row, add(firstPart, part), factor);
  });
  barrier();
}

Value GemvEmitter::inputAddress(Value matrix, Rows rows, Value row) {
  Type i32Type = getI32Type();
  Value index = add(rows.first, row);
  if (spec.gather)
    index = load(i32Type, element(binding(shape.slotToken), i32Type, index));
  Value first = mul(toI64(index), shape.inputStride);
  if (spec.heads > 1)
    first = add(first, mul(toI64(matrix), shape.inputHeadStride));
  return offset(binding(0), mul(first, spec.input == GemvType::bf16 ? 2 : 4));
}

void GemvEmitter::forEachItem(int64_t items, Value part,
                              llvm::function_ref<void(Value)> body) {
  // All lanes take part in every round, since they exchange values.
  Value first = add(mul(part, 32), lane());
  int64_t rounds = llvm::divideCeil(items, 32 * virtualWarps);
  if (rounds <= 2) {
    for (int64_t round = 0; round < rounds; ++round)
      body(add(first, round * 32 * virtualWarps));
    return;
  }
  loop(i32(0), i32(rounds), 1,
       [&](Value round) { body(add(first, mul(round, 32 * virtualWarps))); });
}

SmallVector<Value> GemvEmitter::loadEight(Value address, Value item,
                                          GemvType type) {
  // Behind the end: anything, then zeros.
  int64_t items = spec.depth / 8;
  bool exact = items % (32 * virtualWarps) == 0;
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

Value GemvEmitter::squares(Value address, Value part) {
  Value sum = f32(0);
  int64_t items = spec.depth / 8;
  int64_t rounds = llvm::divideCeil(items, 32 * virtualWarps);
  auto addItem = [&](Value round, Value sum) {
    Value item = add(add(mul(part, 32), lane()), mul(round, 32 * virtualWarps));
    for (Value value : loadEight(address, item, spec.input))
      sum = fma(value, value, sum);
    return sum;
  };
  if (rounds <= 2)
    for (int64_t round = 0; round < rounds; ++round)
      sum = addItem(i32(round), sum);
  else
    sum =
        loop(i32(0), i32(rounds), 1, sum, [&](Value round, ValueRange carried) {
          return SmallVector<Value>{addItem(round, carried[0])};
        })[0];
  return warpSum(sum);
}

void GemvEmitter::prepareItems(Value address, Value row, Value part,
                               Value factor) {
  int64_t depth = hasGroups(spec.format) ? paddedDepth(spec.depth) : spec.depth;
  forEachItem(depth / 8, part, [&](Value item) {
    SmallVector<Value> values = loadEight(address, item, spec.input);
    if (spec.norm) {
      SmallVector<Value> gammas =
          loadEight(binding(shape.gamma), item, GemvType::f32);
      for (int64_t i = 0; i < 8; ++i)
        values[i] = fmul(fmul(values[i], factor), gammas[i]);
    }
    prepareEight(values, item, row);
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
    if (groups) {
      // int4 products are 16 times too large, which a power of two undoes.
      float unit = spec.format == WeightFormat::int4 ? 16.0f : 1.0f;
      scale = fdiv(largest, f32(127.0f * unit));
      inverse = select(fless(f32(0), largest), fdiv(f32(127), largest), f32(0));
    } else {
      scale = fdiv(fmax(largest, f32(1e-4f)), f32(448));
      inverse = fdiv(f32(1), scale);
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
