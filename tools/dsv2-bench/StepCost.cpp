//===- StepCost.cpp - What a step cannot do without -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/StepCost.h"

#include "tools/common/WeightType.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

using namespace dsv2;

double StepCost::leastTime(const Limits &limits) const {
  double multiplying = 0;
  for (size_t type = 0; type < dotTypeCount; ++type)
    multiplying += operations[type] / limits.operations[type];
  return std::max(bytes / limits.readBytes, multiplying);
}

static DotType dotTypeOf(const std::string &element) {
  if (element == "i4" || element == "i8")
    return DotType::int8;
  return element == "f32" ? DotType::f32 : DotType::bf16;
}

Result<CostModel> CostModel::create(const Artifact &artifact) {
  CostModel model;
  model.metadata = &artifact.metadata();
  const auto *text = model.metadata->model()->config_json();
  nlohmann::json config = nlohmann::json::parse(
      text ? text->str() : "", nullptr, /*allow_exceptions=*/false);
  auto number = [&](const char *key) {
    if (!config.is_object())
      return 0.0;
    auto found = config.find(key);
    return found != config.end() && found->is_number() ? found->get<double>()
                                                       : 0.0;
  };
  model.experts = number("n_routed_experts");
  model.expertsPerToken = number("num_experts_per_tok");
  model.heads = number("num_attention_heads");
  model.noPositionDim = number("qk_nope_head_dim");
  model.valueDim = number("v_head_dim");

  for (const schema::Weight *weight : *model.metadata->weights()) {
    WeightType type = parseWeightType(weight->type()->string_view());
    Weight known;
    known.bytes = static_cast<double>(weight->bytes());
    known.parameters = static_cast<double>(weight->parameters());
    known.isMatrix = type.shape.size() > 1;
    known.rows = type.shape.empty() ? 1 : std::max<int64_t>(type.shape[0], 1);
    known.dot = dotTypeOf(type.element);
    model.weights.push_back(known);
  }
  for (const schema::Program *program : *model.metadata->plan()->programs())
    model.addProgram(*program);
  return model;
}

void CostModel::addProgram(const schema::Program &source) {
  using schema::Dim;
  Program program;
  program.maxQueryTokens = source.max_query_tokens();
  program.isLatent =
      source.attention() && source.attention()->str() == "latent";
  // Where the parts of a weight begin that dispatches bind on their own.
  std::map<uint32_t, std::set<uint64_t>> starts;
  for (const schema::Dispatch *dispatch : *source.dispatches())
    for (const schema::Binding *binding : *dispatch->bindings())
      if (binding->kind() == schema::BindingKind::weight)
        starts[binding->index()].insert(binding->value());

  for (const schema::Dispatch *dispatch : *source.dispatches()) {
    const schema::Workgroups &groups = *dispatch->workgroups();
    std::string kernel =
        metadata->kernels()->Get(dispatch->kernel())->symbol()->str();
    for (const schema::Binding *binding : *dispatch->bindings()) {
      if (binding->kind() != schema::BindingKind::weight)
        continue;
      WeightUse use;
      use.weight = binding->index();
      use.start = binding->value();
      double bytes = weights[use.weight].bytes;
      auto next = starts[use.weight].upper_bound(binding->value());
      double end = next == starts[use.weight].end() ? bytes : double(*next);
      use.part = bytes > 0 ? (end - double(binding->value())) / bytes : 0;
      use.minTokens = dispatch->min_tokens();
      use.maxTokens = dispatch->max_tokens();
      if (kernel.rfind("embed", 0) == 0)
        use.use = Use::lookup;
      else if (groups.indirect() >= 0)
        use.use = Use::expert; // workgroups for active experts only
      else if (groups.dim() == Dim::context)
        use.use = Use::context;
      else if (groups.dim() == Dim::logit_rows)
        use.use = Use::logits;
      else if (groups.dim() == Dim::sequences)
        use.use = Use::sequences;
      program.uses.push_back(use);
    }
  }
  programs.push_back(std::move(program));
}

/// With tokens that choose evenly and independently; exact for one token.
double CostModel::touchedExperts(double tokens) const {
  if (experts <= 0 || expertsPerToken <= 0)
    return 1;
  return 1 - std::pow(1 - std::min(1.0, expertsPerToken / experts), tokens);
}

StepCost CostModel::cost(const StepShape &shape) const {
  StepCost cost;
  auto program = std::find_if(
      programs.begin(), programs.end(), [&](const Program &candidate) {
        return candidate.maxQueryTokens >= shape.newTokens;
      });
  if (program == programs.end())
    return cost;
  auto tokens = static_cast<double>(shape.tokens());
  auto contextAfter =
      static_cast<double>(shape.sequences * (shape.context + shape.newTokens));
  double expertShare =
      experts > 0 ? std::min(1.0, expertsPerToken / experts) : 1;
  // A weight that several dispatches share may stay in the cache in between.
  std::set<std::pair<uint32_t, uint64_t>> moved;
  for (const WeightUse &use : program->uses) {
    if (shape.tokens() < use.minTokens || shape.tokens() > use.maxTokens)
      continue;
    const Weight &weight = weights[use.weight];
    double bytes = weight.bytes * use.part, rows = tokens;
    switch (use.use) {
    case Use::lookup:
      bytes *= std::min(1.0, tokens / static_cast<double>(weight.rows));
      rows = 0;
      break;
    case Use::expert:
      bytes *= touchedExperts(tokens);
      rows = tokens * expertShare;
      break;
    case Use::sequences:
      rows = static_cast<double>(shape.sequences);
      break;
    case Use::context:
      rows = contextAfter;
      break;
    case Use::logits:
      rows = static_cast<double>(shape.logitRows);
      break;
    case Use::tokens:
      break;
    }
    if ((use.use == Use::logits && shape.logitRows == 0) || bytes == 0)
      continue;
    if (moved.insert({use.weight, use.start}).second)
      cost.bytes += bytes;
    if (weight.isMatrix)
      cost.operations[static_cast<size_t>(weight.dot)] +=
          2 * weight.parameters * use.part * rows;
  }
  addAttention(*program, shape, cost);
  return cost;
}

/// Reads the cache once and writes the new rows; multiplies each query with
/// every token up to its own.
void CostModel::addAttention(const Program &program, const StepShape &shape,
                             StepCost &cost) const {
  const schema::CacheLayout &cache = *metadata->cache();
  double rowBytes = double(cache.layers()) * cache.row_bytes();
  auto sequences = static_cast<double>(shape.sequences);
  auto before = static_cast<double>(shape.context);
  auto fresh = static_cast<double>(shape.newTokens);
  cost.bytes += sequences * rowBytes * (before + fresh + fresh);

  double pairs = sequences * (fresh * before + fresh * (fresh + 1) / 2);
  double latent = cache.latent(), rope = cache.rope();
  double perPair = program.isLatent ? latent + rope + latent
                                    : noPositionDim + rope + valueDim;
  DotType dot = cache.element() == schema::ElementType::f32 ? DotType::f32
                                                            : DotType::bf16;
  cost.operations[static_cast<size_t>(dot)] +=
      2 * pairs * perPair * heads * cache.layers();
}
