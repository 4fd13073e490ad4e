//===- WeightName.cpp - Names of computed weights -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/WeightName.h"

#include "dialect/DSV2Dialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/CastInterfaces.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;

/// The ranges of `slice` in the dimensions it does not take whole, as `0to128`.
static std::string describe(tensor::ExtractSliceOp slice) {
  std::string text;
  for (auto [offset, size, source] :
       llvm::zip_equal(slice.getStaticOffsets(), slice.getStaticSizes(),
                       slice.getSourceType().getShape())) {
    if (size == source)
      continue;
    if (ShapedType::isDynamic(offset) || ShapedType::isDynamic(size))
      return "slice";
    if (!text.empty())
      text += "_";
    text += (Twine(offset) + "to" + Twine(offset + size)).str();
  }
  return text;
}

/// What `op` does to a weight, in a word; empty if it only changes the shape or
/// the type of its values.
static std::string describe(Operation *op) {
  if (auto loc = dyn_cast<NameLoc>(op->getLoc())) {
    std::string text = loc.getName().str();
    for (char &c : text)
      if (!llvm::isAlnum(c) && c != '_' && c != '.')
        c = '_';
    return text;
  }
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp, DequantizeOp,
            CastOpInterface>([](Operation *) { return ""; })
      .Case([](tensor::ExtractSliceOp slice) { return describe(slice); })
      .Case([](linalg::TransposeOp) { return "t"; })
      .Case([](QuantizeOp quantize) {
        Type element = getElementTypeOrSelf(quantize);
        return ((isa<FloatType>(element) ? "fp" : "int") +
                Twine(element.getIntOrFloatBitWidth()))
            .str();
      })
      .Case([](PackWeightOp) { return "packed"; })
      .Default([](Operation *other) {
        return other->getName().stripDialect().str();
      });
}

static std::string join(StringRef prefix, StringRef last) {
  if (prefix.empty() || last.empty())
    return (prefix + last).str();
  return (prefix + "." + last).str();
}

static std::string nameOf(Value value);

/// The part of all `names` before a dot, which is the same.
static StringRef commonPrefix(ArrayRef<std::string> names) {
  StringRef prefix = names.front();
  while (true) {
    size_t dot = prefix.rfind('.');
    if (dot == StringRef::npos)
      return "";
    prefix = prefix.take_front(dot);
    if (llvm::all_of(names, [&](StringRef name) {
          return name.starts_with(prefix) && name.size() > dot &&
                 name[dot] == '.';
        }))
      return prefix;
  }
}

/// `a.b` and `a.c` as `a.b_c`.
static std::string nameConcat(tensor::ConcatOp concat) {
  SmallVector<std::string> names;
  for (Value input : concat.getInputs())
    names.push_back(nameOf(input));
  StringRef prefix = commonPrefix(names);
  if (isa<NameLoc>(concat.getLoc()))
    return join(prefix.empty() ? StringRef(names.front()) : prefix,
                describe(concat));
  if (prefix.empty())
    return llvm::join(names, "_");
  SmallVector<StringRef> parts;
  for (StringRef name : names)
    parts.push_back(name.drop_front(prefix.size() + 1));
  return join(prefix, llvm::join(parts, "_"));
}

static std::string nameOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return "";
  if (auto weight = dyn_cast<GetWeightOp>(op))
    return weight.getWeight().str();
  if (auto concat = dyn_cast<tensor::ConcatOp>(op))
    return nameConcat(concat);
  for (Value operand : op->getOperands())
    if (std::string name = nameOf(operand); !name.empty())
      return join(name, describe(op));
  return "";
}

std::string dsv2::nameComputedWeight(Value value) {
  std::string name = nameOf(value);
  // A weight that differs in nothing but shape or type is told by its type.
  Operation *op = value.getDefiningOp();
  if (!op || isa<tensor::ConcatOp>(op) || !describe(op).empty())
    return name;
  std::string type;
  llvm::raw_string_ostream(type) << getElementTypeOrSelf(value);
  return join(name, type);
}
