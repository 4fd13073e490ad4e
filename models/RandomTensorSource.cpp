//===- RandomTensorSource.cpp - Weights out of a seed ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// An element is a 32-bit hash of its index; the sum of the four bytes of the
// hash is close to normal. Everything is 32-bit integer arithmetic with one
// float multiplication and one addition, which vectorizes on any x86-64.
//
//===----------------------------------------------------------------------===//

#include "models/RandomTensorSource.h"

#include <algorithm>
#include <cmath>

using namespace dsv2;

/// Mixes 64 bits; each input bit reaches each output bit.
static uint64_t mix(uint64_t value) {
  value ^= value >> 30;
  value *= 0xbf58476d1ce4e5b9u;
  value ^= value >> 27;
  value *= 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

static uint64_t hashName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
  for (char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

/// Elements of one stretch of 2^32, which share both keys.
static void fillStretch(uint32_t offsetKey, uint32_t roundKey, uint32_t first,
                        int64_t count, float mean, float scale, float *out) {
  // The mean of the sum of four bytes.
  constexpr int32_t center = 510;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t hash = first + static_cast<uint32_t>(i) + offsetKey;
    hash = (hash ^ (hash >> 16)) * 0x7feb352du;
    hash ^= roundKey;
    hash = (hash ^ (hash >> 15)) * 0x846ca68bu;
    hash ^= hash >> 16;
    uint32_t pairs = (hash & 0x00ff00ffu) + ((hash >> 8) & 0x00ff00ffu);
    int32_t sum = static_cast<int32_t>((pairs & 0xffffu) + (pairs >> 16));
    out[i] = mean + scale * static_cast<float>(sum - center);
  }
}

void dsv2::fillRandom(uint64_t key, int64_t first, int64_t count, float mean,
                      float deviation, float *out) {
  // Four bytes of variance (256^2 - 1) / 12 each.
  constexpr float deviationOfSum = 147.79716f;
  constexpr int64_t stretch = int64_t(1) << 32;
  while (count > 0) {
    int64_t offset = first % stretch;
    int64_t length = std::min(count, stretch - offset);
    uint64_t keys = mix(key + static_cast<uint64_t>(first / stretch));
    fillStretch(static_cast<uint32_t>(keys), static_cast<uint32_t>(keys >> 32),
                static_cast<uint32_t>(offset), length, mean,
                deviation / deviationOfSum, out);
    first += length;
    count -= length;
    out += length;
  }
}

RandomTensorSource::RandomTensorSource(const Config &config, uint64_t seed)
    : seed(seed) {
  for (ExpectedTensor &tensor : expectedTensors(config))
    tensors.emplace(std::move(tensor.name),
                    TensorInfo{config.dtype, std::move(tensor.shape)});
}

Result<TensorInfo> RandomTensorSource::info(std::string_view name) const {
  auto found = tensors.find(name);
  if (found == tensors.end())
    return Status(StatusCode::notFound,
                  "the model has no tensor '" + std::string(name) + "'");
  return found->second;
}

Status RandomTensorSource::readRows(std::string_view name, int64_t firstRow,
                                    int64_t rows, float *out) const {
  auto found = tensors.find(name);
  if (found == tensors.end())
    return info(name).status();
  const TensorInfo &tensor = found->second;
  DSV2_RETURN_IF_ERROR(checkRows(name, tensor, firstRow, rows));

  float mean = 0;
  float deviation = 1 / std::sqrt(static_cast<float>(tensor.rowSize()));
  if (name == "model.embed_tokens.weight") {
    deviation = 1;
  } else if (name.ends_with("e_score_correction_bias")) {
    deviation = 0.02f;
  } else if (tensor.shape.size() == 1) { // norms
    mean = 1;
    deviation = 0.05f;
  }
  fillRandom(mix(seed ^ mix(hashName(name))), firstRow * tensor.rowSize(),
             rows * tensor.rowSize(), mean, deviation, out);
  return Status();
}
