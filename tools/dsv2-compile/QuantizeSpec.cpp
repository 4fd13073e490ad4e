//===- QuantizeSpec.cpp - The value of --quantize -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-compile/QuantizeSpec.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;
using ::dsv2::Result;
using ::dsv2::Status;
using ::dsv2::StatusCode;

static constexpr StringLiteral formats[] = {"int4", "int8", "fp8", "bf16",
                                            "keep"};
static constexpr StringLiteral classes[] = {
    "experts", "shared", "dense", "attention", "up-projections", "head"};

static Status invalid(const std::string &spec, const std::string &problem) {
  auto list = [](ArrayRef<StringLiteral> names) {
    std::string text;
    for (StringRef name : names)
      text += (text.empty() ? "" : ", ") + name.str();
    return text;
  };
  return Status(StatusCode::invalidArgument,
                "invalid --quantize '" + spec + "': " + problem +
                    "; expected none, mixed, or FORMAT or FORMAT:CLASS,... "
                    "with the formats " +
                    list(formats) + " and the classes " + list(classes));
}

Result<std::string> mlir::dsv2::parseQuantizeSpec(const std::string &spec) {
  if (spec == "none")
    return std::string();
  if (StringRef(spec).contains('='))
    return spec;
  StringRef text = spec == "mixed" ? "int4:experts,int8" : StringRef(spec);
  SmallVector<StringRef> items;
  text.split(items, ',');
  std::string options;
  StringSet<> seen;
  for (StringRef item : items) {
    auto [format, weightClass] = item.split(':');
    bool isRest = !item.contains(':');
    if (!is_contained(formats, format))
      return invalid(spec, "there is no format '" + format.str() + "'");
    if (!isRest && !is_contained(classes, weightClass))
      return invalid(spec, "there is no class '" + weightClass.str() + "'");
    if (!seen.insert(weightClass).second)
      return invalid(spec, isRest ? "it has two formats for the rest"
                                  : "it has the class '" + weightClass.str() +
                                        "' twice");
    StringRef option = isRest ? "format" : weightClass;
    options += option.str() + "=" + format.str() + " ";
  }
  if (!seen.contains(""))
    options += "format=keep ";
  options.pop_back();
  return options;
}
