//===- AttentionCost.cpp - What the forms of attention cost ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/AttentionCost.h"

#include <cmath>
#include <limits>

using namespace mlir::dsv2;

double AttentionWork::latentCost() const {
  double attend = pairs() * (2 * latent + rope);
  double absorb = queries * latent * (key + value);
  return 2 * heads * (attend + absorb);
}

double AttentionWork::expandedCost() const {
  double attend = pairs() * (key + rope + value);
  double expand = (past + queries) * latent * (key + value);
  return 2 * heads * (attend + expand);
}

double AttentionWork::breakEvenQueries() const {
  // Where past * latent * (key + value) = pairs * (2 latent - key - value).
  double extraPerPair = 2 * latent - key - value;
  if (extraPerPair <= 0)
    return std::numeric_limits<double>::infinity();
  double ratio = latent * static_cast<double>(key + value) / extraPerPair;
  return std::sqrt(past * past + 2 * past * ratio) - past;
}
