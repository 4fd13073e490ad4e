//===- PtxBuilder.h - A builder for GPU code --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A thin layer over OpBuilder for code of one GPU thread: scalars and short
// vectors, addresses of global and shared memory, warps and blocks. Integers
// are i32 unless said otherwise, and sizes are below 2^31; address arithmetic
// is in 64 bits. An int64_t operand is a constant of the other operand's type.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_PTXBUILDER_H
#define DSV2_LOWERING_NVPTX_PTXBUILDER_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace mlir::dsv2::nvptx {

class PtxBuilder : public ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  // ---- Types and constants -------------------------------------------------
  Type globalPointer() { return LLVM::LLVMPointerType::get(getContext(), 1); }
  Type sharedPointer() { return LLVM::LLVMPointerType::get(getContext(), 3); }
  VectorType vectorOf(int64_t count, Type element) {
    return VectorType::get(count, element);
  }
  Value i32(int64_t value);
  Value i64(int64_t value);
  Value f32(float value);
  Value flag(bool value);
  /// `value` as a constant of an integer type.
  Value constantLike(Value like, int64_t value);

  // ---- Integers ------------------------------------------------------------
  Value add(Value a, Value b);
  Value add(Value a, int64_t b);
  Value sub(Value a, Value b);
  Value sub(Value a, int64_t b);
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b);
  Value div(Value a, Value b); ///< unsigned
  Value div(Value a, int64_t b);
  Value rem(Value a, Value b); ///< unsigned
  Value rem(Value a, int64_t b);
  Value ceilDiv(Value a, int64_t b);
  Value bitAnd(Value a, Value b);
  Value bitAnd(Value a, int64_t b);
  Value bitOr(Value a, Value b);
  Value bitOr(Value a, int64_t b);
  Value bitXor(Value a, Value b);
  Value bitXor(Value a, int64_t b);
  Value shiftLeft(Value a, int64_t b);
  Value shiftRight(Value a, int64_t b); ///< unsigned
  Value shiftRight(Value a, Value b);   ///< unsigned
  Value shiftRightSigned(Value a, int64_t b);
  Value min(Value a, Value b); ///< signed
  Value min(Value a, int64_t b);
  Value max(Value a, Value b); ///< signed
  Value max(Value a, int64_t b);
  Value less(Value a, Value b); ///< signed
  Value less(Value a, int64_t b);
  Value equal(Value a, Value b);
  Value equal(Value a, int64_t b);
  Value notEqual(Value a, int64_t b);
  Value toI64(Value i32);       ///< zero-extended
  Value toI32(Value wide);      ///< truncated; narrower types are zero-extended
  Value both(Value a, Value b); ///< of flags
  Value either(Value a, Value b); ///< of flags
  Value select(Value condition, Value a, Value b);

  // ---- f32, and vectors of it ----------------------------------------------
  Value fadd(Value a, Value b);
  Value fsub(Value a, Value b);
  Value fmul(Value a, Value b);
  Value fdiv(Value a, Value b);         ///< rounded correctly
  Value fma(Value a, Value b, Value c); ///< a * b + c, rounded once
  Value fmax(Value a, Value b);         ///< the other one when one is NaN
  Value fmin(Value a, Value b);
  Value fabs(Value a);
  Value fneg(Value a);
  Value fless(Value a, Value b); ///< false for NaN
  Value toF32(Value i32);        ///< signed
  Value roundToI32(Value f32);   ///< nearest even
  /// One instruction each, within 2 ulp; subnormals are flushed.
  Value ex2(Value x);   ///< 2^x
  Value rcp(Value x);   ///< 1/x
  Value rsqrt(Value x); ///< 1/sqrt(x)
  Value lg2(Value x);   ///< log2(x)
  /// e^x = 2^(x * log2(e)).
  Value exp(Value x);
  /// 1 / (1 + e^-x) and x times that.
  Value sigmoid(Value x);
  Value silu(Value x);

  // ---- Narrow formats ------------------------------------------------------
  /// Two f32 as bf16 in one i32, `low` in its low half; nearest even.
  Value packBf16(Value low, Value high);
  /// The halves of an i32 as f32.
  Value lowBf16(Value packed);
  Value highBf16(Value packed);
  Value bf16ToF32(Value bf16);
  Value toBf16(Value f32); ///< nearest even
  /// Two f32 as e4m3 in one i16, saturated to +-448; nearest even.
  Value packE4m3(Value low, Value high);
  /// The two e4m3 of an i16 as f32.
  std::pair<Value, Value> unpackE4m3(Value packed);

  // ---- Memory --------------------------------------------------------------
  /// `pointer` moved by bytes (i32 or i64; i32 is not negative).
  Value offset(Value pointer, Value bytes);
  Value offset(Value pointer, int64_t bytes);
  /// The address of element `index` of an array.
  Value element(Value pointer, Type type, Value index);
  /// Loads and stores `type`, naturally aligned unless `alignment` says less.
  Value load(Type type, Value pointer, unsigned alignment = 0);
  void store(Value value, Value pointer, unsigned alignment = 0);
  /// A load of what no kernel of the step writes (a weight), without keeping it
  /// in L1. Before waitForPrevious() it is on its way while that waits: loads
  /// through the read-only cache (.nc) would not be, since ptxas moves them.
  Value loadStream(Type type, Value pointer);
  Value extract(Value vector, int64_t index);
  Value insert(Value scalar, Value vector, int64_t index);
  Value splat(Value scalar, int64_t count);
  Value bitcast(Value value, Type type);

  // ---- Control -------------------------------------------------------------
  using LoopBody =
      llvm::function_ref<SmallVector<Value>(Value iv, ValueRange carried)>;
  /// for (iv = lower; iv < upper; iv += step), signed, carrying values.
  SmallVector<Value> loop(Value lower, Value upper, Value step,
                          ValueRange inits, LoopBody body);
  SmallVector<Value> loop(Value lower, Value upper, int64_t step,
                          ValueRange inits, LoopBody body);
  void loop(Value lower, Value upper, Value step,
            llvm::function_ref<void(Value iv)> body);
  void loop(Value lower, Value upper, int64_t step,
            llvm::function_ref<void(Value iv)> body);
  /// for (iv = 0; iv < upper; iv += step) that neither LLVM nor ptxas unrolls:
  /// what one round needs is all that the loop takes of the registers.
  SmallVector<Value> rolledLoop(int64_t upper, int64_t step, ValueRange inits,
                                LoopBody body);
  void ifThen(Value condition, llvm::function_ref<void()> body);
  SmallVector<Value> ifElse(Value condition, TypeRange results,
                            llvm::function_ref<SmallVector<Value>()> then,
                            llvm::function_ref<SmallVector<Value>()> otherwise);

  // ---- Threads -------------------------------------------------------------
  Value thread(); ///< in its block
  Value lane();   ///< in its warp
  Value warp();   ///< in its block, known to be the same in all its lanes
  /// All threads of the block; or `count` threads at barrier `id` (1 to 15).
  void barrier();
  void barrier(int64_t id, int64_t count);
  void warpSync();
  /// `value` (i32 or f32) of another lane.
  Value shuffleXor(Value value, int64_t mask);
  Value shuffleFrom(Value value, Value lane);
  /// Over `lanes` (a power of two) consecutive lanes, in all of them; the order
  /// is fixed: by halves of the distance.
  Value warpSum(Value value, int64_t lanes = 32);
  Value warpMax(Value value, int64_t lanes = 32);
  /// Which lanes have it set.
  Value ballot(Value condition);

  // ---- Dependent launches --------------------------------------------------
  /// Waits until the previous launch has ended and its writes are visible.
  void waitForPrevious();
  /// Lets the next launch begin once all blocks have come here.
  void launchDependents();

  // ---- Escapes -------------------------------------------------------------
  Value intrinsic(StringRef name, Type result, ValueRange operands);
  /// Inline PTX with LLVM's constraint letters ("=f,f,l"); returns the results
  /// one by one. Statements with effects are not moved across each other.
  SmallVector<Value> ptx(StringRef text, StringRef constraints,
                         TypeRange results, ValueRange operands,
                         bool hasSideEffects = true);

private:
  template <typename Op>
  Value binary(Value a, Value b);
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_PTXBUILDER_H
