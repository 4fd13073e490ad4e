//===- Checkpoint.cpp - A Hugging Face checkpoint directory ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Checkpoint.h"

#include "models/JsonFields.h"
#include "models/LoadConfig.h"

#include <filesystem>
#include <set>

using namespace dsv2;
using Json = nlohmann::json;

static constexpr const char *singleFile = "model.safetensors";
static constexpr const char *indexFile = "model.safetensors.index.json";

static bool exists(const std::string &path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Result<Checkpoint> Checkpoint::open(const std::string &directory) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored))
    return Status(StatusCode::notFound,
                  "'" + directory +
                      "' is not a directory; expected one with a "
                      "config.json and safetensors files");
  Result<Config> config = loadConfigDirectory(directory);
  if (!config.ok())
    return config.status();

  Checkpoint checkpoint;
  checkpoint.path = directory;
  checkpoint.modelConfig = *std::move(config);
  std::string index = directory + "/" + indexFile;
  if (exists(directory + "/" + singleFile))
    DSV2_RETURN_IF_ERROR(checkpoint.addFile(singleFile));
  else if (exists(index))
    DSV2_RETURN_IF_ERROR(checkpoint.openShards(index));
  else
    return Status(StatusCode::notFound, "'" + directory + "' holds neither " +
                                            singleFile + " nor " + indexFile);

  for (const Safetensors &file : checkpoint.files)
    for (const TensorView &view : file.tensors())
      checkpoint.tensors.emplace(view.name, &view);
  return checkpoint;
}

Status Checkpoint::addFile(const std::string &fileName) {
  Result<Safetensors> file = Safetensors::open(path + "/" + fileName);
  if (!file.ok())
    return file.status();
  files.push_back(*std::move(file));
  return Status();
}

/// Reads the weight_map: the shard of each tensor.
static Result<std::map<std::string, std::string>>
readIndex(const std::string &indexPath) {
  Result<MappedFile> file = MappedFile::open(indexPath);
  if (!file.ok())
    return file.status();
  auto corrupt = [&](const std::string &text) {
    return Status(StatusCode::dataLoss, indexPath + ": " + text);
  };
  const char *text = reinterpret_cast<const char *>(file->data());
  Json document = Json::parse(text, text + file->size(), nullptr,
                              /*allow_exceptions=*/false);
  if (!document.is_object())
    return corrupt("expected a JSON object; check that the file is complete");
  auto weightMap = document.find("weight_map");
  if (weightMap == document.end() || !weightMap->is_object())
    return corrupt("it has no weight_map");

  std::map<std::string, std::string> shardOf;
  for (const auto &[name, shard] : weightMap->items()) {
    // A plain file name: an index must not reach outside of its directory.
    bool plain = shard.is_string();
    if (plain) {
      const std::string &fileName = shard.get_ref<const std::string &>();
      plain = fileName.ends_with(".safetensors") &&
              fileName.find('/') == std::string::npos &&
              fileName.find('\0') == std::string::npos;
    }
    if (!plain)
      return corrupt("tensor " + JsonFields::describe(Json(name)) +
                     " is in the shard " + JsonFields::describe(shard) +
                     ", expected the name of a safetensors file beside it");
    shardOf.emplace(name, shard.get<std::string>());
  }
  return shardOf;
}

Status Checkpoint::openShards(const std::string &indexPath) {
  Result<std::map<std::string, std::string>> shardOf = readIndex(indexPath);
  if (!shardOf.ok())
    return shardOf.status();

  std::set<std::string> shards;
  for (const auto &[name, shard] : *shardOf)
    shards.insert(shard);
  size_t missing = 0;
  std::string firstMissing;
  for (const std::string &shard : shards) {
    if (exists(path + "/" + shard))
      continue;
    if (missing++ == 0)
      firstMissing = shard;
  }
  if (missing != 0)
    return Status(StatusCode::notFound,
                  path + ": " + std::to_string(missing) + " of " +
                      std::to_string(shards.size()) +
                      " shards are missing, the first is '" + firstMissing +
                      "'; complete the download");

  std::map<std::string_view, size_t> fileOf;
  for (const std::string &shard : shards) {
    fileOf.emplace(shard, files.size());
    DSV2_RETURN_IF_ERROR(addFile(shard));
  }
  // Entering the named tensors first lets the index decide between two files
  // with one name.
  for (const auto &[name, shard] : *shardOf) {
    const TensorView *view = files[fileOf.at(shard)].find(name);
    if (!view)
      return Status(StatusCode::dataLoss,
                    indexPath + ": tensor " + JsonFields::describe(Json(name)) +
                        " should be in '" + shard +
                        "', which does not hold "
                        "it; index and shards do not belong together");
    tensors.emplace(view->name, view);
  }
  return Status();
}

const TensorView *Checkpoint::find(std::string_view name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : found->second;
}

std::vector<std::string_view> Checkpoint::names() const {
  std::vector<std::string_view> result;
  result.reserve(tensors.size());
  for (const auto &[name, view] : tensors)
    result.push_back(name);
  return result;
}
