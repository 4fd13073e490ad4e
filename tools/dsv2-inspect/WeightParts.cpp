//===- WeightParts.cpp - Weights by what they are for ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-inspect/WeightParts.h"

#include "tools/common/WeightType.h"

using namespace dsv2;

/// Names are those of the model IR, "layers.3.experts.gate", followed by what
/// was made of them; fused weights keep the name of the first up to its end,
/// "layers.3.q_a_kv_a.packed".
std::string_view dsv2::weightPartOf(std::string_view name) {
  if (name.starts_with("lm_head"))
    return "head";
  if (name.starts_with("norm"))
    return "norms";
  if (name.starts_with("embed"))
    return "embedding";
  constexpr std::string_view layers = "layers.";
  if (!name.starts_with(layers))
    return "other";
  name.remove_prefix(layers.size());
  name.remove_prefix(std::min(name.find('.'), name.size() - 1) + 1);
  std::string_view first = name.substr(0, name.find('.'));
  if (first.ends_with("norm"))
    return "norms";
  if (first.starts_with("router"))
    return "router";
  if (first == "experts" || first == "shared")
    return first;
  if (first.starts_with("gate") || first.starts_with("up") ||
      first.starts_with("down"))
    return "dense";
  return first == "kv_b" ? "up-projections" : "attention";
}

std::map<std::string, FormatTotals>
dsv2::weightParts(const Artifact &artifact) {
  std::map<std::string, FormatTotals> parts;
  for (const schema::Weight *weight : *artifact.metadata().weights()) {
    std::string part(weightPartOf(weight->name()->string_view()));
    FormatTotal &total =
        parts[part][parseWeightType(weight->type()->string_view()).format];
    ++total.weights;
    total.parameters += weight->parameters();
    total.bytes += weight->bytes();
  }
  return parts;
}
