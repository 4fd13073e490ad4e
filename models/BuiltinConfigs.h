//===- BuiltinConfigs.h - Models known by name ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The files of models/configs, compiled into the library.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_BUILTINCONFIGS_H
#define DSV2_MODELS_BUILTINCONFIGS_H

#include <optional>
#include <span>
#include <string_view>

namespace dsv2 {

struct BuiltinConfig {
  std::string_view name; ///< the file name without its extension
  std::string_view json;
};

/// Every builtin config, sorted by name.
std::span<const BuiltinConfig> listBuiltinConfigs();

/// The JSON text of a builtin config, or nothing.
std::optional<std::string_view> findBuiltinConfig(std::string_view name);

} // namespace dsv2

#endif // DSV2_MODELS_BUILTINCONFIGS_H
