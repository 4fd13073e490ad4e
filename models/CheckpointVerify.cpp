//===- CheckpointVerify.cpp - Is a checkpoint complete? -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Checkpoint.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

using namespace dsv2;

static constexpr std::string_view scaleSuffix = "_scale_inv";

static std::string toText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (int64_t size : shape)
    text.append(text.size() > 1 ? ", " : "").append(std::to_string(size));
  return text + "]";
}

/// True for tensors of model.layers.{l} with l behind the last layer and
/// within those for multi-token prediction.
static bool isNextTokenLayer(std::string_view name, const Config &config) {
  constexpr std::string_view prefix = "model.layers.";
  if (!name.starts_with(prefix))
    return false;
  name.remove_prefix(prefix.size());
  int64_t layer = -1;
  auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), layer);
  return error == std::errc() && end != name.data() + name.size() &&
         *end == '.' && layer >= config.layers &&
         layer < config.layers + config.nextTokenLayers;
}

static bool isIgnored(std::string_view name, const Config &config) {
  return name.ends_with(".rotary_emb.inv_freq") ||
         (config.tieWordEmbeddings && name == "lm_head.weight") ||
         isNextTokenLayer(name, config);
}

std::vector<std::string_view>
Checkpoint::unknownTensors(const Config &config) const {
  std::unordered_set<std::string> known;
  for (ExpectedTensor &tensor : expectedTensors(config))
    known.insert(std::move(tensor.name));
  std::vector<std::string_view> unknown;
  for (const auto &[name, view] : tensors) {
    std::string_view weight = name;
    // Scales belong to a weight that needs them.
    if (weight.ends_with(scaleSuffix)) {
      weight.remove_suffix(scaleSuffix.size());
      const TensorView *owner = find(weight);
      if (!owner || owner->dtype != DataType::f8e4m3)
        weight = name;
    }
    if (!known.contains(std::string(weight)) && !isIgnored(name, config))
      unknown.push_back(name);
  }
  return unknown;
}

Result<const TensorView *> Checkpoint::findScales(const TensorView &weight,
                                                  const Config &config) const {
  auto failure = [&](StatusCode code, const std::string &text) {
    return Status(code, path + ": tensor '" + weight.name + "' " + text);
  };
  if (!config.fp8)
    return failure(StatusCode::dataLoss,
                   "is F8_E4M3, but config.json has no quantization_config");
  if (weight.shape.size() != 2)
    return failure(StatusCode::incompatible, "is F8_E4M3 with the shape " +
                                                 toText(weight.shape) +
                                                 ", expected a matrix");
  const TensorView *scales = find(weight.name + std::string(scaleSuffix));
  if (!scales)
    return failure(StatusCode::dataLoss, "is F8_E4M3, but has no " +
                                             std::string(scaleSuffix) +
                                             " tensor beside it");
  auto blocks = [](int64_t size, int64_t block) {
    return size / block + (size % block != 0);
  };
  std::vector<int64_t> shape = {blocks(weight.shape[0], config.fp8->rows),
                                blocks(weight.shape[1], config.fp8->cols)};
  if (scales->shape != shape)
    return failure(StatusCode::dataLoss, "has scales of the shape " +
                                             toText(scales->shape) +
                                             ", expected " + toText(shape));
  if (scales->dtype != DataType::f32 && scales->dtype != DataType::bf16)
    return failure(StatusCode::incompatible,
                   "has scales of the type " +
                       std::string(nameOf(scales->dtype)) +
                       ", expected F32 or BF16");
  return scales;
}

Status Checkpoint::verifyTensor(const ExpectedTensor &expected,
                                const Config &config) const {
  const TensorView &view = *find(expected.name);
  if (view.shape != expected.shape)
    return Status(StatusCode::dataLoss,
                  path + ": tensor '" + view.name + "' has the shape " +
                      toText(view.shape) + ", but config.json calls for " +
                      toText(expected.shape));
  switch (view.dtype) {
  case DataType::f32:
  case DataType::f16:
  case DataType::bf16:
    return Status();
  case DataType::f8e4m3:
    return findScales(view, config).status();
  default:
    return Status(StatusCode::incompatible,
                  path + ": tensor '" + view.name + "' has the type " +
                      std::string(nameOf(view.dtype)) +
                      ", expected F32, F16, BF16 or F8_E4M3");
  }
}

Status Checkpoint::verify(const Config &config) const {
  std::vector<ExpectedTensor> expected = expectedTensors(config);
  size_t missing = 0;
  const std::string *firstMissing = nullptr;
  for (const ExpectedTensor &tensor : expected) {
    if (find(tensor.name))
      continue;
    if (missing++ == 0)
      firstMissing = &tensor.name;
  }
  if (missing != 0)
    return Status(StatusCode::dataLoss,
                  path + ": " + std::to_string(missing) + " of the " +
                      std::to_string(expected.size()) +
                      " tensors that config.json calls for are missing, the "
                      "first is '" +
                      *firstMissing + "'");
  for (const ExpectedTensor &tensor : expected)
    DSV2_RETURN_IF_ERROR(verifyTensor(tensor, config));

  std::vector<std::string_view> unknown = unknownTensors(config);
  if (!unknown.empty())
    return Status(StatusCode::incompatible,
                  path + ": " + std::to_string(unknown.size()) +
                      " tensors have no place in the model of config.json, "
                      "the first is '" +
                      std::string(unknown.front()) + "'");
  return Status();
}
