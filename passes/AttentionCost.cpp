//===- AttentionCost.cpp - What the forms of attention cost ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/AttentionCost.h"

#include <cmath>
#include <limits>

using namespace mlir::dsv2;

static constexpr AttentionRates alike = {1, 1, 1, 1};

double AttentionWork::latentCost() const { return latentTime(alike); }
double AttentionWork::expandedCost() const { return expandedTime(alike); }

double AttentionWork::latentTime(const AttentionRates &rates) const {
  double attend = pairs() * (2 * latent + rope) / rates.latent;
  double absorb = queries * latent * (key + value) / rates.project;
  return 2 * heads * (attend + absorb);
}

double AttentionWork::expandedTime(const AttentionRates &rates) const {
  double attend = pairs() * (key + rope + value) / rates.attend;
  double expand = (past + queries) * latent * (key + value) / rates.expand;
  return 2 * heads * (attend + expand);
}

double AttentionWork::breakEvenQueries(const AttentionRates &rates) const {
  // Where both times are equal: extra / 2 * q^2 + slope * q = past * expand.
  double extra =
      (2 * latent + rope) / rates.latent - (key + rope + value) / rates.attend;
  if (extra <= 0)
    return std::numeric_limits<double>::infinity();
  double projections = latent * static_cast<double>(key + value);
  double expand = projections / rates.expand;
  double slope = extra * past + projections / rates.project - expand;
  return (std::sqrt(slope * slope + 2 * extra * expand * past) - slope) / extra;
}
