//===- BuiltinConfigs.cpp - Models known by name --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/BuiltinConfigs.h"

using namespace dsv2;

std::optional<std::string_view> dsv2::findBuiltinConfig(std::string_view name) {
  for (const BuiltinConfig &config : listBuiltinConfigs())
    if (config.name == name)
      return config.json;
  return std::nullopt;
}
