//===- VectorEmitter.h - A builder for micro-kernels ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A thin layer over OpBuilder for code written for a given vector width. It
// hides which instruction set provides a dot product or a rounding. Every
// vector is of one register: lanes() floats or int32, twice as many 16-bit or
// four times as many 8-bit elements.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_VECTOREMITTER_H
#define DSV2_LOWERING_X86_VECTOREMITTER_H

#include "lowering/X86/Target.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace mlir::dsv2::x86 {

class VectorEmitter : public ImplicitLocOpBuilder {
public:
  VectorEmitter(Location loc, OpBuilder builder, const InstructionSet &set)
      : ImplicitLocOpBuilder(loc, builder), instructionSet(set) {}

  const InstructionSet &set() const { return instructionSet; }
  int64_t lanes() const { return instructionSet.lanes; }

  // ---- Types and constants -------------------------------------------------
  VectorType f32Vector() { return VectorType::get(lanes(), getF32Type()); }
  VectorType i32Vector() { return VectorType::get(lanes(), getI32Type()); }
  VectorType i16Vector() { return VectorType::get(2 * lanes(), getI16Type()); }
  VectorType i8Vector() { return VectorType::get(4 * lanes(), getI8Type()); }
  VectorType bf16Pairs() { return VectorType::get(2 * lanes(), getBF16Type()); }

  Value index(int64_t value);
  Value f32(float value);
  Value i32(int32_t value);
  Value splat(float value);
  Value splatInt(int32_t value);

  // ---- Index arithmetic; an int64_t operand is a constant ------------------
  Value add(Value a, Value b);
  Value add(Value a, int64_t b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b);
  Value div(Value a, Value b); ///< of non-negative values
  Value div(Value a, int64_t b);
  Value rem(Value a, Value b);
  Value rem(Value a, int64_t b);
  Value ceilDiv(Value a, int64_t b);
  Value min(Value a, Value b);
  Value min(Value a, int64_t b);
  Value less(Value a, Value b); ///< i1, of non-negative values
  Value equal(Value a, Value b);
  /// An i32 as an index (non-negative) and back.
  Value toIndex(Value i32);
  Value toI32(Value index);

  // ---- Control -------------------------------------------------------------
  using LoopBody =
      llvm::function_ref<SmallVector<Value>(Value iv, ValueRange carried)>;
  /// for (iv = lower; iv < upper; iv += step), carrying values.
  SmallVector<Value> loop(Value lower, Value upper, int64_t step,
                          ValueRange inits, LoopBody body);
  void loop(Value lower, Value upper, int64_t step,
            llvm::function_ref<void(Value iv)> body);
  void ifThen(Value condition, llvm::function_ref<void()> body);

  // ---- Memory; indices address the first element ---------------------------
  Value load(Value memref, ValueRange indices); ///< one element
  void store(Value value, Value memref, ValueRange indices);
  /// `count` consecutive elements (a register's worth by default).
  Value loadVector(Value memref, ValueRange indices, int64_t count);
  Value loadF32(Value memref, ValueRange indices);
  /// lanes() consecutive narrow floats, widened.
  Value loadBf16AsF32(Value memref, ValueRange indices);
  Value loadF16AsF32(Value memref, ValueRange indices);
  void storeVector(Value vector, Value memref, ValueRange indices);
  /// The mask of the first `count` lanes (all of them when count >= lanes()).
  Value mask(Value count);
  Value loadMasked(Value memref, ValueRange indices, Value mask);
  void storeMasked(Value vector, Value memref, ValueRange indices, Value mask);
  /// `bytes` (memref<Nxi8>) from its start as elements of another type.
  Value viewBytes(Value bytes, Type element);

  // ---- Vectors of f32 ------------------------------------------------------
  Value broadcast(Value scalar);
  Value fadd(Value a, Value b);
  Value fsub(Value a, Value b);
  Value fmul(Value a, Value b);
  Value fdiv(Value a, Value b);
  Value fma(Value a, Value b, Value c); ///< a * b + c, rounded once
  /// The larger (smaller); b when either is NaN, as vmaxps (vminps) does.
  Value fmax(Value a, Value b);
  Value fmin(Value a, Value b);
  Value fabs(Value a);
  Value select(Value mask, Value a, Value b);
  /// 2^x within 2 ulp; 0 below -126.5, infinity from 128, NaN for NaN. A
  /// polynomial: the standard lowering would call libm for every lane. Works
  /// on scalars too.
  Value exp2(Value x);
  /// e^x = 2^(x * log2(e)).
  Value exp(Value x);
  /// Sum (maximum) of all lanes, by halves: a fixed order.
  Value reduceAdd(Value vector);
  Value reduceMax(Value vector);

  // ---- Vectors of integers -------------------------------------------------
  Value toF32(Value i32);      ///< exact below 2^24
  Value roundToI32(Value f32); ///< nearest even; |x| < 2^31
  Value mulInt(Value i32, int32_t factor);
  Value addInt(Value a, Value b);
  Value bitcast(Value vector, Type element);

  // ---- Narrow formats ------------------------------------------------------
  /// f32 to bf16, nearest even (the bf16 instructions flush subnormals).
  Value toBf16(Value f32);
  /// A 32-bit scalar (a pair of bf16, a quad of int8) in every lane, seen as
  /// elements of `element`.
  Value broadcastBits(Value i32, Type element);
  /// The 32 bits of consecutive narrow elements at `indices` of a memref of
  /// bf16 or i8.
  Value loadBits(Value memref, ValueRange indices);

  /// lanes() f16 in a vector of bytes, widened.
  Value halvesToF32(Value bytes);
  /// The low (high) four bits of each byte.
  Value lowNibbles(Value bytes);
  Value highNibbles(Value bytes);

  // ---- Dot products --------------------------------------------------------
  /// acc[i] += a[2i] * b[2i] + a[2i+1] * b[2i+1], accumulated in float32.
  /// One vdpbf16ps, or two FMAs (even elements first).
  Value dotBf16(Value acc, Value a, Value b);
  /// acc[i] += sum of u8[4i+j] * s8[4i+j] for j in 0..3, exactly. One vpdpbusd,
  /// or two vpmaddwd.
  Value dotU8S8(Value acc, Value u8, Value s8);
  /// The same for u8 < 16 in two steps, for sets without vpdpbusd: at most
  /// eight products accumulated in i16 lanes (the first without `acc`), which
  /// cannot overflow for |s8| <= 127, and their sum by pairs.
  Value dotNibblesS8(Value acc, Value u8, Value s8);
  Value addPairs(Value acc, Value i16);

private:
  Value splatLike(Value like, float value);
  Value splatIntLike(Value like, int32_t value);

  InstructionSet instructionSet;
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_VECTOREMITTER_H
