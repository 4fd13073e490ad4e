//===- GgufCheckpoint.cpp - A model in GGUF files -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/GgufCheckpoint.h"

#include "models/GgufConfig.h"
#include "models/GgufNames.h"
#include "models/JsonFields.h"

#include <algorithm>
#include <charconv>
#include <set>

using namespace dsv2;

/// "name-00001-of-00003.gguf" for a part counted from 0.
static std::string partName(std::string_view stem, int64_t part,
                            int64_t count) {
  auto digits = [](int64_t number) {
    std::string text = std::to_string(number);
    return std::string(5 - std::min<size_t>(5, text.size()), '0') + text;
  };
  return std::string(stem) + "-" + digits(part + 1) + "-of-" + digits(count) +
         ".gguf";
}

Status GgufCheckpoint::openParts(const std::string &path) {
  Result<GgufFile> first = GgufFile::open(path);
  if (!first.ok())
    return first.status();
  JsonFields fields(first->contents().values, path);
  constexpr int64_t mostParts = 99999;
  int64_t count = fields.integer("split.count", 0, mostParts, 0);
  int64_t part = fields.integer("split.no", 0, mostParts, 0);
  DSV2_RETURN_IF_ERROR(fields.status());
  files.push_back(*std::move(first));
  if (count < 2)
    return Status();
  std::string suffix = partName("", 0, count);
  if (part != 0 || !path.ends_with(suffix))
    return Status(StatusCode::invalidArgument,
                  path + ": it is part " + std::to_string(part + 1) + " of " +
                      std::to_string(count) +
                      "; give the first, whose name ends with '" + suffix +
                      "'");
  std::string stem = path.substr(0, path.size() - suffix.size());
  for (int64_t i = 1; i < count; ++i) {
    std::string name = partName(stem, i, count);
    Result<GgufFile> next = GgufFile::open(name);
    if (!next.ok())
      return next.status();
    JsonFields values(next->contents().values, name);
    int64_t number = values.integer("split.no", 0, mostParts, -1);
    DSV2_RETURN_IF_ERROR(values.status());
    if (number != i)
      return Status(StatusCode::dataLoss,
                    name + ": its split.no is " + std::to_string(number) +
                        ", expected " + std::to_string(i) +
                        "; the parts do not belong together");
    files.push_back(*std::move(next));
  }
  return Status();
}

const GgufTensor *GgufCheckpoint::find(std::string_view ggufName) const {
  auto found = tensors.find(ggufName);
  return found == tensors.end() ? nullptr : found->second;
}

/// The tensor has `rows` rows in all, whatever its leading dimensions.
Status GgufCheckpoint::checkShape(const GgufTensor &tensor, int64_t rows,
                                  int64_t columns) const {
  TensorInfo stored;
  stored.shape = tensor.shape;
  if (stored.rows() == rows && stored.rowSize() == columns)
    return Status();
  return Status(StatusCode::dataLoss,
                files.front().path() + ": tensor '" + tensor.name + "' has " +
                    std::to_string(stored.rows()) + " rows of " +
                    std::to_string(stored.rowSize()) +
                    ", but its metadata calls for " + std::to_string(rows) +
                    " of " + std::to_string(columns));
}

/// Whether products with a weight of this name take quantized weights. The
/// embedding is looked up, routers stay precise, and the projections of the
/// latent are used transposed.
static bool isQuantizable(const ExpectedTensor &expected) {
  std::string_view name = expected.name;
  return expected.shape.size() > 1 && name != "model.embed_tokens.weight" &&
         !name.ends_with(".mlp.gate.weight") &&
         !name.ends_with(".kv_b_proj.weight");
}

static DataType plainType(const ExpectedTensor &expected, GgufType type) {
  switch (type) {
  case GgufType::f32:
    return DataType::f32;
  case GgufType::f16:
    return DataType::f16;
  case GgufType::bf16:
    return DataType::bf16;
  default:
    // A table in float32 would be as large as the rest of a small model.
    return expected.name == "model.embed_tokens.weight" ? DataType::bf16
                                                        : DataType::f32;
  }
}

Status GgufCheckpoint::addPlace(const ExpectedTensor &expected) {
  GgufName named = ggufNameOf(expected.name);
  Place place;
  place.info.shape = expected.shape;
  int64_t rows = place.info.rows(), columns = place.info.rowSize();
  place.tensor = find(named.name);
  if (!place.tensor && named.name.ends_with(".exp_probs_b.bias"))
    place.tensor = find(named.name.substr(0, named.name.size() - 5));
  constexpr std::string_view joined = "attn_kv_b.weight";
  if (!place.tensor && named.name.ends_with(joined)) {
    std::string prefix =
        named.name.substr(0, named.name.size() - joined.size());
    place.tensor = find(prefix + "attn_k_b.weight");
    place.values = find(prefix + "attn_v_b.weight");
    if (place.tensor && place.values) {
      const Config &c = modelConfig;
      DSV2_RETURN_IF_ERROR(
          checkShape(*place.tensor, c.heads * c.kvLoraRank, c.qkNopeHeadDim));
      DSV2_RETURN_IF_ERROR(
          checkShape(*place.values, c.heads * c.vHeadDim, c.kvLoraRank));
      used.push_back(place.values);
    } else {
      place.tensor = nullptr;
    }
  }
  if (!place.tensor)
    return Status(StatusCode::dataLoss,
                  files.front().path() + ": there is no tensor '" + named.name +
                      "', which its metadata calls for; check that the file "
                      "is complete");
  used.push_back(place.tensor);
  if (named.expert >= 0) {
    place.firstRow = named.expert * rows;
    DSV2_RETURN_IF_ERROR(
        checkShape(*place.tensor, *modelConfig.routedExperts * rows, columns));
  } else if (!place.values) {
    DSV2_RETURN_IF_ERROR(checkShape(*place.tensor, rows, columns));
  }
  const GgufTypeInfo &type = infoOf(place.tensor->type);
  place.info.dtype =
      place.values ? DataType::f32 : plainType(expected, place.tensor->type);
  if (isQuantizable(expected)) {
    place.info.groups = type.groups;
    place.info.hasGroups = type.groups != GroupFormat::none && type.isExact;
  }
  places.emplace(expected.name, std::move(place));
  return Status();
}

/// Tensors without a place mean that the model computes something else. Known
/// and not needed are frequencies, layers for multi-token prediction, and the
/// projections of the latent that some files have in both layouts.
Status GgufCheckpoint::findUnknown() const {
  std::set<const GgufTensor *> known(used.begin(), used.end());
  auto isIgnored = [&](std::string_view name) {
    if (name == "rope_freqs.weight" || name.ends_with(".attn_k_b.weight") ||
        name.ends_with(".attn_v_b.weight"))
      return true;
    constexpr std::string_view prefix = "blk.";
    if (!name.starts_with(prefix))
      return false;
    int64_t layer = -1;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(),
                    layer);
    return layer >= modelConfig.layers &&
           layer < modelConfig.layers + modelConfig.nextTokenLayers;
  };
  for (const auto &[name, tensor] : tensors)
    if (!known.contains(tensor) && !isIgnored(name))
      return Status(StatusCode::incompatible,
                    files.front().path() + ": the tensor " +
                        JsonFields::describe(nlohmann::json(tensor->name)) +
                        " has no place in the model of its metadata");
  return Status();
}

Status GgufCheckpoint::indexTensors() {
  for (const GgufFile &file : files)
    for (const GgufTensor &tensor : file.contents().tensors)
      if (!tensors.emplace(tensor.name, &tensor).second)
        return Status(StatusCode::dataLoss,
                      file.path() + ": the tensor " +
                          JsonFields::describe(nlohmann::json(tensor.name)) +
                          " is in another part too");
  Result<std::string> json = ggufConfigJson(
      contents(), [&](std::string_view name) { return find(name); },
      files.front().path(), remarks);
  if (!json.ok())
    return json.status();
  Result<Config> config = parseConfig(*json, files.front().path());
  if (!config.ok())
    return config.status();
  configText = *std::move(json);
  modelConfig = *std::move(config);
  for (const ExpectedTensor &expected : expectedTensors(modelConfig))
    DSV2_RETURN_IF_ERROR(addPlace(expected));
  return findUnknown();
}

/// One line that says which formats become others.
void GgufCheckpoint::describeFormats() {
  std::map<std::string, std::set<const GgufTensor *>> changes;
  for (const auto &[name, place] : places) {
    const GgufTypeInfo &type = infoOf(place.tensor->type);
    bool isPrecise = place.info.shape.size() < 2 ||
                     name.ends_with(".mlp.gate.weight") ||
                     (name == "model.embed_tokens.weight" &&
                      place.info.dtype != DataType::bf16);
    bool isQuantized = type.groups != GroupFormat::none;
    const char *other = "";
    if (place.info.groups != GroupFormat::none && !place.info.hasGroups)
      other = place.info.groups == GroupFormat::int4 ? "int4" : "int8";
    else if (!isPrecise && !place.info.hasGroups &&
             (isQuantized || type.type == GgufType::f16))
      other = "bf16";
    if (*other)
      changes[std::string(type.name) + " to " + other].insert(place.tensor);
  }
  std::string text;
  for (const auto &[change, of] : changes)
    text += (text.empty() ? "" : ", ") + change + " (" +
            std::to_string(of.size()) + ")";
  if (!text.empty())
    remarks.push_back("no kernel reads these formats as they are, so tensors "
                      "change: " +
                      text + "; --quantize chooses others");
}

Result<GgufCheckpoint> GgufCheckpoint::open(const std::string &path) {
  GgufCheckpoint checkpoint;
  DSV2_RETURN_IF_ERROR(checkpoint.openParts(path));
  DSV2_RETURN_IF_ERROR(checkpoint.indexTensors());
  checkpoint.describeFormats();
  return checkpoint;
}
