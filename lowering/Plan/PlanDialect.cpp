//===- PlanDialect.cpp - The plan dialect ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Plan/PlanDialect.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::plan;

#include "lowering/Plan/PlanDialect.cpp.inc"
#include "lowering/Plan/PlanEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "lowering/Plan/PlanAttributes.cpp.inc"

void PlanDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "lowering/Plan/PlanAttributes.cpp.inc"
      >();
}

void PlanDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "lowering/Plan/PlanOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// WorkgroupsAttr: `<` count `x` dim `by` tile (`,` `indirect` `=` n)? `>`
//===----------------------------------------------------------------------===//

/// Parses one keyword of an enum.
template <typename Enum>
static FailureOr<Enum> parseEnum(AsmParser &parser,
                                 std::optional<Enum> (*symbolize)(StringRef)) {
  StringRef keyword;
  auto loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  if (std::optional<Enum> value = symbolize(keyword))
    return *value;
  return parser.emitError(loc, "unknown keyword '") << keyword << "'";
}

Attribute WorkgroupsAttr::parse(AsmParser &parser, Type) {
  int64_t count, tile, indirect = -1;
  auto loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseInteger(count) ||
      parser.parseKeyword("x"))
    return {};
  FailureOr<Dim> dim = parseEnum<Dim>(parser, symbolizeDim);
  if (failed(dim) || parser.parseKeyword("by") || parser.parseInteger(tile))
    return {};
  if (succeeded(parser.parseOptionalComma()) &&
      (parser.parseKeyword("indirect") || parser.parseEqual() ||
       parser.parseInteger(indirect)))
    return {};
  if (parser.parseGreater())
    return {};
  return parser.getChecked<WorkgroupsAttr>(loc, parser.getContext(), count,
                                           *dim, tile, indirect);
}

void WorkgroupsAttr::print(AsmPrinter &printer) const {
  printer << "<" << getCount() << " x " << stringifyDim(getDim()) << " by "
          << getTile();
  if (getIndirect() >= 0)
    printer << ", indirect = " << getIndirect();
  printer << ">";
}

LogicalResult
WorkgroupsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                       int64_t count, Dim dim, int64_t tile, int64_t indirect) {
  if (count <= 0 || tile <= 0 || indirect < -1)
    return emitError() << "expects a positive count and tile, and a binding or "
                          "-1";
  return success();
}

//===----------------------------------------------------------------------===//
// BindingAttr: `<` access kind (`(` what (`+` offset)? `)`)? `>`
//===----------------------------------------------------------------------===//

Attribute BindingAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return {};
  FailureOr<Access> access = parseEnum<Access>(parser, symbolizeAccess);
  if (failed(access))
    return {};
  FailureOr<BindingKind> kind =
      parseEnum<BindingKind>(parser, symbolizeBindingKind);
  if (failed(kind))
    return {};

  FlatSymbolRefAttr symbol;
  int64_t index = 0, offset = 0;
  if (*kind != BindingKind::Logits) {
    if (parser.parseLParen())
      return {};
    if (*kind == BindingKind::Cache) {
      if (parser.parseInteger(index))
        return {};
    } else if (*kind == BindingKind::Batch) {
      FailureOr<BatchField> field =
          parseEnum<BatchField>(parser, symbolizeBatchField);
      if (failed(field))
        return {};
      index = static_cast<int64_t>(*field);
    } else if (parser.parseAttribute(symbol)) {
      return {};
    }
    if (succeeded(parser.parseOptionalPlus()) && parser.parseInteger(offset))
      return {};
    if (parser.parseRParen())
      return {};
  }
  if (parser.parseGreater())
    return {};
  return BindingAttr::get(parser.getContext(), *access, *kind, symbol, index,
                          offset);
}

void BindingAttr::print(AsmPrinter &printer) const {
  printer << "<" << stringifyAccess(getAccess()) << " "
          << stringifyBindingKind(getKind());
  if (getKind() != BindingKind::Logits) {
    printer << "(";
    if (getKind() == BindingKind::Cache)
      printer << getIndex();
    else if (getKind() == BindingKind::Batch)
      printer << stringifyBatchField(static_cast<BatchField>(getIndex()));
    else
      printer << getSymbol();
    if (getOffset() != 0)
      printer << " + " << getOffset();
    printer << ")";
  }
  printer << ">";
}

//===----------------------------------------------------------------------===//
// DispatchOp
//===----------------------------------------------------------------------===//

static ParseResult parseBindings(OpAsmParser &parser, ArrayAttr &bindings) {
  SmallVector<Attribute> attributes;
  auto parseOne = [&]() -> ParseResult {
    Attribute binding = BindingAttr::parse(parser, Type());
    if (!binding)
      return failure();
    attributes.push_back(binding);
    return success();
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseOne))
    return failure();
  bindings = parser.getBuilder().getArrayAttr(attributes);
  return success();
}

static void printBindings(OpAsmPrinter &printer, Operation *,
                          ArrayAttr bindings) {
  printer << "(";
  llvm::interleaveComma(bindings.getAsRange<BindingAttr>(), printer,
                        [&](BindingAttr binding) { binding.print(printer); });
  printer << ")";
}

LogicalResult DispatchOp::verify() {
  Operation *program = (*this)->getParentOp();
  for (BindingAttr binding : getBindingRange()) {
    if (binding.getKind() == BindingKind::Buffer &&
        !SymbolTable::lookupSymbolIn(program, binding.getSymbol())) // (C1)
      return emitOpError("expects a buffer named ")
             << binding.getSymbol() << " in its program";
  }
  int64_t indirect = getWorkgroups().getIndirect();
  if (indirect >= static_cast<int64_t>(getBindings().size()))
    return emitOpError("expects the indirect count to be one of its ")
           << getBindings().size() << " bindings, but found " << indirect;
  return success();
}

#define GET_OP_CLASSES
#include "lowering/Plan/PlanOps.cpp.inc"
