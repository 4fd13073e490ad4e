//===- PtxBuilder.cpp - A builder for GPU code ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/PtxBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <numbers>

using namespace mlir;
using namespace mlir::dsv2::nvptx;

//===----------------------------------------------------------------------===//
// Constants and integers
//===----------------------------------------------------------------------===//

Value PtxBuilder::i32(int64_t value) {
  return arith::ConstantOp::create(*this,
                                   getI32IntegerAttr(static_cast<int>(value)));
}
Value PtxBuilder::i64(int64_t value) {
  return arith::ConstantOp::create(*this, getI64IntegerAttr(value));
}
Value PtxBuilder::f32(float value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}
Value PtxBuilder::flag(bool value) {
  return arith::ConstantOp::create(*this, getBoolAttr(value));
}
Value PtxBuilder::constantLike(Value like, int64_t value) {
  return arith::ConstantOp::create(*this,
                                   getIntegerAttr(like.getType(), value));
}

template <typename Op>
Value PtxBuilder::binary(Value a, Value b) {
  return createOrFold<Op>(a, b);
}

Value PtxBuilder::add(Value a, Value b) { return binary<arith::AddIOp>(a, b); }
Value PtxBuilder::add(Value a, int64_t b) {
  return b == 0 ? a : add(a, constantLike(a, b));
}
Value PtxBuilder::sub(Value a, Value b) { return binary<arith::SubIOp>(a, b); }
Value PtxBuilder::sub(Value a, int64_t b) { return add(a, -b); }
Value PtxBuilder::mul(Value a, Value b) { return binary<arith::MulIOp>(a, b); }
Value PtxBuilder::mul(Value a, int64_t b) {
  return b == 1 ? a : mul(a, constantLike(a, b));
}
Value PtxBuilder::div(Value a, Value b) { return binary<arith::DivUIOp>(a, b); }
Value PtxBuilder::div(Value a, int64_t b) {
  return b == 1 ? a : div(a, constantLike(a, b));
}
Value PtxBuilder::rem(Value a, Value b) { return binary<arith::RemUIOp>(a, b); }
Value PtxBuilder::rem(Value a, int64_t b) { return rem(a, constantLike(a, b)); }
Value PtxBuilder::ceilDiv(Value a, int64_t b) {
  return b == 1 ? a : div(add(a, b - 1), b);
}
Value PtxBuilder::bitAnd(Value a, Value b) {
  return binary<arith::AndIOp>(a, b);
}
Value PtxBuilder::bitAnd(Value a, int64_t b) {
  return bitAnd(a, constantLike(a, b));
}
Value PtxBuilder::bitOr(Value a, Value b) { return binary<arith::OrIOp>(a, b); }
Value PtxBuilder::bitOr(Value a, int64_t b) {
  return bitOr(a, constantLike(a, b));
}
Value PtxBuilder::bitXor(Value a, Value b) {
  return binary<arith::XOrIOp>(a, b);
}
Value PtxBuilder::bitXor(Value a, int64_t b) {
  return bitXor(a, constantLike(a, b));
}
Value PtxBuilder::shiftLeft(Value a, int64_t b) {
  return b == 0 ? a : binary<arith::ShLIOp>(a, constantLike(a, b));
}
Value PtxBuilder::shiftRight(Value a, int64_t b) {
  return b == 0 ? a : shiftRight(a, constantLike(a, b));
}
Value PtxBuilder::shiftRight(Value a, Value b) {
  return binary<arith::ShRUIOp>(a, b);
}
Value PtxBuilder::shiftRightSigned(Value a, int64_t b) {
  return b == 0 ? a : binary<arith::ShRSIOp>(a, constantLike(a, b));
}
Value PtxBuilder::min(Value a, Value b) { return binary<arith::MinSIOp>(a, b); }
Value PtxBuilder::min(Value a, int64_t b) { return min(a, constantLike(a, b)); }
Value PtxBuilder::max(Value a, Value b) { return binary<arith::MaxSIOp>(a, b); }
Value PtxBuilder::max(Value a, int64_t b) { return max(a, constantLike(a, b)); }

static Value compare(PtxBuilder &b, arith::CmpIPredicate predicate, Value lhs,
                     Value rhs) {
  return b.createOrFold<arith::CmpIOp>(predicate, lhs, rhs);
}
Value PtxBuilder::less(Value a, Value b) {
  return compare(*this, arith::CmpIPredicate::slt, a, b);
}
Value PtxBuilder::less(Value a, int64_t b) {
  return less(a, constantLike(a, b));
}
Value PtxBuilder::equal(Value a, Value b) {
  return compare(*this, arith::CmpIPredicate::eq, a, b);
}
Value PtxBuilder::equal(Value a, int64_t b) {
  return equal(a, constantLike(a, b));
}
Value PtxBuilder::notEqual(Value a, int64_t b) {
  return compare(*this, arith::CmpIPredicate::ne, a, constantLike(a, b));
}
Value PtxBuilder::toI64(Value value) {
  return value.getType().isInteger(64)
             ? value
             : createOrFold<arith::ExtUIOp>(getI64Type(), value);
}
Value PtxBuilder::toI32(Value value) {
  unsigned width = value.getType().getIntOrFloatBitWidth();
  if (width == 32)
    return value;
  if (width > 32)
    return createOrFold<arith::TruncIOp>(getI32Type(), value);
  return createOrFold<arith::ExtUIOp>(getI32Type(), value);
}
Value PtxBuilder::both(Value a, Value b) { return bitAnd(a, b); }
Value PtxBuilder::either(Value a, Value b) { return bitOr(a, b); }
Value PtxBuilder::select(Value condition, Value a, Value b) {
  return createOrFold<arith::SelectOp>(condition, a, b);
}

//===----------------------------------------------------------------------===//
// Floating point
//===----------------------------------------------------------------------===//

Value PtxBuilder::fadd(Value a, Value b) { return binary<arith::AddFOp>(a, b); }
Value PtxBuilder::fsub(Value a, Value b) { return binary<arith::SubFOp>(a, b); }
Value PtxBuilder::fmul(Value a, Value b) { return binary<arith::MulFOp>(a, b); }
Value PtxBuilder::fdiv(Value a, Value b) { return binary<arith::DivFOp>(a, b); }
Value PtxBuilder::fma(Value a, Value b, Value c) {
  return LLVM::FMAOp::create(*this, a, b, c);
}
Value PtxBuilder::fmax(Value a, Value b) {
  return binary<arith::MaxNumFOp>(a, b);
}
Value PtxBuilder::fmin(Value a, Value b) {
  return binary<arith::MinNumFOp>(a, b);
}
Value PtxBuilder::fabs(Value a) { return LLVM::FAbsOp::create(*this, a); }
Value PtxBuilder::fneg(Value a) { return arith::NegFOp::create(*this, a); }
Value PtxBuilder::fless(Value a, Value b) {
  return arith::CmpFOp::create(*this, arith::CmpFPredicate::OLT, a, b);
}
Value PtxBuilder::toF32(Value i32) {
  return arith::SIToFPOp::create(*this, getF32Type(), i32);
}
Value PtxBuilder::roundToI32(Value x) {
  return ptx("cvt.rni.s32.f32 $0, $1;", "=r,f", getI32Type(), x, false)[0];
}
Value PtxBuilder::ex2(Value x) {
  return ptx("ex2.approx.ftz.f32 $0, $1;", "=f,f", getF32Type(), x, false)[0];
}
Value PtxBuilder::rcp(Value x) {
  return ptx("rcp.approx.ftz.f32 $0, $1;", "=f,f", getF32Type(), x, false)[0];
}
Value PtxBuilder::rsqrt(Value x) {
  return ptx("rsqrt.approx.ftz.f32 $0, $1;", "=f,f", getF32Type(), x, false)[0];
}
Value PtxBuilder::lg2(Value x) {
  return ptx("lg2.approx.ftz.f32 $0, $1;", "=f,f", getF32Type(), x, false)[0];
}
Value PtxBuilder::exp(Value x) {
  return ex2(fmul(x, f32(std::numbers::log2e_v<float>)));
}
Value PtxBuilder::sigmoid(Value x) {
  return rcp(fadd(f32(1.0f), exp(fneg(x))));
}
Value PtxBuilder::silu(Value x) { return fmul(x, sigmoid(x)); }

//===----------------------------------------------------------------------===//
// Narrow formats
//===----------------------------------------------------------------------===//

Value PtxBuilder::packBf16(Value low, Value high) {
  return ptx("cvt.rn.bf16x2.f32 $0, $1, $2;", "=r,f,f", getI32Type(),
             {high, low}, false)[0];
}
Value PtxBuilder::lowBf16(Value packed) {
  return bitcast(shiftLeft(packed, 16), getF32Type());
}
Value PtxBuilder::highBf16(Value packed) {
  return bitcast(bitAnd(packed, int64_t(0xffff0000)), getF32Type());
}
Value PtxBuilder::bf16ToF32(Value bf16) {
  Value bits = bitcast(bf16, getI16Type());
  return bitcast(shiftLeft(toI32(bits), 16), getF32Type());
}
Value PtxBuilder::toBf16(Value value) {
  Value bits =
      ptx("cvt.rn.bf16.f32 $0, $1;", "=h,f", getI16Type(), value, false)[0];
  return bitcast(bits, getBF16Type());
}
Value PtxBuilder::packE4m3(Value low, Value high) {
  return ptx("cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;", "=h,f,f", getI16Type(),
             {high, low}, false)[0];
}
std::pair<Value, Value> PtxBuilder::unpackE4m3(Value packed) {
  Value halves = ptx("cvt.rn.f16x2.e4m3x2 $0, $1;", "=r,h", getI32Type(),
                     packed, false)[0];
  Value pair = bitcast(halves, vectorOf(2, getF16Type()));
  auto wide = [&](int64_t index) -> Value {
    return arith::ExtFOp::create(*this, getF32Type(), extract(pair, index));
  };
  return {wide(0), wide(1)};
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value PtxBuilder::offset(Value pointer, Value bytes) {
  return element(pointer, getI8Type(), bytes);
}
Value PtxBuilder::offset(Value pointer, int64_t bytes) {
  return bytes == 0 ? pointer : offset(pointer, i64(bytes));
}
Value PtxBuilder::element(Value pointer, Type type, Value index) {
  bool isShared =
      cast<LLVM::LLVMPointerType>(pointer.getType()).getAddressSpace() == 3;
  return LLVM::GEPOp::create(*this, pointer.getType(), type, pointer,
                             isShared ? toI32(index) : toI64(index));
}

static unsigned naturalAlignment(Type type) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.getNumElements() *
           vector.getElementType().getIntOrFloatBitWidth() / 8;
  return type.getIntOrFloatBitWidth() / 8;
}

Value PtxBuilder::load(Type type, Value pointer, unsigned alignment) {
  return LLVM::LoadOp::create(*this, type, pointer,
                              alignment ? alignment : naturalAlignment(type));
}
void PtxBuilder::store(Value value, Value pointer, unsigned alignment) {
  LLVM::StoreOp::create(*this, value, pointer,
                        alignment ? alignment
                                  : naturalAlignment(value.getType()));
}

Value PtxBuilder::loadStream(Type type, Value pointer) {
  unsigned bytes = naturalAlignment(type);
  // Narrow types travel in 16 bits, wide ones as vectors of 32.
  if (bytes < 4)
    return bitcast(ptx("ld.global.L1::no_allocate.b16 $0, [$1];", "=h,l",
                       getI16Type(), pointer)[0],
                   type);
  unsigned words = bytes / 4;
  std::string suffix, registers = "$0", constraints = "=r";
  if (words > 1) {
    suffix = words == 2 ? ".v2" : ".v4";
    registers = "{$0";
    for (unsigned i = 1; i < words; ++i) {
      registers += ", $" + std::to_string(i);
      constraints += ",=r";
    }
    registers += "}";
  }
  SmallVector<Type> results(words, getI32Type());
  SmallVector<Value> parts =
      ptx("ld.global.L1::no_allocate" + suffix + ".b32 " + registers + ", [$" +
              std::to_string(words) + "];",
          constraints + ",l", results, pointer);
  if (words == 1)
    return bitcast(parts[0], type);
  Value vector = LLVM::PoisonOp::create(*this, vectorOf(words, getI32Type()));
  for (unsigned i = 0; i < words; ++i)
    vector = insert(parts[i], vector, i);
  return bitcast(vector, type);
}

Value PtxBuilder::extract(Value vector, int64_t index) {
  return LLVM::ExtractElementOp::create(*this, vector, i32(index));
}
Value PtxBuilder::insert(Value scalar, Value vector, int64_t index) {
  return LLVM::InsertElementOp::create(*this, vector, scalar, i32(index));
}
Value PtxBuilder::splat(Value scalar, int64_t count) {
  Value vector =
      LLVM::PoisonOp::create(*this, vectorOf(count, scalar.getType()));
  for (int64_t i = 0; i < count; ++i)
    vector = insert(scalar, vector, i);
  return vector;
}
Value PtxBuilder::bitcast(Value value, Type type) {
  if (value.getType() == type)
    return value;
  return LLVM::BitcastOp::create(*this, type, value);
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

SmallVector<Value> PtxBuilder::loop(Value lower, Value upper, Value step,
                                    ValueRange inits, LoopBody body) {
  auto loop = scf::ForOp::create(
      *this, lower, upper, step, inits,
      [&](OpBuilder &, Location, Value iv, ValueRange carried) {
        // Inner builders share this insertion point.
        InsertionGuard guard(*this);
        setInsertionPointToEnd(iv.getParentBlock());
        SmallVector<Value> next = body(iv, carried);
        scf::YieldOp::create(*this, next);
      });
  return SmallVector<Value>(loop.getResults());
}
SmallVector<Value> PtxBuilder::loop(Value lower, Value upper, int64_t step,
                                    ValueRange inits, LoopBody body) {
  return loop(lower, upper, constantLike(lower, step), inits, body);
}
void PtxBuilder::loop(Value lower, Value upper, Value step,
                      llvm::function_ref<void(Value)> body) {
  loop(lower, upper, step, ValueRange{}, [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}
void PtxBuilder::loop(Value lower, Value upper, int64_t step,
                      llvm::function_ref<void(Value)> body) {
  loop(lower, upper, constantLike(lower, step), body);
}

SmallVector<Value> PtxBuilder::rolledLoop(int64_t upper, int64_t step,
                                          ValueRange inits, LoopBody body) {
  // LLVM does not know the bound, and ptxas is told.
  Value bound = ptx("mov.b32 $0, " + std::to_string(upper) + ";", "=r",
                    getI32Type(), {})[0];
  return loop(i32(0), bound, step, inits, [&](Value iv, ValueRange carried) {
    ptx(".pragma \"nounroll\";", "", {}, {});
    return body(iv, carried);
  });
}

void PtxBuilder::ifThen(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(*this, condition, /*withElseRegion=*/false);
  InsertionGuard guard(*this);
  setInsertionPointToStart(branch.thenBlock());
  body();
}

SmallVector<Value>
PtxBuilder::ifElse(Value condition, TypeRange results,
                   llvm::function_ref<SmallVector<Value>()> then,
                   llvm::function_ref<SmallVector<Value>()> otherwise) {
  auto branch = scf::IfOp::create(*this, results, condition,
                                  /*withElseRegion=*/true);
  InsertionGuard guard(*this);
  for (auto [block, body] : {std::pair(branch.thenBlock(), then),
                             std::pair(branch.elseBlock(), otherwise)}) {
    // Without results the builder has put the terminators there already.
    setInsertionPointToStart(block);
    SmallVector<Value> values = body();
    if (!results.empty())
      scf::YieldOp::create(*this, values);
  }
  return SmallVector<Value>(branch.getResults());
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

Value PtxBuilder::thread() {
  return NVVM::ThreadIdXOp::create(*this, getI32Type());
}
Value PtxBuilder::lane() { return bitAnd(thread(), 31); }
Value PtxBuilder::warp() {
  return shuffleFrom(shiftRight(thread(), 5), i32(0));
}
void PtxBuilder::barrier() { NVVM::BarrierOp::create(*this); }
void PtxBuilder::barrier(int64_t id, int64_t count) {
  NVVM::BarrierOp::create(*this, TypeRange{}, i32(id), i32(count), nullptr,
                          Value());
}
void PtxBuilder::warpSync() { NVVM::SyncWarpOp::create(*this, i32(-1)); }

static Value shuffle(PtxBuilder &b, Value value, Value which,
                     NVVM::ShflKind kind) {
  return NVVM::ShflOp::create(b, value.getType(), b.i32(-1), value, which,
                              b.i32(31), kind, UnitAttr());
}
Value PtxBuilder::shuffleXor(Value value, int64_t mask) {
  return shuffle(*this, value, i32(mask), NVVM::ShflKind::bfly);
}
Value PtxBuilder::shuffleFrom(Value value, Value lane) {
  return shuffle(*this, value, lane, NVVM::ShflKind::idx);
}
Value PtxBuilder::warpSum(Value value, int64_t lanes) {
  bool isFloat = isa<FloatType>(value.getType());
  for (int64_t distance = lanes / 2; distance > 0; distance /= 2) {
    Value other = shuffleXor(value, distance);
    value = isFloat ? fadd(value, other) : add(value, other);
  }
  return value;
}
Value PtxBuilder::warpMax(Value value, int64_t lanes) {
  bool isFloat = isa<FloatType>(value.getType());
  for (int64_t distance = lanes / 2; distance > 0; distance /= 2) {
    Value other = shuffleXor(value, distance);
    value = isFloat ? fmax(value, other) : max(value, other);
  }
  return value;
}
Value PtxBuilder::ballot(Value condition) {
  return NVVM::VoteSyncOp::create(*this, getI32Type(), i32(-1), condition,
                                  NVVM::VoteSyncKind::ballot);
}

// The intrinsics say that they touch no memory: LLVM could move accesses
// across.
void PtxBuilder::waitForPrevious() { ptx("griddepcontrol.wait;", "", {}, {}); }
void PtxBuilder::launchDependents() {
  ptx("griddepcontrol.launch_dependents;", "", {}, {});
}

//===----------------------------------------------------------------------===//
// Escapes
//===----------------------------------------------------------------------===//

Value PtxBuilder::intrinsic(StringRef name, Type result, ValueRange operands) {
  auto call = LLVM::CallIntrinsicOp::create(*this, result, getStringAttr(name),
                                            operands);
  return call.getNumResults() ? call.getResult(0) : Value();
}

SmallVector<Value> PtxBuilder::ptx(StringRef text, StringRef constraints,
                                   TypeRange results, ValueRange operands,
                                   bool hasSideEffects) {
  Type type;
  if (results.size() == 1)
    type = results.front();
  else if (results.size() > 1)
    type = LLVM::LLVMStructType::getLiteral(getContext(),
                                            SmallVector<Type>(results));
  // Without the clobber a load may be sunk below a statement that gives the
  // memory it reads away, such as an arrival at a barrier.
  std::string clobbers = constraints.str();
  if (hasSideEffects)
    clobbers += clobbers.empty() ? "~{memory}" : ",~{memory}";
  auto op = LLVM::InlineAsmOp::create(
      *this, type ? TypeRange(type) : TypeRange(), operands,
      getStringAttr(text), getStringAttr(clobbers),
      hasSideEffects ? getUnitAttr() : UnitAttr(), UnitAttr(),
      LLVM::TailCallKindAttr::get(getContext(),
                                  LLVM::tailcallkind::TailCallKind::None),
      LLVM::AsmDialectAttr::get(getContext(), LLVM::AsmDialect::AD_ATT),
      ArrayAttr());
  if (results.empty())
    return {};
  if (results.size() == 1)
    return {op.getRes()};
  SmallVector<Value> values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(LLVM::ExtractValueOp::create(
        *this, op.getRes(), ArrayRef<int64_t>{static_cast<int64_t>(i)}));
  return values;
}
