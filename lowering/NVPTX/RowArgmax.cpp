//===- RowArgmax.cpp - Greedy sampling ------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RowArgmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {
namespace {

/// Columns below 2^31, so that -1 is above all of them.
constexpr int64_t noColumn = -1;

Value unsignedLess(PtxBuilder &b, Value x, Value y) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, x, y);
}

Value reduce(PtxBuilder &b, Value value, NVVM::ReduxKind kind) {
  return NVVM::ReduxOp::create(b, value.getType(), value, kind, b.i32(-1));
}

} // namespace

Value orderedKey(PtxBuilder &b, Value value) {
  Value isNumber =
      arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, value, value);
  Value bits = b.bitcast(value, b.getI32Type());
  // All bits of a negative number are flipped, only the sign of others.
  Value flip = b.bitOr(b.shiftRightSigned(bits, 31), int64_t(INT32_MIN));
  return b.select(isNumber, b.bitXor(bits, flip), b.i32(0x007fffff));
}

Value warpUnsignedMax(PtxBuilder &b, Value value) {
  return reduce(b, value, NVVM::ReduxKind::UMAX);
}

Value warpUnsignedMin(PtxBuilder &b, Value value) {
  return reduce(b, value, NVVM::ReduxKind::UMIN);
}

KernelInfo emitArgmax(ModuleOp module, StringRef name, const ArgmaxSpec &spec) {
  Launch launch;
  launch.threads = std::min<int64_t>(
      1024, llvm::alignTo(llvm::divideCeil(spec.depth, 4), 32));
  launch.workgroups = {.count = 1, .tile = 1, .dim = Dim::logitRows};
  RowEmitter k(module, name, 2, launch);
  k.launchDependents();
  Type f32 = k.getF32Type(), i32 = k.getI32Type();
  int64_t warps = launch.threads / 32;
  Value keys = k.shared(4 * warps), columns = k.shared(4 * warps);
  Value row = k.rowAt(k.binding(0), f32, k.workgroup(), spec.depth);

  // A thread sees its columns in ascending order, so the first of equals stays.
  SmallVector<Value> best =
      k.loop(k.shiftLeft(k.thread(), 2), k.i32(spec.depth), 4 * launch.threads,
             {k.i32(0), k.i32(noColumn)},
             [&](Value column, ValueRange carried) -> SmallVector<Value> {
               Value key = carried[0], at = carried[1];
               Columns values = k.loadColumns(row, f32, column);
               for (auto [i, v] : llvm::enumerate(values)) {
                 Value other = orderedKey(k, v);
                 Value better = unsignedLess(k, key, other);
                 key = k.select(better, other, key);
                 at = k.select(better, k.add(column, i), at);
               }
               return {key, at};
             });
  auto ofWarp = [&](Value key, Value at) -> std::pair<Value, Value> {
    Value largest = warpUnsignedMax(k, key);
    Value candidate = k.select(k.equal(key, largest), at, k.i32(noColumn));
    return {largest, warpUnsignedMin(k, candidate)};
  };
  auto [key, at] = ofWarp(best[0], best[1]);
  Value warp = k.shiftRight(k.thread(), 5);
  k.ifThen(k.equal(k.lane(), 0), [&] {
    k.store(key, k.element(keys, i32, warp));
    k.store(at, k.element(columns, i32, warp));
  });
  k.barrier();
  k.ifThen(k.equal(warp, 0), [&] {
    Value exists = k.less(k.lane(), warps);
    SmallVector<Value> each = k.ifElse(
        exists, {i32, i32},
        [&]() -> SmallVector<Value> {
          return {k.load(i32, k.element(keys, i32, k.lane())),
                  k.load(i32, k.element(columns, i32, k.lane()))};
        },
        [&]() -> SmallVector<Value> { return {k.i32(0), k.i32(noColumn)}; });
    Value result = ofWarp(each[0], each[1]).second;
    k.ifThen(k.equal(k.lane(), 0), [&] {
      k.store(result, k.element(k.binding(1), i32, k.workgroup()));
    });
  });
  return k.finish();
}

} // namespace mlir::dsv2::nvptx
