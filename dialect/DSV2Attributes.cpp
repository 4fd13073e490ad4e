//===- DSV2Attributes.cpp - Enums, RoPE and number formats ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace mlir::dsv2;

#include "dialect/DSV2Enums.cpp.inc"

static FailureOr<APFloat> parseDouble(AsmParser &parser) {
  double value;
  if (parser.parseFloat(value))
    return failure();
  return APFloat(value);
}

static void printDouble(AsmPrinter &printer, const APFloat &value) {
  printer.printFloat(value);
}

#define GET_ATTRDEF_CLASSES
#include "dialect/DSV2Attributes.cpp.inc"

void DSV2Dialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/DSV2Attributes.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// RoPE
//===----------------------------------------------------------------------===//

LogicalResult YarnAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               APFloat factor, int64_t original,
                               APFloat betaFast, APFloat betaSlow,
                               APFloat mscale, APFloat mscaleAllDim,
                               bool truncate) {
  auto isPositive = [](const APFloat &value) {
    return value.isFinite() && !value.isNegative() && !value.isZero();
  };
  if (!isPositive(factor) || original <= 0)
    return emitError() << "expects a positive factor and original length";
  if (!isPositive(betaFast) || !isPositive(betaSlow))
    return emitError() << "expects positive beta_fast and beta_slow";
  if (mscale.isNegative() || mscaleAllDim.isNegative())
    return emitError() << "expects mscale and mscale_all_dim of at least zero";
  return success();
}

LogicalResult RopeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               APFloat theta, YarnAttr yarn) {
  if (!(theta.convertToDouble() > 1))
    return emitError() << "expects theta above one, but found "
                       << theta.convertToDouble();
  return success();
}

SmallVector<double> RopeAttr::getInverseFrequencies(int64_t dim) const {
  double theta = getTheta().convertToDouble();
  SmallVector<double> frequencies;
  for (int64_t i = 0; i < dim / 2; ++i)
    frequencies.push_back(std::pow(theta, -2.0 * i / dim));
  YarnAttr yarn = getYarn();
  if (!yarn)
    return frequencies;

  double factor = yarn.getFactor().convertToDouble();
  // The pair that turns `rotations` times over the original length.
  auto pairOf = [&](double rotations) {
    return dim *
           std::log(yarn.getOriginal() / (2 * std::numbers::pi * rotations)) /
           (2 * std::log(theta));
  };
  double low = pairOf(yarn.getBetaFast().convertToDouble());
  double high = pairOf(yarn.getBetaSlow().convertToDouble());
  if (yarn.getTruncate()) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high)
    high += 0.001;
  for (auto [i, frequency] : llvm::enumerate(frequencies)) {
    double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    frequency = frequency / factor * ramp + frequency * (1 - ramp);
  }
  return frequencies;
}

double RopeAttr::getMagnitude() const {
  YarnAttr yarn = getYarn();
  if (!yarn || yarn.getFactor().convertToDouble() <= 1)
    return 1;
  double logFactor = std::log(yarn.getFactor().convertToDouble());
  auto magnitude = [&](const APFloat &mscale) {
    return 0.1 * mscale.convertToDouble() * logFactor + 1;
  };
  return magnitude(yarn.getMscale()) / magnitude(yarn.getMscaleAllDim());
}

//===----------------------------------------------------------------------===//
// Number formats
//===----------------------------------------------------------------------===//

static LogicalResult verifyGroup(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t group) {
  if (group <= 0 || group % 4 != 0)
    return emitError() << "expects a positive group size divisible by 4, but "
                          "found "
                       << group;
  return success();
}

LogicalResult
BlockInt8Attr::verify(function_ref<InFlightDiagnostic()> emitError,
                      int64_t group) {
  return verifyGroup(emitError, group);
}

LogicalResult
BlockInt4Attr::verify(function_ref<InFlightDiagnostic()> emitError,
                      int64_t group) {
  return verifyGroup(emitError, group);
}

LogicalResult RowsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t group) {
  // Without padding, and so without scales.
  if (group == 1)
    return success();
  return verifyGroup(emitError, group);
}

LogicalResult BlockFp8Attr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t rows, int64_t columns) {
  if (rows <= 0 || columns <= 0)
    return emitError() << "expects positive block sizes";
  return success();
}

Attribute BlockFp8Attr::parse(AsmParser &parser, Type) {
  SmallVector<int64_t> block;
  auto loc = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(block, /*allowDynamic=*/false,
                                /*withTrailingX=*/false) ||
      parser.parseGreater())
    return {};
  if (block.size() != 2) {
    parser.emitError(loc, "expects the rows and columns of a block");
    return {};
  }
  return parser.getChecked<BlockFp8Attr>(loc, parser.getContext(), block[0],
                                         block[1]);
}

void BlockFp8Attr::print(AsmPrinter &printer) const {
  printer << "<" << getRows() << "x" << getColumns() << ">";
}

LogicalResult PanelsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t rows, Attribute format,
                                 int64_t interleave) {
  if (rows <= 0)
    return emitError() << "expects a positive number of rows a panel";
  if (interleave < 0)
    return emitError() << "expects rows to interleave, but found "
                       << interleave;
  if (format && !isa<BlockInt8Attr, BlockInt4Attr, BlockFp8Attr>(format))
    return emitError() << "expects a block_int8, block_int4 or block_fp8 "
                          "format, but found "
                       << format;
  return success();
}
