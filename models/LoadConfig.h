//===- LoadConfig.h - Finding the config of a model -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_LOADCONFIG_H
#define DSV2_MODELS_LOADCONFIG_H

#include "models/Config.h"

namespace dsv2 {

/// Reads a config from what `nameOrPath` is: the name of a builtin model, a
/// JSON file, or a checkpoint directory. Builtin names win; write "./name" for
/// a directory that is called like one.
Result<Config> loadConfig(const std::string &nameOrPath);

/// Reads the config.json of a checkpoint directory, and the further end tokens
/// of its generation_config.json where it has one.
Result<Config> loadConfigDirectory(const std::string &directory);

} // namespace dsv2

#endif // DSV2_MODELS_LOADCONFIG_H
