//===- RowEmitter.cpp - What row kernels of the GPU share -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RowEmitter.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

namespace mlir::dsv2::nvptx {

int64_t rowThreads(int64_t depth) {
  return std::min<int64_t>(512, llvm::alignTo(llvm::divideCeil(depth, 4), 32));
}

Type elementType(MLIRContext *context, bool isBf16) {
  return isBf16 ? Type(BFloat16Type::get(context))
                : Type(Float32Type::get(context));
}

Value RowEmitter::rowAt(Value base, Type type, Value row, int64_t stride,
                        int64_t start) {
  return element(base, type, add(mul(toI64(row), stride), start));
}

Columns RowEmitter::loadColumns(Value row, Type type, Value column) {
  Value at = element(row, type, column);
  Columns values;
  if (type.isF32()) {
    Value vector = load(vectorOf(4, getF32Type()), at);
    for (int64_t i = 0; i < 4; ++i)
      values.push_back(extract(vector, i));
    return values;
  }
  Value pairs = load(vectorOf(2, getI32Type()), at);
  for (int64_t i = 0; i < 2; ++i) {
    Value pair = extract(pairs, i);
    values.push_back(lowBf16(pair));
    values.push_back(highBf16(pair));
  }
  return values;
}

void RowEmitter::storeColumns(ArrayRef<Value> values, Value row, Type type,
                              Value column) {
  Value at = element(row, type, column);
  if (type.isF32()) {
    Value vector = splat(values[0], 4);
    for (int64_t i = 1; i < 4; ++i)
      vector = insert(values[i], vector, i);
    store(vector, at);
    return;
  }
  Value pairs = splat(packBf16(values[0], values[1]), 2);
  store(insert(packBf16(values[2], values[3]), pairs, 1), at);
}

RowEmitter::Target RowEmitter::target(RowFormat format, unsigned at,
                                      int64_t depth) {
  Target target{format, binding(at), {}, depth};
  if (format == RowFormat::fp8)
    target.scales = binding(at + 1);
  return target;
}

void RowEmitter::storeTarget(ArrayRef<Value> values, const Target &target,
                             Value row, Value column) {
  if (target.format != RowFormat::fp8) {
    Type type = elementType(getContext(), target.format == RowFormat::bf16);
    storeColumns(values, rowAt(target.rows, type, row, target.depth), type,
                 column);
    return;
  }
  Value scale = warpScale(values);
  Value quants = rowAt(target.rows, getI8Type(), row, target.depth);
  store(quantize(values, scale), offset(quants, column));
  ifThen(equal(lane(), 0), [&] {
    Value scales =
        rowAt(target.scales, getF32Type(), row, target.depth / scaleColumns);
    store(scale, element(scales, getF32Type(), shiftRight(column, 7)));
  });
}

void RowEmitter::forColumns(
    int64_t depth, int64_t threads,
    llvm::function_ref<void(Value column, int64_t step)> body) {
  Value first = shiftLeft(thread(), 2);
  int64_t width = 4 * threads;
  for (int64_t step = 0; step * width < depth; ++step) {
    Value column = add(first, step * width);
    if ((step + 1) * width <= depth)
      body(column, step);
    else
      ifThen(less(column, depth), [&] { body(column, step); });
  }
}

Value RowEmitter::blockSum(Value value, int64_t threads, Value scratch) {
  Value sum = warpSum(value);
  int64_t warps = threads / 32;
  if (warps == 1)
    return sum;
  ifThen(equal(lane(), 0), [&] {
    store(sum, element(scratch, getF32Type(), shiftRight(thread(), 5)));
  });
  barrier();
  Value total = load(getF32Type(), scratch);
  for (int64_t i = 1; i < warps; ++i)
    total = fadd(total, load(getF32Type(), offset(scratch, 4 * i)));
  return total;
}

Value RowEmitter::warpScale(ArrayRef<Value> values) {
  Value largest = fabs(values[0]);
  for (Value v : values.drop_front())
    largest = fmax(largest, fabs(v));
  largest = fmax(warpMax(largest), f32(1e-4f));
  return fdiv(largest, f32(448.0f));
}

Value RowEmitter::quantize(ArrayRef<Value> values, Value scale) {
  Value inverse = fdiv(f32(1.0f), scale);
  SmallVector<Value> scaled;
  for (Value v : values)
    scaled.push_back(fmul(v, inverse));
  Value low = toI32(packE4m3(scaled[0], scaled[1]));
  Value high = toI32(packE4m3(scaled[2], scaled[3]));
  return bitOr(low, shiftLeft(high, 16));
}

} // namespace mlir::dsv2::nvptx
