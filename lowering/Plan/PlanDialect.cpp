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
  if (count <= 0 || tile <= 0) // (C1)
    return emitError() << "expects a positive count and tile, but found "
                       << count << " and " << tile;
  if (indirect < -1) // (C2)
    return emitError() << "expects the number of a binding, but found "
                       << indirect;
  return success();
}

//===----------------------------------------------------------------------===//
// BindingAttr: access kind (`(` what (`+` offset)? `)`)?
//===----------------------------------------------------------------------===//

/// Whether bindings of `kind` name a symbol, and may start behind its start.
static bool namesSymbol(BindingKind kind) {
  return kind == BindingKind::Buffer || kind == BindingKind::Weight ||
         kind == BindingKind::Constant;
}
static bool hasOffset(BindingKind kind) {
  return kind == BindingKind::Buffer || kind == BindingKind::Weight;
}

/// Parses a binding without its angle brackets, as dispatches write it.
static BindingAttr parseBinding(AsmParser &parser) {
  auto loc = parser.getCurrentLocation();
  FailureOr<Access> access = parseEnum<Access>(parser, symbolizeAccess);
  if (failed(access))
    return {};
  FailureOr<BindingKind> kind =
      parseEnum<BindingKind>(parser, symbolizeBindingKind);
  if (failed(kind))
    return {};

  FlatSymbolRefAttr symbol;
  int64_t index = 0, offset = 0;
  if (*kind == BindingKind::Logits) {
    if (succeeded(parser.parseOptionalPlus()) && parser.parseInteger(offset))
      return {};
  } else {
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
    if (hasOffset(*kind) && succeeded(parser.parseOptionalPlus()) &&
        parser.parseInteger(offset))
      return {};
    if (parser.parseRParen())
      return {};
  }
  return parser.getChecked<BindingAttr>(loc, parser.getContext(), *access,
                                        *kind, symbol, index, offset);
}

static void printBinding(AsmPrinter &printer, BindingAttr binding) {
  BindingKind kind = binding.getKind();
  printer << stringifyAccess(binding.getAccess()) << " "
          << stringifyBindingKind(kind);
  if (kind == BindingKind::Logits) {
    if (binding.getOffset() != 0)
      printer << " + " << binding.getOffset();
    return;
  }
  printer << "(";
  if (namesSymbol(kind))
    printer << binding.getSymbol();
  else if (kind == BindingKind::Cache)
    printer << binding.getIndex();
  else
    printer << stringifyBatchField(static_cast<BatchField>(binding.getIndex()));
  if (binding.getOffset() != 0)
    printer << " + " << binding.getOffset();
  printer << ")";
}

Attribute BindingAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return {};
  BindingAttr binding = parseBinding(parser);
  if (!binding || parser.parseGreater())
    return {};
  return binding;
}

void BindingAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printBinding(printer, *this);
  printer << ">";
}

LogicalResult BindingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  Access access, BindingKind kind,
                                  FlatSymbolRefAttr symbol, int64_t index,
                                  int64_t offset) {
  if (index < 0) // (C1)
    return emitError() << "expects a layer of at least 0, but found " << index;
  if (offset < 0) // (C2)
    return emitError() << "expects an offset of at least 0, but found "
                       << offset;
  bool isWritten = kind == BindingKind::Buffer || kind == BindingKind::Cache ||
                   kind == BindingKind::Logits;
  if (access != Access::In && !isWritten) // (C3)
    return emitError() << "expects a " << stringifyBindingKind(kind)
                       << " to be only read, but found '"
                       << stringifyAccess(access) << "'";
  return success();
}

//===----------------------------------------------------------------------===//
// DispatchOp
//===----------------------------------------------------------------------===//

static ParseResult parseBindings(OpAsmParser &parser, ArrayAttr &bindings) {
  SmallVector<Attribute> attributes;
  auto parseOne = [&]() -> ParseResult {
    BindingAttr binding = parseBinding(parser);
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
  llvm::interleaveComma(
      bindings.getAsRange<BindingAttr>(), printer,
      [&](BindingAttr binding) { printBinding(printer, binding); });
  printer << ")";
}

LogicalResult DispatchOp::verify() {
  Operation *program = (*this)->getParentOp();
  for (BindingAttr binding : getBindingRange()) {
    if (binding.getKind() == BindingKind::Buffer &&
        !isa_and_nonnull<BufferOp>(
            SymbolTable::lookupSymbolIn(program, binding.getSymbol()))) // (C1)
      return emitOpError("expects a buffer named ")
             << binding.getSymbol() << " in its program";
  }
  int64_t indirect = getWorkgroups().getIndirect();
  if (indirect >= static_cast<int64_t>(getBindings().size())) // (C2)
    return emitOpError("expects the indirect count to be one of its ")
           << getBindings().size() << " bindings, but found " << indirect;
  int64_t first = getMinTokens().value_or(1);
  if (first < 1 ||
      first > static_cast<int64_t>(getMaxTokens().value_or(first))) // (C3)
    return emitOpError("expects a range of tokens from 1 on that is not empty");
  auto parent = dyn_cast<ProgramOp>(program);
  if (getChunked() && !(parent && parent.getChunkStep())) // (C4)
    return emitOpError("expects its program to have chunks of the context");
  return success();
}

//===----------------------------------------------------------------------===//
// ProgramOp
//===----------------------------------------------------------------------===//

LogicalResult ProgramOp::verify() {
  if (getChunkStep().has_value() != getChunkRows().has_value() ||
      getChunkRows().value_or(0) < getChunkStep().value_or(0)) // (C1)
    return emitOpError("expects a step of chunks and at least as many rows");
  return success();
}

#define GET_OP_CLASSES
#include "lowering/Plan/PlanOps.cpp.inc"
