//===- VectorEmitter.cpp - Control, memory and float vectors --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

namespace mlir::dsv2::x86 {

// ---- Constants
// ---------------------------------------------------------------

Value VectorEmitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}

Value VectorEmitter::f32(float value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}

Value VectorEmitter::i32(int32_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(value));
}

Value VectorEmitter::splat(float value) {
  return arith::ConstantOp::create(*this,
                                   DenseElementsAttr::get(f32Vector(), value));
}

Value VectorEmitter::splatInt(int32_t value) {
  return arith::ConstantOp::create(*this,
                                   DenseElementsAttr::get(i32Vector(), value));
}

Value VectorEmitter::splatLike(Value like, float value) {
  if (auto type = dyn_cast<VectorType>(like.getType()))
    return arith::ConstantOp::create(*this,
                                     DenseElementsAttr::get(type, value));
  return f32(value);
}

Value VectorEmitter::splatIntLike(Value like, int32_t value) {
  if (auto type = dyn_cast<VectorType>(like.getType()))
    return arith::ConstantOp::create(
        *this, DenseElementsAttr::get(
                   VectorType::get(type.getShape(), getI32Type()), value));
  return i32(value);
}

// ---- Index arithmetic
// --------------------------------------------------------

Value VectorEmitter::add(Value a, Value b) {
  return createOrFold<arith::AddIOp>(a, b);
}
Value VectorEmitter::add(Value a, int64_t b) {
  return b == 0 ? a : add(a, index(b));
}
Value VectorEmitter::sub(Value a, Value b) {
  return createOrFold<arith::SubIOp>(a, b);
}
Value VectorEmitter::mul(Value a, Value b) {
  return createOrFold<arith::MulIOp>(a, b);
}
Value VectorEmitter::mul(Value a, int64_t b) {
  return b == 1 ? a : mul(a, index(b));
}
Value VectorEmitter::div(Value a, Value b) {
  return createOrFold<arith::DivUIOp>(a, b);
}
Value VectorEmitter::div(Value a, int64_t b) {
  return b == 1 ? a : div(a, index(b));
}
Value VectorEmitter::rem(Value a, Value b) {
  return createOrFold<arith::RemUIOp>(a, b);
}
Value VectorEmitter::rem(Value a, int64_t b) { return rem(a, index(b)); }
Value VectorEmitter::ceilDiv(Value a, int64_t b) {
  return div(add(a, b - 1), b);
}
Value VectorEmitter::min(Value a, Value b) {
  return createOrFold<arith::MinUIOp>(a, b);
}
Value VectorEmitter::min(Value a, int64_t b) { return min(a, index(b)); }

Value VectorEmitter::less(Value a, Value b) {
  return createOrFold<arith::CmpIOp>(arith::CmpIPredicate::ult, a, b);
}
Value VectorEmitter::equal(Value a, Value b) {
  return createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, a, b);
}

Value VectorEmitter::toIndex(Value i32) {
  return arith::IndexCastUIOp::create(*this, getIndexType(), i32);
}
Value VectorEmitter::toI32(Value index) {
  return arith::IndexCastUIOp::create(*this, getI32Type(), index);
}

// ---- Control
// -----------------------------------------------------------------

SmallVector<Value> VectorEmitter::loop(Value lower, Value upper, int64_t step,
                                       ValueRange inits, LoopBody body) {
  auto loop = scf::ForOp::create(*this, lower, upper, index(step), inits);
  InsertionGuard guard(*this);
  setInsertionPointToStart(loop.getBody());
  SmallVector<Value> results =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!inits.empty())
    scf::YieldOp::create(*this, results);
  return loop.getResults();
}

void VectorEmitter::loop(Value lower, Value upper, int64_t step,
                         llvm::function_ref<void(Value)> body) {
  loop(lower, upper, step, ValueRange{},
       [&](Value iv, ValueRange) -> SmallVector<Value> {
         body(iv);
         return {};
       });
}

void VectorEmitter::ifThen(Value condition, llvm::function_ref<void()> body) {
  auto op = scf::IfOp::create(*this, condition, /*withElseRegion=*/false);
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  body();
}

// ---- Memory
// ------------------------------------------------------------------

Value VectorEmitter::load(Value memref, ValueRange indices) {
  return memref::LoadOp::create(*this, memref, indices);
}

void VectorEmitter::store(Value value, Value memref, ValueRange indices) {
  memref::StoreOp::create(*this, value, memref, indices);
}

Value VectorEmitter::loadVector(Value memref, ValueRange indices,
                                int64_t count) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  return vector::LoadOp::create(*this, VectorType::get(count, element), memref,
                                indices);
}

Value VectorEmitter::loadF32(Value memref, ValueRange indices) {
  return loadVector(memref, indices, lanes());
}

Value VectorEmitter::loadBf16AsF32(Value memref, ValueRange indices) {
  Value bits =
      vector::BitCastOp::create(*this, VectorType::get(lanes(), getI16Type()),
                                loadVector(memref, indices, lanes()));
  Value wide = arith::ExtUIOp::create(*this, i32Vector(), bits);
  Value shifted = arith::ShLIOp::create(*this, wide, splatInt(16));
  return vector::BitCastOp::create(*this, f32Vector(), shifted);
}

Value VectorEmitter::loadF16AsF32(Value memref, ValueRange indices) {
  return arith::ExtFOp::create(*this, f32Vector(),
                               loadVector(memref, indices, lanes()));
}

void VectorEmitter::storeVector(Value vector, Value memref,
                                ValueRange indices) {
  vector::StoreOp::create(*this, vector, memref, indices);
}

Value VectorEmitter::mask(Value count) {
  Type type = VectorType::get(lanes(), getI1Type());
  return vector::CreateMaskOp::create(*this, type, count);
}

Value VectorEmitter::loadMasked(Value memref, ValueRange indices, Value mask) {
  return vector::MaskedLoadOp::create(*this, f32Vector(), memref, indices, mask,
                                      splat(0.0f));
}

void VectorEmitter::storeMasked(Value vector, Value memref, ValueRange indices,
                                Value mask) {
  vector::MaskedStoreOp::create(*this, memref, indices, mask, vector);
}

Value VectorEmitter::viewBytes(Value bytes, Type element) {
  auto type = cast<MemRefType>(bytes.getType());
  int64_t count = type.getDimSize(0) * 8 / element.getIntOrFloatBitWidth();
  return memref::ViewOp::create(*this, MemRefType::get({count}, element), bytes,
                                index(0), ValueRange{});
}

// ---- Vectors of f32
// ----------------------------------------------------------

Value VectorEmitter::broadcast(Value scalar) {
  return vector::BroadcastOp::create(
      *this, VectorType::get(lanes(), scalar.getType()), scalar);
}

Value VectorEmitter::fadd(Value a, Value b) {
  return arith::AddFOp::create(*this, a, b);
}
Value VectorEmitter::fsub(Value a, Value b) {
  return arith::SubFOp::create(*this, a, b);
}
Value VectorEmitter::fmul(Value a, Value b) {
  return arith::MulFOp::create(*this, a, b);
}
Value VectorEmitter::fdiv(Value a, Value b) {
  return arith::DivFOp::create(*this, a, b);
}
Value VectorEmitter::fma(Value a, Value b, Value c) {
  return math::FmaOp::create(*this, a, b, c);
}

Value VectorEmitter::fmax(Value a, Value b) {
  Value larger = arith::CmpFOp::create(*this, arith::CmpFPredicate::OGT, a, b);
  return select(larger, a, b);
}
Value VectorEmitter::fmin(Value a, Value b) {
  Value smaller = arith::CmpFOp::create(*this, arith::CmpFPredicate::OLT, a, b);
  return select(smaller, a, b);
}
Value VectorEmitter::fabs(Value a) { return math::AbsFOp::create(*this, a); }
Value VectorEmitter::select(Value mask, Value a, Value b) {
  return arith::SelectOp::create(*this, mask, a, b);
}

Value VectorEmitter::exp2(Value x) {
  // Interpolates (2^f - 1) / f at Chebyshev nodes of [-1/2, 1/2]; relative
  // error 1e-8 before rounding.
  constexpr float coefficients[] = {1.54531634e-4f,
                                    1.33908633e-3f,
                                    9.61808302e-3f,
                                    5.55035695e-2f,
                                    2.40226507e-1f,
                                    6.93147182e-1f,
                                    1.0f};
  // Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits. The
  // bounds are the first operands so that a NaN passes through.
  constexpr float magic = 12582912.0f;
  x = fmin(splatLike(x, 128.0f), fmax(splatLike(x, -127.0f), x));
  Value shifted = fadd(x, splatLike(x, magic));
  Value fraction = fsub(x, fsub(shifted, splatLike(x, magic)));
  Value result = splatLike(x, coefficients[0]);
  for (float coefficient : llvm::drop_begin(coefficients))
    result = fma(result, fraction, splatLike(x, coefficient));
  Value bits = bitcast(shifted, getI32Type());
  Value biased = arith::AddIOp::create(*this, bits, splatIntLike(x, 127));
  Value exponent = arith::ShLIOp::create(*this, biased, splatIntLike(x, 23));
  return fmul(result, bitcast(exponent, getF32Type()));
}

Value VectorEmitter::exp(Value x) {
  return exp2(fmul(x, splatLike(x, 1.44269504f)));
}

template <typename Combine>
static Value reduceHalves(ImplicitLocOpBuilder &b, Value vector,
                          Combine combine) {
  int64_t width = cast<VectorType>(vector.getType()).getDimSize(0);
  while (width > 1) {
    width /= 2;
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < width; ++i) {
      low.push_back(i);
      high.push_back(i + width);
    }
    vector = combine(vector::ShuffleOp::create(b, vector, vector, low),
                     vector::ShuffleOp::create(b, vector, vector, high));
  }
  return vector::ExtractOp::create(b, vector, ArrayRef<int64_t>{0});
}

Value VectorEmitter::reduceAdd(Value vector) {
  return reduceHalves(*this, vector,
                      [&](Value a, Value b) { return fadd(a, b); });
}

Value VectorEmitter::reduceMax(Value vector) {
  return reduceHalves(*this, vector,
                      [&](Value a, Value b) { return fmax(a, b); });
}

// ---- Vectors of integers
// -----------------------------------------------------

Value VectorEmitter::toF32(Value i32) {
  Type type = getF32Type();
  if (auto vectorType = dyn_cast<VectorType>(i32.getType()))
    type = VectorType::get(vectorType.getShape(), type);
  return arith::SIToFPOp::create(*this, type, i32);
}

Value VectorEmitter::roundToI32(Value f32) {
  Type type = getI32Type();
  if (auto vectorType = dyn_cast<VectorType>(f32.getType()))
    type = VectorType::get(vectorType.getShape(), type);
  Value rounded = math::RoundEvenOp::create(*this, f32);
  return arith::FPToSIOp::create(*this, type, rounded);
}

Value VectorEmitter::mulInt(Value i32, int32_t factor) {
  return arith::MulIOp::create(*this, i32, splatIntLike(i32, factor));
}

Value VectorEmitter::addInt(Value a, Value b) {
  return arith::AddIOp::create(*this, a, b);
}

Value VectorEmitter::bitcast(Value value, Type element) {
  auto type = dyn_cast<VectorType>(value.getType());
  if (!type)
    return arith::BitcastOp::create(*this, element, value);
  int64_t bits = type.getNumElements() * type.getElementTypeBitWidth();
  auto result =
      VectorType::get(bits / element.getIntOrFloatBitWidth(), element);
  return vector::BitCastOp::create(*this, result, value);
}

} // namespace mlir::dsv2::x86
