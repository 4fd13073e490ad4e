//===- BuiltinConfigs.cpp - Models known by name --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/BuiltinConfigs.h"

#include "runtime/base/MappedFile.h"

#include <filesystem>

using namespace dsv2;

std::optional<std::string_view> dsv2::findBuiltinConfig(std::string_view name) {
  for (const BuiltinConfig &config : listBuiltinConfigs())
    if (config.name == name)
      return config.json;
  return std::nullopt;
}

Result<Config> dsv2::loadConfig(const std::string &nameOrPath) {
  if (auto json = findBuiltinConfig(nameOrPath))
    return parseConfig(*json, nameOrPath);

  std::error_code ignored;
  std::filesystem::path path = nameOrPath;
  if (std::filesystem::is_directory(path, ignored))
    path /= "config.json";
  Result<MappedFile> file = MappedFile::open(path.string());
  if (file.ok())
    return parseConfig(
        {reinterpret_cast<const char *>(file->data()), file->size()},
        path.string());
  if (file.status().code() != StatusCode::notFound)
    return file.status();

  std::string names;
  for (const BuiltinConfig &config : listBuiltinConfigs())
    names.append(names.empty() ? "" : ", ").append(config.name);
  return Status(StatusCode::notFound,
                "'" + nameOrPath +
                    "' is neither a config file, nor a directory with a "
                    "config.json, nor one of the builtin models: " +
                    names);
}
