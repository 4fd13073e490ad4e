//===- LoadConfig.cpp - Finding the config of a model ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/LoadConfig.h"

#include "models/BuiltinConfigs.h"
#include "runtime/base/MappedFile.h"

#include <filesystem>

using namespace dsv2;

static std::string_view textOf(const MappedFile &file) {
  return {reinterpret_cast<const char *>(file.data()), file.size()};
}

Result<Config> dsv2::loadConfigDirectory(const std::string &directory) {
  Result<MappedFile> file = MappedFile::open(directory + "/config.json");
  if (!file.ok())
    return file.status();
  Result<Config> config = parseConfig(textOf(*file), file->path());
  if (!config.ok())
    return config;

  Result<MappedFile> generation =
      MappedFile::open(directory + "/generation_config.json");
  if (generation.ok())
    DSV2_RETURN_IF_ERROR(
        addGenerationConfig(textOf(*generation), generation->path(), *config));
  else if (generation.status().code() != StatusCode::notFound)
    return generation.status();
  return config;
}

Result<Config> dsv2::loadConfig(const std::string &nameOrPath) {
  if (auto json = findBuiltinConfig(nameOrPath))
    return parseConfig(*json, nameOrPath);
  std::error_code ignored;
  if (std::filesystem::is_directory(nameOrPath, ignored))
    return loadConfigDirectory(nameOrPath);
  Result<MappedFile> file = MappedFile::open(nameOrPath);
  if (file.ok())
    return parseConfig(textOf(*file), nameOrPath);
  if (file.status().code() != StatusCode::notFound)
    return file.status();

  std::string names;
  for (const BuiltinConfig &config : listBuiltinConfigs())
    names.append(names.empty() ? "" : ", ").append(config.name);
  return Status(StatusCode::notFound,
                "'" + nameOrPath +
                    "' is neither a config file, nor a checkpoint directory, "
                    "nor one of the builtin models: " +
                    names);
}
