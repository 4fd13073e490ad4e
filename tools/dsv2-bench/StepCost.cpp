//===- StepCost.cpp - What a step cannot do without -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/StepCost.h"

#include <algorithm>
#include <cmath>

using namespace dsv2;

StepCost &StepCost::operator+=(const StepCost &other) {
  bytes += other.bytes;
  for (size_t type = 0; type < dotTypeCount; ++type)
    operations[type] += other.operations[type];
  return *this;
}

double StepCost::leastTime(const Limits &limits) const {
  double multiplying = 0;
  for (size_t type = 0; type < dotTypeCount; ++type)
    if (limits.operations[type] > 0)
      multiplying += operations[type] / limits.operations[type];
  return std::max(bytes / limits.readBytes, multiplying);
}

StepBound &StepBound::operator+=(const StepBound &other) {
  time += other.time;
  serialTime += other.serialTime;
  return *this;
}

size_t CostModel::programOf(const StepShape &shape) const {
  size_t index = 0;
  while (index + 1 < programs.size() &&
         programs[index].maxQueryTokens < shape.newTokens)
    ++index;
  return index;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// As counted, or else with tokens that choose evenly and independently, which
/// is exact for one token.
double CostModel::touched(const StepShape &shape) const {
  if (shape.touchedExperts >= 0)
    return shape.touchedExperts;
  if (experts <= 0 || expertsPerToken <= 0)
    return 1;
  return 1 - std::pow(1 - std::min(1.0, expertsPerToken / experts),
                      static_cast<double>(shape.tokens()));
}

StepCost CostModel::weightCost(const WeightUse &use, const StepShape &shape,
                               Moved &moved) const {
  StepCost cost;
  const Weight &weight = weights[use.weight];
  auto tokens = static_cast<double>(shape.tokens());
  double bytes = weight.bytes * use.part, rows = tokens;
  switch (use.use) {
  case Use::lookup:
    bytes *= std::min(1.0, tokens / static_cast<double>(weight.rows));
    rows = 0;
    break;
  case Use::expert: {
    double shared = weight.sharedExperts;
    if (experts <= 0)
      break;
    bytes *= (touched(shape) * experts + shared) / (experts + shared);
    rows *= std::min(1.0, (expertsPerToken + shared) / (experts + shared));
    break;
  }
  case Use::sequences:
    rows = static_cast<double>(shape.sequences);
    break;
  case Use::context:
    rows = static_cast<double>(shape.sequences *
                               (shape.context + shape.newTokens));
    break;
  case Use::logits:
    rows = static_cast<double>(shape.logitRows);
    break;
  case Use::tokens:
    break;
  }
  if ((use.use == Use::logits && shape.logitRows == 0) || bytes == 0)
    return cost;
  if (moved.insert({use.weight, use.start}).second)
    cost.bytes += bytes;
  if (weight.isMatrix)
    cost.operations[static_cast<size_t>(weight.dot)] +=
        2 * weight.parameters * use.part * rows;
  return cost;
}

double CostModel::touchedExperts(size_t program, size_t index, int64_t tokens,
                                 double workgroupsPerRun) const {
  const schema::Dispatch &dispatch =
      *metadata->plan()->programs()->Get(program)->dispatches()->Get(index);
  const schema::Workgroups &groups = *dispatch.workgroups();
  bool hasExperts =
      std::any_of(programs[program].dispatches[index].uses.begin(),
                  programs[program].dispatches[index].uses.end(),
                  [](const WeightUse &use) { return use.use == Use::expert; });
  if (!hasExperts || groups.indirect() < 0 || experts <= 0)
    return -1;
  int64_t size = groups.dim() == schema::Dim::tokens ? tokens : 1;
  auto perExpert = static_cast<double>(
      groups.count() * ((size + groups.tile() - 1) / groups.tile()));
  return std::min(1.0, workgroupsPerRun / perExpert / experts);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// Reads the cache once and writes the new rows; multiplies each query with
/// every token up to its own.
StepCost CostModel::attentionCost(const StepShape &shape, bool latent) const {
  StepCost cost;
  const schema::CacheLayout &cache = *metadata->cache();
  auto sequences = static_cast<double>(shape.sequences);
  auto before = static_cast<double>(shape.context);
  auto fresh = static_cast<double>(shape.newTokens);
  cost.bytes = sequences * cache.row_bytes() * (before + fresh + fresh);
  double pairs = sequences * (fresh * before + fresh * (fresh + 1) / 2);
  double rope = cache.rope();
  double perPair =
      latent ? latentDim + rope + latentDim : noPositionDim + rope + valueDim;
  cost.operations[static_cast<size_t>(attentionDot)] =
      2 * pairs * perPair * heads;
  return cost;
}

/// Of all layers: queries into the latent space and results out of it, or keys
/// and values of the whole context out of it.
StepCost CostModel::projectionCost(const StepShape &shape, bool latent) const {
  StepCost cost;
  int64_t rows = shape.newTokens + (latent ? 0 : shape.context);
  for (const Weight &weight : weights) {
    if (!weight.isHeadProjection)
      continue;
    cost.bytes += weight.bytes;
    cost.operations[static_cast<size_t>(weight.dot)] +=
        2 * weight.parameters * static_cast<double>(shape.sequences * rows);
  }
  return cost;
}

StepCost CostModel::cheaperAttention(const StepShape &shape,
                                     const Limits &limits) const {
  StepCost forms[2];
  for (bool latent : {false, true}) {
    StepCost &form = forms[latent];
    form = projectionCost(shape, latent);
    StepCost layer = attentionCost(shape, latent);
    for (uint32_t i = 0; i < metadata->cache()->layers(); ++i)
      form += layer;
  }
  return forms[forms[1].leastTime(limits) <= forms[0].leastTime(limits)];
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

template <typename Visitor>
void CostModel::visitOthers(const StepShape &shape, Visitor visit) const {
  Moved moved;
  for (const Dispatch &dispatch : programs[programOf(shape)].dispatches) {
    if (!dispatch.runsFor(shape.tokens()))
      continue;
    StepCost cost;
    for (const WeightUse &use : dispatch.uses)
      if (!weights[use.weight].isHeadProjection)
        cost += weightCost(use, shape, moved);
    visit(cost);
  }
}

StepCost CostModel::cost(const StepShape &shape, const Limits &limits) const {
  StepCost total = cheaperAttention(shape, limits);
  visitOthers(shape, [&](const StepCost &cost) { total += cost; });
  return total;
}

/// Both forms of attention read the same.
double CostModel::bytes(const StepShape &shape) const {
  Limits any;
  any.readBytes = 1;
  any.operations.fill(1);
  return cost(shape, any).bytes;
}

StepBound CostModel::bound(const StepShape &shape, const Limits &limits) const {
  StepBound bound;
  StepCost total = cheaperAttention(shape, limits);
  bound.serialTime = total.leastTime(limits);
  visitOthers(shape, [&](const StepCost &cost) {
    total += cost;
    bound.serialTime += cost.leastTime(limits);
  });
  bound.time = total.leastTime(limits);
  return bound;
}

std::vector<StepCost> CostModel::dispatchCosts(const StepShape &shape) const {
  const Program &program = programs[programOf(shape)];
  std::vector<StepCost> costs(program.dispatches.size());
  // The dispatch of each layer that attends: one that only reads the cache, if
  // another one expands it.
  std::vector<int64_t> attends(metadata->cache()->layers(), -1);
  Moved moved;
  for (size_t index = 0; index < costs.size(); ++index) {
    const Dispatch &dispatch = program.dispatches[index];
    if (!dispatch.runsFor(shape.tokens()))
      continue;
    for (WeightUse use : dispatch.uses) {
      if (weights[use.weight].isHeadProjection)
        use.use = program.isLatent ? Use::tokens : Use::context;
      costs[index] += weightCost(use, shape, moved);
    }
    if (dispatch.attentionLayer < 0)
      continue;
    int64_t &chosen = attends[static_cast<size_t>(dispatch.attentionLayer)];
    if (chosen < 0 ||
        (program.dispatches[chosen].projectsHeads && !dispatch.projectsHeads))
      chosen = static_cast<int64_t>(index);
  }
  StepCost attention = attentionCost(shape, program.isLatent);
  for (int64_t index : attends)
    if (index >= 0)
      costs[static_cast<size_t>(index)] += attention;
  return costs;
}
