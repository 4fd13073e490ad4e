//===- QuantizeSpec.h - The value of --quantize -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A list of FORMAT:CLASS, and of FORMAT for the classes that are not listed:
//
//   int8                               every class
//   int4:experts,int8                  experts, and the rest
//   int4:experts,int8:attention        the rest keeps its format
//
// `mixed` stands for int4:experts,int8, and `none` for no change. The options
// of dsv2-quantize-weights, such as "format=int4 head=int8", are taken as they
// are.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_DSV2_COMPILE_QUANTIZESPEC_H
#define DSV2_TOOLS_DSV2_COMPILE_QUANTIZESPEC_H

#include "runtime/base/Status.h"

#include <string>

namespace mlir::dsv2 {

/// The options of dsv2-quantize-weights that `spec` stands for; empty: the pass
/// is not needed.
::dsv2::Result<std::string> parseQuantizeSpec(const std::string &spec);

} // namespace mlir::dsv2

#endif // DSV2_TOOLS_DSV2_COMPILE_QUANTIZESPEC_H
