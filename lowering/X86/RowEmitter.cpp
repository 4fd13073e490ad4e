//===- RowEmitter.cpp - What row and attention kernels share --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/RowEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

namespace mlir::dsv2::x86 {

MemRefType flatType(Type element, int64_t size) {
  return MemRefType::get({size}, element);
}

int64_t rowElements(RowFormat format, int64_t depth) {
  int64_t bytes = rowBytes(format, depth);
  switch (format) {
  case RowFormat::f32:
    return bytes / 4;
  case RowFormat::bf16:
    return bytes / 2;
  case RowFormat::int8:
    return bytes;
  }
  return bytes;
}

MemRefType rowBufferType(MLIRContext *context, RowFormat format, int64_t rows,
                         int64_t depth) {
  Builder b(context);
  Type element = format == RowFormat::f32    ? Type(b.getF32Type())
                 : format == RowFormat::bf16 ? Type(b.getBF16Type())
                                             : Type(b.getI8Type());
  return flatType(element, rows * rowElements(format, depth));
}

Value RowEmitter::loadLanes(Value memref, Value offset, int64_t count,
                            int64_t valid) {
  auto type = VectorType::get(
      count, cast<MemRefType>(memref.getType()).getElementType());
  if (valid >= count)
    return vector::LoadOp::create(*this, type, memref, offset);
  Value zero = arith::ConstantOp::create(*this, getZeroAttr(type));
  if (valid <= 0)
    return zero;
  Value mask = vector::ConstantMaskOp::create(
      *this, VectorType::get(count, getI1Type()), ArrayRef<int64_t>{valid});
  return vector::MaskedLoadOp::create(*this, type, memref, offset, mask, zero);
}

void RowEmitter::storeLanes(Value vector, Value memref, Value offset,
                            int64_t valid) {
  int64_t count = cast<VectorType>(vector.getType()).getNumElements();
  if (valid <= 0)
    return;
  if (valid >= count) {
    vector::StoreOp::create(*this, vector, memref, offset);
    return;
  }
  Value mask = vector::ConstantMaskOp::create(
      *this, VectorType::get(count, getI1Type()), ArrayRef<int64_t>{valid});
  vector::MaskedStoreOp::create(*this, memref, offset, mask, vector);
}

Value RowEmitter::loadRow(Value memref, Value offset, int64_t valid) {
  bool narrow = cast<MemRefType>(memref.getType()).getElementType().isBF16();
  if (narrow && valid == lanes())
    return loadBf16AsF32(memref, offset);
  Value loaded = loadLanes(memref, offset, lanes(), valid);
  if (!narrow)
    return loaded;
  Value bits =
      arith::ExtUIOp::create(*this, i32Vector(), bitcast(loaded, getI16Type()));
  return bitcast(arith::ShLIOp::create(*this, bits, splatInt(16)),
                 getF32Type());
}

void RowEmitter::storeRow(Value vector, Value memref, Value offset,
                          int64_t valid) {
  if (valid <= 0)
    return;
  bool narrow = cast<MemRefType>(memref.getType()).getElementType().isBF16();
  storeLanes(narrow ? toBf16(vector) : vector, memref, offset, valid);
}

Value RowEmitter::loadIndex(Value memref, Value offset) {
  return toIndex(load(memref, offset));
}

void RowEmitter::prefetch(Value memref, Value offset) {
  memref::PrefetchOp::create(*this, memref, ValueRange(offset),
                             /*isWrite=*/false, /*localityHint=*/2,
                             /*isDataCache=*/true);
}

Value RowEmitter::shuffle(Value a, Value b, ArrayRef<int64_t> lanes) {
  return vector::ShuffleOp::create(*this, a, b, lanes);
}

Value RowEmitter::laneLess(Value a, Value b) {
  if (isa<FloatType>(getElementTypeOrSelf(a)))
    return arith::CmpFOp::create(*this, arith::CmpFPredicate::OLT, a, b);
  return arith::CmpIOp::create(*this, arith::CmpIPredicate::slt, a, b);
}

Value RowEmitter::laneEqual(Value a, Value b) {
  if (isa<FloatType>(getElementTypeOrSelf(a)))
    return arith::CmpFOp::create(*this, arith::CmpFPredicate::OEQ, a, b);
  return arith::CmpIOp::create(*this, arith::CmpIPredicate::eq, a, b);
}

Value RowEmitter::laneIds() {
  SmallVector<int32_t> ids(lanes());
  std::iota(ids.begin(), ids.end(), 0);
  return arith::ConstantOp::create(*this, getI32VectorAttr(ids));
}

Value RowEmitter::broadcastInt(Value i32) {
  return vector::BroadcastOp::create(*this, i32Vector(), i32);
}

Value RowEmitter::addLanes(Value a, Value b) {
  return arith::AddIOp::create(*this, a, b);
}

Value RowEmitter::sqrt(Value x) { return math::SqrtOp::create(*this, x); }

Value RowEmitter::swiglu(Value gate, Value up) {
  Value divisor = fadd(exp(fsub(splat(0.0f), gate)), splat(1.0f));
  return fmul(fdiv(gate, divisor), up);
}

Value RowEmitter::roundEven(Value x) {
  return math::RoundEvenOp::create(*this, x);
}

Value RowEmitter::reduceAcross(
    SmallVector<Value> vectors,
    llvm::function_ref<Value(Value, Value)> combine) {
  // Each level combines the halves of the segments of two vectors and joins the
  // results.
  for (int64_t half = lanes() / 2; half > 0; half /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t segment = 0; segment < lanes(); segment += 2 * half)
      for (int64_t which = 0; which < 2; ++which)
        for (int64_t i = 0; i < half; ++i) {
          low.push_back(which * lanes() + segment + i);
          high.push_back(which * lanes() + segment + half + i);
        }
    int64_t count = vectors.size() / 2;
    for (int64_t i = 0; i < count; ++i) {
      Value a = vectors[i], b = vectors[i + count];
      vectors[i] = combine(shuffle(a, b, low), shuffle(a, b, high));
    }
    vectors.truncate(count);
  }
  return vectors[0];
}

Value RowEmitter::exp2Softmax(Value x) {
  // Interpolates (2^f - 1) / f at Chebyshev nodes of [-1/2, 1/2].
  constexpr float terms[] = {1.0f, 6.931367339e-1f, 2.402253010e-1f,
                             5.583828295e-2f, 9.656710289e-3f};
  // Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits.
  Value magic = splat(12582912.0f);
  Value shifted = fadd(fmax(x, splat(-126.0f)), magic);
  Value fraction = fsub(fmax(x, splat(-126.0f)), fsub(shifted, magic));
  Value poly = splat(terms[4]);
  for (int i = 3; i >= 0; --i)
    poly = fma(poly, fraction, splat(terms[i]));
  Value exponent = arith::ShLIOp::create(*this, bitcast(shifted, getI32Type()),
                                         splatInt(23));
  return bitcast(addLanes(bitcast(poly, getI32Type()), exponent), getF32Type());
}

Value RowEmitter::pairBf16(Value low, Value high) {
  auto widen = [&](Value value) -> Value {
    return arith::ExtUIOp::create(*this, i32Vector(),
                                  bitcast(toBf16(value), getI16Type()));
  };
  Value shifted = arith::ShLIOp::create(*this, widen(high), splatInt(16));
  return arith::OrIOp::create(*this, widen(low), shifted);
}

void RowEmitter::loopTail(int64_t size, int64_t step, TailBody body) {
  int64_t whole = size / step * step;
  if (whole == step)
    body(index(0), step);
  else if (whole)
    loop(index(0), index(whole), step, [&](Value iv) { body(iv, step); });
  if (size != whole)
    body(index(whole), size - whole);
}

void RowEmitter::loopSlice(Value from, int64_t width, int64_t size,
                           int64_t step, TailBody body) {
  if (width >= size)
    return loopTail(size, step, body);
  int64_t whole = size / step * step;
  Value end = min(add(from, width), whole);
  loop(from, end, step, [&](Value iv) { body(iv, step); });
  if (size != whole)
    ifThen(arith::CmpIOp::create(*this, arith::CmpIPredicate::sgt,
                                 add(from, width), index(whole)),
           [&] { body(index(whole), size - whole); });
}

void RowEmitter::storeGroup(ArrayRef<Value> vectors, RowFormat format,
                            Value memref, Value row, Value offset,
                            int64_t depth, int64_t valid) {
  if (format == RowFormat::int8)
    return storeInt8Group(vectors, memref, row, offset, depth);
  Value start = add(row, offset);
  for (auto [i, vector] : llvm::enumerate(vectors))
    storeRow(vector, memref, at(start, i * lanes()),
             format == RowFormat::f32 ? validLanes(valid, i) : lanes());
}

void RowEmitter::storeInt8Group(ArrayRef<Value> vectors, Value memref,
                                Value row, Value offset, int64_t depth) {
  Value largest = fabs(vectors[0]);
  for (Value vector : vectors.drop_front())
    largest = fmax(largest, fabs(vector));
  Value scale = arith::DivFOp::create(*this, reduceMax(largest), f32(127.0f));
  // 0 / 0 would be NaN; any divisor gives the zeros wanted.
  Value isZero = laneEqual(scale, f32(0.0f));
  Value divisor = broadcast(select(isZero, f32(1.0f), scale));

  Value sums;
  for (auto [i, vector] : llvm::enumerate(vectors)) {
    Value scaled = fdiv(vector, divisor);
    scaled = fmax(fmin(scaled, splat(127.0f)), splat(-127.0f));
    Value quants = roundToI32(scaled);
    sums = i ? arith::AddIOp::create(*this, sums, quants).getResult() : quants;
    Value bytes = arith::TruncIOp::create(
        *this, VectorType::get(lanes(), getI8Type()), quants);
    vector::StoreOp::create(*this, bytes, memref,
                            at(add(row, offset), i * lanes()));
  }
  Value sum =
      vector::ReductionOp::create(*this, vector::CombiningKind::ADD, sums);

  // offset / 32 * 4 bytes into the scales and into the sums.
  Value place = add(row, div(offset, groupSize / 4));
  auto storeBits = [&](Value bits, int64_t base) {
    Value one = vector::BroadcastOp::create(
        *this, VectorType::get(1, bits.getType()), bits);
    storeVector(bitcast(one, getI8Type()), memref, at(place, base));
  };
  storeBits(scale, scalesOffset(depth));
  storeBits(sum, sumsOffset(depth));
}

} // namespace mlir::dsv2::x86
