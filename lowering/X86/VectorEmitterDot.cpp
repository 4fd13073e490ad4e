//===- VectorEmitterDot.cpp - Narrow formats and dot products -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace mlir::dsv2::x86 {
namespace {

Value splatOf(ImplicitLocOpBuilder &b, VectorType type, int64_t value) {
  Attribute element = b.getIntegerAttr(type.getElementType(), value);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, element));
}

Value shiftLeft(ImplicitLocOpBuilder &b, Value v, int64_t bits) {
  auto type = cast<VectorType>(v.getType());
  return arith::ShLIOp::create(b, v, splatOf(b, type, bits));
}
Value shiftRight(ImplicitLocOpBuilder &b, Value v, int64_t bits) {
  auto type = cast<VectorType>(v.getType());
  return arith::ShRUIOp::create(b, v, splatOf(b, type, bits));
}
Value shiftRightSigned(ImplicitLocOpBuilder &b, Value v, int64_t bits) {
  auto type = cast<VectorType>(v.getType());
  return arith::ShRSIOp::create(b, v, splatOf(b, type, bits));
}
Value andMask(ImplicitLocOpBuilder &b, Value v, int64_t mask) {
  auto type = cast<VectorType>(v.getType());
  return arith::AndIOp::create(b, v, splatOf(b, type, mask));
}

Value intrinsic(ImplicitLocOpBuilder &b, StringRef name, Type result,
                ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name),
                                       operands)
      .getResults();
}

/// a[2i] * b[2i] + a[2i+1] * b[2i+1] of i16.
Value multiplyPairs(VectorEmitter &b, Value left, Value right, Type result) {
  return intrinsic(b,
                   b.set().hasAvx512() ? "llvm.x86.avx512.pmaddw.d.512"
                                       : "llvm.x86.avx2.pmadd.wd",
                   result, {left, right});
}

} // namespace

Value VectorEmitter::toBf16(Value f32) {
  auto result = VectorType::get(lanes(), getBF16Type());
  if (instructionSet.hasBf16Dot)
    return arith::TruncFOp::create(*this, result, f32);
  Value bits = bitcast(f32, getI32Type());
  Value odd = andMask(*this, shiftRight(*this, bits, 16), 1);
  Value bias = arith::AddIOp::create(*this, odd, splatInt(0x7fff));
  Value rounded =
      shiftRight(*this, arith::AddIOp::create(*this, bits, bias), 16);
  Value quiet =
      arith::OrIOp::create(*this, shiftRight(*this, bits, 16), splatInt(0x40));
  Value isNan =
      arith::CmpFOp::create(*this, arith::CmpFPredicate::UNO, f32, f32);
  Value chosen = select(isNan, quiet, rounded);
  Value narrow = arith::TruncIOp::create(
      *this, VectorType::get(lanes(), getI16Type()), chosen);
  return vector::BitCastOp::create(*this, result, narrow);
}

Value VectorEmitter::broadcastBits(Value i32, Type element) {
  return bitcast(broadcast(i32), element);
}

Value VectorEmitter::loadBits(Value memref, ValueRange indices) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  Value narrow =
      loadVector(memref, indices, 32 / element.getIntOrFloatBitWidth());
  Value wide = vector::BitCastOp::create(
      *this, VectorType::get(1, getI32Type()), narrow);
  return vector::ExtractOp::create(*this, wide, ArrayRef<int64_t>{0});
}

Value VectorEmitter::halvesToF32(Value bytes) {
  return arith::ExtFOp::create(*this, f32Vector(),
                               bitcast(bytes, getF16Type()));
}

Value VectorEmitter::lowNibbles(Value bytes) {
  return andMask(*this, bytes, 15);
}

Value VectorEmitter::highNibbles(Value bytes) {
  Value shifted = shiftRight(*this, bitcast(bytes, getI16Type()), 4);
  return andMask(*this, bitcast(shifted, getI8Type()), 15);
}

Value VectorEmitter::dotBf16(Value acc, Value a, Value b) {
  if (instructionSet.hasBf16Dot)
    return x86vector::DotBF16Op::create(*this, acc, a, b);
  auto even = [&](Value v) {
    return bitcast(shiftLeft(*this, bitcast(v, getI32Type()), 16),
                   getF32Type());
  };
  auto odd = [&](Value v) {
    return bitcast(andMask(*this, bitcast(v, getI32Type()), 0xffff0000),
                   getF32Type());
  };
  return fma(odd(a), odd(b), fma(even(a), even(b), acc));
}

Value VectorEmitter::dotU8S8(Value acc, Value u8, Value s8) {
  if (instructionSet.hasVnni)
    return intrinsic(*this, "llvm.x86.avx512.vpdpbusd.512", i32Vector(),
                     {acc, u8, s8});
  // vpmaddubsw saturates at 16 bits, so widen both sides and use vpmaddwd on
  // the even and on the odd bytes.
  Value u16 = bitcast(u8, getI16Type());
  Value s16 = bitcast(s8, getI16Type());
  Value evenU = andMask(*this, u16, 0xff);
  Value oddU = shiftRight(*this, u16, 8);
  Value evenS = shiftRightSigned(*this, shiftLeft(*this, s16, 8), 8);
  Value oddS = shiftRightSigned(*this, s16, 8);
  Value even = multiplyPairs(*this, evenU, evenS, i32Vector());
  Value odd = multiplyPairs(*this, oddU, oddS, i32Vector());
  return arith::AddIOp::create(*this, arith::AddIOp::create(*this, acc, even),
                               odd);
}

Value VectorEmitter::dotNibblesS8(Value acc, Value u8, Value s8) {
  StringRef name = instructionSet.hasAvx512() ? "llvm.x86.avx512.pmaddubs.w.512"
                                              : "llvm.x86.avx2.pmadd.ub.sw";
  Value products = intrinsic(*this, name, i16Vector(), {u8, s8});
  return acc ? arith::AddIOp::create(*this, acc, products) : products;
}

Value VectorEmitter::addPairs(Value acc, Value i16) {
  Value ones = splatOf(*this, i16Vector(), 1);
  return arith::AddIOp::create(*this, acc,
                               multiplyPairs(*this, i16, ones, i32Vector()));
}

} // namespace mlir::dsv2::x86
