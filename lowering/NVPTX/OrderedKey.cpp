//===- OrderedKey.cpp - Numbers as integers of the same order -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/OrderedKey.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace mlir::dsv2::nvptx {

static Value reduce(PtxBuilder &b, Value value, NVVM::ReduxKind kind) {
  return NVVM::ReduxOp::create(b, value.getType(), value, kind, b.i32(-1));
}

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

} // namespace mlir::dsv2::nvptx
