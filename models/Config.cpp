//===- Config.cpp - Numbers that follow from a config ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

using namespace dsv2;

bool dsv2::isMoeLayer(const Config &config, int64_t layer) {
  return config.routedExperts && layer >= config.firstKDenseReplace &&
         layer % config.moeLayerFreq == 0;
}

static int64_t attentionParameters(const Config &config) {
  int64_t queryWidth = config.heads * config.qkHeadDim();
  int64_t query = config.qLoraRank
                      ? *config.qLoraRank * (config.hidden + 1 + queryWidth)
                      : config.hidden * queryWidth;
  int64_t keyValueWidth =
      config.heads * (config.qkNopeHeadDim + config.vHeadDim);
  return query + config.hidden * config.cacheRowSize() + config.kvLoraRank +
         config.kvLoraRank * keyValueWidth +
         config.heads * config.vHeadDim * config.hidden;
}

/// The weights of the model with `routedExperts` experts stored in each
/// mixture layer.
static int64_t countParameters(const Config &config, int64_t routedExperts) {
  int64_t expert = 3 * config.hidden * config.moeIntermediateSize;
  int64_t router = 0;
  if (config.routedExperts) {
    bool hasBias = config.selection == Selection::noauxTc;
    router = *config.routedExperts * (config.hidden + (hasBias ? 1 : 0));
  }
  int64_t dense = 3 * config.hidden * config.intermediateSize;
  int64_t mixture = router + expert * (routedExperts + config.sharedExperts);

  int64_t count = config.hidden; // the final norm
  count += (config.tieWordEmbeddings ? 1 : 2) * config.vocab * config.hidden;
  for (int64_t layer = 0; layer < config.layers; ++layer)
    count += attentionParameters(config) + 2 * config.hidden +
             (isMoeLayer(config, layer) ? mixture : dense);
  return count;
}

int64_t dsv2::parameterCount(const Config &config) {
  return countParameters(config, config.routedExperts.value_or(0));
}

int64_t dsv2::activatedParameterCount(const Config &config) {
  return countParameters(config, config.expertsPerToken);
}

int64_t dsv2::kvBytesPerToken(const Config &config, int64_t bytesPerElement) {
  return config.layers * config.cacheRowSize() * bytesPerElement;
}

/// The YaRN magnitude of a context `factor` times as long.
static double yarnMagnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

double dsv2::softmaxScale(const Config &config) {
  double scale = 1 / std::sqrt(static_cast<double>(config.qkHeadDim()));
  if (!config.yarn)
    return scale;
  double magnitude =
      yarnMagnitude(config.yarn->factor, config.yarn->mscaleAllDim);
  return scale * magnitude * magnitude;
}

double dsv2::ropeMagnitude(const Config &config) {
  if (!config.yarn)
    return 1;
  const Yarn &yarn = *config.yarn;
  if (yarn.attentionFactor)
    return *yarn.attentionFactor;
  return yarnMagnitude(yarn.factor, yarn.mscale) /
         yarnMagnitude(yarn.factor, yarn.mscaleAllDim);
}

std::vector<double> dsv2::ropeInverseFrequencies(const Config &config) {
  double dims = static_cast<double>(config.qkRopeHeadDim);
  std::vector<double> frequencies(config.qkRopeHeadDim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] =
        std::pow(config.ropeTheta, -2 * static_cast<double>(i) / dims);
  if (!config.yarn)
    return frequencies;

  // Fast dimensions keep their frequency, slow ones are stretched by the
  // factor, and a linear ramp joins them.
  const Yarn &yarn = *config.yarn;
  auto dimensionOf = [&](double rotations) {
    return dims *
           std::log(static_cast<double>(yarn.originalMaxPosition) /
                    (2 * std::numbers::pi * rotations)) /
           (2 * std::log(config.ropeTheta));
  };
  double low = dimensionOf(yarn.betaFast);
  double high = dimensionOf(yarn.betaSlow);
  if (yarn.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high)
    high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double ramp =
        std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= ramp / yarn.factor + (1 - ramp);
  }
  return frequencies;
}
