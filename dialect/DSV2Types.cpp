//===- DSV2Types.cpp - The batch and the latent cache ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;

#define GET_TYPEDEF_CLASSES
#include "dialect/DSV2Types.cpp.inc"

void DSV2Dialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/DSV2Types.cpp.inc"
      >();
}

/// `<` latent `+` rope `x` type `,` `layers` `=` n `,` `page` `=` n `>`
Type LatentCacheType::parse(AsmParser &parser) {
  int64_t latent, rope, layers, page;
  Type element;
  auto loc = parser.getCurrentLocation();
  SmallVector<int64_t> ropeDims;
  // `64 x bf16` lexes like a shape, so read it as one.
  if (parser.parseLess() || parser.parseInteger(latent) || parser.parsePlus() ||
      parser.parseDimensionList(ropeDims, /*allowDynamic=*/false) ||
      parser.parseType(element) || parser.parseComma() ||
      parser.parseKeyword("layers") || parser.parseEqual() ||
      parser.parseInteger(layers) || parser.parseComma() ||
      parser.parseKeyword("page") || parser.parseEqual() ||
      parser.parseInteger(page) || parser.parseGreater())
    return {};
  if (ropeDims.size() != 1) {
    parser.emitError(loc, "expects one rope width before the element type");
    return {};
  }
  rope = ropeDims.front();
  return parser.getChecked<LatentCacheType>(loc, parser.getContext(), latent,
                                            rope, element, layers, page);
}

void LatentCacheType::print(AsmPrinter &printer) const {
  printer << "<" << getLatent() << " + " << getRope() << "x" << getElementType()
          << ", layers = " << getLayers() << ", page = " << getPage() << ">";
}

LogicalResult
LatentCacheType::verify(function_ref<InFlightDiagnostic()> emitError,
                        int64_t latent, int64_t rope, Type elementType,
                        int64_t layers, int64_t page) {
  if (latent <= 0 || rope <= 0 || layers <= 0 || page <= 0)
    return emitError() << "expects positive widths, layers and page size";
  bool hasScales =
      elementType.isSignlessInteger(8) || isa<Float8E4M3FNType>(elementType);
  if (!elementType.isF32() && !elementType.isBF16() && !hasScales)
    return emitError()
           << "expects elements of type f32, bf16, i8 or f8E4M3FN, but found "
           << elementType;
  // Values of two bytes and scales of four lie behind the quants.
  if (hasScales && (latent % 2 != 0 || rope % 2 != 0))
    return emitError() << "expects even widths of a cache of " << elementType
                       << ", but found " << latent << " + " << rope;
  return success();
}
