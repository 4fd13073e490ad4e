//===- HopperProduct.cpp - Matrix products of sm_90a ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Hopper.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::dsv2::nvptx {

namespace {
/// The text and constraints of an instruction whose sums are read and written.
struct Operands {
  std::string constraints;
  unsigned count = 0;

  /// "{$i, $i+1, ...}" for registers added to the constraints.
  std::string list(unsigned registers, StringRef constraint) {
    std::string text = "{";
    for (unsigned i = 0; i < registers; ++i)
      text += (i ? ", " : "") + next(constraint);
    return text + "}";
  }
  std::string next(StringRef constraint) {
    constraints += (count ? "," : "") + constraint.str();
    return "$" + std::to_string(count++);
  }
  /// Inputs in the registers of the first outputs.
  void tie(unsigned registers) {
    for (unsigned i = 0; i < registers; ++i)
      constraints += "," + std::to_string(i);
    count += registers;
  }
};
} // namespace

static StringRef nameOf(MatrixElement element) {
  switch (element) {
  case MatrixElement::bf16:
    return "bf16";
  case MatrixElement::f16:
    return "f16";
  case MatrixElement::e4m3:
    return "e4m3";
  case MatrixElement::s8:
    return "s8";
  }
  llvm_unreachable("an element without a name");
}

static int64_t depthOf(MatrixElement element) {
  return element == MatrixElement::bf16 || element == MatrixElement::f16 ? 16
                                                                         : 32;
}

Value HopperBuilder::descriptor(Value address, uint64_t bits) {
  Value encoded = bitAnd(shiftRight(address, 4), 0x3fff);
  return bitOr(toI64(encoded), static_cast<int64_t>(bits));
}

void HopperBuilder::fenceProducts() {
  ptx("wgmma.fence.sync.aligned;", "", {}, {});
}

void HopperBuilder::commitProducts() {
  ptx("wgmma.commit_group.sync.aligned;", "", {}, {});
}

void HopperBuilder::waitProducts(int64_t pending) {
  ptx("wgmma.wait_group.sync.aligned " + std::to_string(pending) + ";", "", {},
      {});
}

SmallVector<Value> HopperBuilder::waitProducts(int64_t pending,
                                               ValueRange sums) {
  Operands operands;
  operands.list(sums.size(), "=f");
  operands.tie(sums.size());
  return ptx("wgmma.wait_group.sync.aligned " + std::to_string(pending) + ";",
             operands.constraints, sums.getTypes(), sums);
}

SmallVector<Value> HopperBuilder::product(ValueRange sums, Value a, Value b,
                                          const ProductOptions &options) {
  return productFromRegisters(sums, a, b, options);
}

SmallVector<Value>
HopperBuilder::productFromRegisters(ValueRange sums, ValueRange a, Value b,
                                    const ProductOptions &options) {
  bool sixteenBits = depthOf(options.element) == 16;
  StringRef name = nameOf(options.element);
  std::string type = "m64n" + std::to_string(sums.size() * 2) + "k" +
                     std::to_string(depthOf(options.element)) + ".f32." +
                     name.str() + "." + name.str();

  Operands operands;
  std::string text = operands.list(sums.size(), "=f");
  operands.tie(sums.size());
  SmallVector<Value> values(sums);
  text += ", " + (a.size() == 1 ? operands.next("l") : operands.list(4, "r"));
  llvm::append_range(values, a);
  text += ", " + operands.next("l");
  values.push_back(b);

  std::string setup = "{ ";
  if (options.accumulate) {
    setup += ".reg .pred p; setp.ne.b32 p, " + operands.next("r") + ", 0; ";
    values.push_back(options.accumulate);
    text += ", p";
  } else {
    text += ", 1";
  }
  text += ", 1, 1";
  if (sixteenBits && a.size() == 1)
    text += options.transposedA ? ", 1" : ", 0";
  if (sixteenBits)
    text += options.transposedB ? ", 1" : ", 0";
  return ptx(setup + "wgmma.mma_async.sync.aligned." + type + " " + text +
                 "; }",
             operands.constraints, sums.getTypes(), values);
}

SmallVector<Value> HopperBuilder::undefinedSums(int64_t count) {
  SmallVector<Value> sums;
  for (int64_t i = 0; i < count; ++i)
    sums.push_back(LLVM::UndefOp::create(*this, getF32Type()));
  return sums;
}

SmallVector<Value> HopperBuilder::warpProduct(ValueRange sums, ValueRange a,
                                              ValueRange b,
                                              MatrixElement element) {
  bool integers = element == MatrixElement::s8;
  StringRef name = nameOf(element);
  StringRef sumName = integers ? "s32" : "f32";
  Operands operands;
  std::string outputs = operands.list(4, integers ? "=r" : "=f");
  // One after the other: each takes the next operand numbers.
  std::string inputs = operands.list(4, "r");
  inputs += ", " + operands.list(2, "r");
  std::string added = operands.list(4, integers ? "r" : "f");
  SmallVector<Value> values(a);
  llvm::append_range(values, b);
  llvm::append_range(values, sums);
  return ptx(llvm::formatv("mma.sync.aligned.m16n8k{0}.row.col.{1}.{2}.{2}.{1} "
                           "{3}, {4}, {5};",
                           depthOf(element), sumName, name, outputs, inputs,
                           added)
                 .str(),
             operands.constraints, sums.getTypes(), values,
             /*hasSideEffects=*/false);
}

void HopperBuilder::storeMatrices(Value address, ValueRange registers,
                                  bool transposed) {
  SmallVector<Value> values = {address};
  llvm::append_range(values, registers);
  ptx(std::string("stmatrix.sync.aligned.m8n8.x4") +
          (transposed ? ".trans" : "") + ".shared.b16 [$0], {$1, $2, $3, $4};",
      "r,r,r,r,r", {}, values);
}

SmallVector<Value> HopperBuilder::loadMatrices(Value address, bool transposed) {
  SmallVector<Type> types(4, getI32Type());
  return ptx(std::string("ldmatrix.sync.aligned.m8n8.x4") +
                 (transposed ? ".trans" : "") +
                 ".shared.b16 {$0, $1, $2, $3}, [$4];",
             "=r,=r,=r,=r,r", types, address);
}

} // namespace mlir::dsv2::nvptx
