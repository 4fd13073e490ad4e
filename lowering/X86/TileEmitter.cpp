//===- TileEmitter.cpp - AMX tiles ----------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/TileEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::dsv2::x86 {
namespace {

// The memory operand of LDTILECFG: the palette, 16-bit row lengths from byte
// 16, numbers of rows from byte 48.
constexpr int64_t configurationBytes = 64, rowBytesAt = 16, rowsAt = 48;
constexpr int8_t palette = 1;

} // namespace

TileEmitter::TileEmitter(KernelBuilder &builder)
    : b(builder),
      configuration(b.scratch({configurationBytes}, b.getI8Type())) {}

void TileEmitter::configure(ArrayRef<Shape> shapes) {
  SmallVector<int8_t> bytes(configurationBytes, 0);
  bytes[0] = palette;
  for (auto [i, shape] : llvm::enumerate(shapes))
    bytes[rowBytesAt + 2 * i] = static_cast<int8_t>(shape.rowBytes);
  auto type = VectorType::get(configurationBytes, b.getI8Type());
  b.storeVector(arith::ConstantOp::create(
                    b, DenseElementsAttr::get(type, ArrayRef<int8_t>(bytes))),
                configuration, b.index(0));
  for (auto [i, shape] : llvm::enumerate(shapes))
    b.store(arith::IndexCastOp::create(b, b.getI8Type(), shape.rows),
            configuration, b.index(rowsAt + i));
  call("llvm.x86.ldtilecfg", address(configuration, b.index(0)));
}

void TileEmitter::release() { call("llvm.x86.tilerelease", {}); }

void TileEmitter::zero(int tile) {
  call("llvm.x86.tilezero", tileNumber(tile));
}

void TileEmitter::load(int tile, Value memref, Value first,
                       int64_t rowDistance) {
  Value stride = LLVM::ConstantOp::create(b, b.getI64Type(), rowDistance);
  call("llvm.x86.tileloadd64",
       {tileNumber(tile), address(memref, first), stride});
}

void TileEmitter::store(int tile, Value memref, Value first,
                        int64_t rowDistance) {
  Value stride = LLVM::ConstantOp::create(b, b.getI64Type(), rowDistance);
  call("llvm.x86.tilestored64",
       {tileNumber(tile), address(memref, first), stride});
}

void TileEmitter::dotBf16(int sums, int left, int right) {
  call("llvm.x86.tdpbf16ps",
       {tileNumber(sums), tileNumber(left), tileNumber(right)});
}

void TileEmitter::dotS8U8(int sums, int left, int right) {
  call("llvm.x86.tdpbsud",
       {tileNumber(sums), tileNumber(left), tileNumber(right)});
}

Value TileEmitter::tileNumber(int tile) {
  return LLVM::ConstantOp::create(b, b.getI8Type(), tile);
}

Value TileEmitter::address(Value memref, Value element) {
  int64_t bits = cast<MemRefType>(memref.getType()).getElementTypeBitWidth();
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  Value bytes = b.add(base, b.mul(element, bits / 8));
  Value integer = arith::IndexCastOp::create(b, b.getI64Type(), bytes);
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext()),
                                  integer);
}

void TileEmitter::call(StringRef name, ValueRange operands) {
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), operands);
}

} // namespace mlir::dsv2::x86
