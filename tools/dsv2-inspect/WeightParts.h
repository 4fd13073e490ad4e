//===- WeightParts.h - Weights by what they are for -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_INSPECT_WEIGHTPARTS_H
#define DSV2_TOOLS_INSPECT_WEIGHTPARTS_H

#include "runtime/artifact/Artifact.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace dsv2 {

struct FormatTotal {
  uint64_t weights = 0, parameters = 0, bytes = 0;

  /// Scales and padding included.
  double bitsPerParameter() const {
    return parameters == 0 ? 0
                           : 8 * static_cast<double>(bytes) /
                                 static_cast<double>(parameters);
  }
};

/// Totals of the weights by number format.
using FormatTotals = std::map<std::string, FormatTotal>;

/// The class of a weight by its name in the artifact, as --quantize of the
/// compiler calls it; what no class covers is "other".
std::string_view weightPartOf(std::string_view name);

/// All weights, by class and format.
std::map<std::string, FormatTotals> weightParts(const Artifact &artifact);

} // namespace dsv2

#endif // DSV2_TOOLS_INSPECT_WEIGHTPARTS_H
