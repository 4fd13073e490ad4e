//===- ConfigReaders.h - Parts of the config reader -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Internal to parseConfig().
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_CONFIGREADERS_H
#define DSV2_MODELS_CONFIGREADERS_H

#include "models/Config.h"
#include "models/JsonFields.h"

namespace dsv2 {

// Bounds far above any model, and low enough that products of a few of them
// stay in 64 bits.
inline constexpr int64_t mostLayers = 1024;
inline constexpr int64_t mostExperts = 4096;
inline constexpr int64_t mostHeads = 4096;
inline constexpr int64_t widest = int64_t(1) << 20;
inline constexpr int64_t largestVocab = int64_t(1) << 24;
inline constexpr int64_t longestContext = int64_t(1) << 30;

/// Reads rope_theta and the YaRN parameters. Needs maxPosition.
void readRope(JsonFields &fields, Config &config);

/// Reads the feed-forward parts. Needs the family and the number of layers.
void readExperts(JsonFields &fields, Config &config);

} // namespace dsv2

#endif // DSV2_MODELS_CONFIGREADERS_H
