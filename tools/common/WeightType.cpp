//===- WeightType.cpp - Reading the types of weights ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/WeightType.h"

#include <charconv>

using namespace dsv2;

WeightType dsv2::parseWeightType(std::string_view text) {
  constexpr std::string_view prefix = "tensor<", attribute = "#dsv2.";
  WeightType type;
  if (text.substr(0, prefix.size()) != prefix || text.back() != '>')
    return type;
  text.remove_prefix(prefix.size());
  text.remove_suffix(1);
  for (;;) {
    int64_t size = 0;
    auto [next, error] =
        std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || next == text.data() + text.size() ||
        *next != 'x')
      break;
    type.shape.push_back(size);
    text.remove_prefix(static_cast<size_t>(next + 1 - text.data()));
  }
  size_t comma = text.find(',');
  type.element = text.substr(0, comma);
  type.format = type.element;
  // The innermost attribute is the number format, unless it is a packing.
  size_t at = text.rfind(attribute);
  if (at == std::string_view::npos)
    return type;
  std::string_view inner = text.substr(at + attribute.size());
  if (inner.substr(0, 6) == "panels")
    return type;
  type.format = inner.substr(0, inner.find('>') + 1);
  return type;
}
