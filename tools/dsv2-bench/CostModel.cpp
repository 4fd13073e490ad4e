//===- CostModel.cpp - What a plan says about the cost of its steps -------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/WeightType.h"
#include "tools/dsv2-bench/StepCost.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

using namespace dsv2;
using schema::BatchField;
using schema::BindingKind;
using schema::Dim;

Result<CostModel> CostModel::create(const Artifact &artifact) {
  CostModel model;
  model.metadata = &artifact.metadata();
  model.readConfig();
  for (const schema::Weight *weight : *model.metadata->weights())
    model.addWeight(*weight);
  for (const schema::Program *program : *model.metadata->plan()->programs())
    model.addProgram(*program);
  return model;
}

void CostModel::readConfig() {
  const auto *text = metadata->model()->config_json();
  nlohmann::json config = nlohmann::json::parse(
      text ? text->str() : "", nullptr, /*allow_exceptions=*/false);
  auto number = [&](const char *key) {
    if (!config.is_object())
      return 0.0;
    auto found = config.find(key);
    return found != config.end() && found->is_number() ? found->get<double>()
                                                       : 0.0;
  };
  experts = number("n_routed_experts");
  expertsPerToken = number("num_experts_per_tok");
  sharedExperts = number("n_shared_experts");
  heads = number("num_attention_heads");
  noPositionDim = number("qk_nope_head_dim");
  valueDim = number("v_head_dim");
  latentDim = metadata->cache()->latent();
  isGpu = metadata->gpu() != nullptr;
  switch (metadata->cache()->element()) {
  case schema::ElementType::f32:
    attentionDot = DotType::f32;
    break;
  case schema::ElementType::i8:
  case schema::ElementType::u8:
    attentionDot = isGpu ? DotType::bf16 : DotType::int8;
    break;
  default:
    attentionDot = DotType::bf16;
  }
}

/// GPU kernels for many rows turn quants into bf16 first; those for few rows
/// multiply them as they are, but wait for memory.
static DotType dotTypeOf(const std::string &element, bool isGpu) {
  if (!isGpu && (element == "i4" || element == "i8"))
    return DotType::int8;
  return element == "f32" ? DotType::f32 : DotType::bf16;
}

void CostModel::addWeight(const schema::Weight &weight) {
  WeightType type = parseWeightType(weight.type()->string_view());
  const std::vector<int64_t> &shape = type.shape;
  Weight known;
  known.bytes = static_cast<double>(weight.bytes());
  known.parameters = static_cast<double>(weight.parameters());
  known.isMatrix = shape.size() > 1;
  known.rows = shape.empty() ? 1 : std::max<int64_t>(shape[0], 1);
  known.dot = dotTypeOf(type.element, isGpu);
  if (shape.size() == 3 && shape[0] == int64_t(heads))
    // heads x latent x (keys or values), in some order.
    known.isHeadProjection =
        std::any_of(shape.begin() + 1, shape.end(),
                    [&](int64_t size) { return size == int64_t(latentDim); }) &&
        (known.parameters == heads * latentDim * noPositionDim ||
         known.parameters == heads * latentDim * valueDim);
  if (shape.size() == 2 && shape[1] == int64_t(latentDim))
    known.isHeadProjection =
        shape[0] == int64_t(heads * (noPositionDim + valueDim));
  // Shared experts may lie behind the routed ones.
  if (!known.isHeadProjection && shape.size() == 3 && experts > 0)
    known.isExpert = shape[0] == int64_t(experts) ||
                     shape[0] == int64_t(experts + sharedExperts);
  if (known.isExpert)
    known.sharedExperts = double(shape[0]) - experts;
  weights.push_back(known);
}

void CostModel::addProgram(const schema::Program &source) {
  Program program;
  program.maxQueryTokens = source.max_query_tokens();
  program.isLatent =
      source.attention() && source.attention()->str() == "latent";
  // Where the parts of a weight begin that dispatches bind on their own.
  std::map<uint32_t, std::set<uint64_t>> starts;
  for (const schema::Dispatch *dispatch : *source.dispatches())
    for (const schema::Binding *binding : *dispatch->bindings())
      if (binding->kind() == BindingKind::weight)
        starts[binding->index()].insert(binding->value());

  for (const schema::Dispatch *from : *source.dispatches()) {
    Dispatch dispatch;
    dispatch.minTokens = from->min_tokens();
    dispatch.maxTokens = from->max_tokens();
    dispatch.attentionLayer = attentionLayerOf(*from);
    for (const schema::Binding *binding : *from->bindings()) {
      if (binding->kind() != BindingKind::weight)
        continue;
      const Weight &weight = weights[binding->index()];
      WeightUse use;
      use.weight = binding->index();
      use.start = binding->value();
      auto next = starts[use.weight].upper_bound(binding->value());
      double end =
          next == starts[use.weight].end() ? weight.bytes : double(*next);
      if (weight.bytes > 0)
        use.part = (end - double(binding->value())) / weight.bytes;
      use.use = useOf(*from, weight);
      dispatch.projectsHeads |= weight.isHeadProjection;
      dispatch.uses.push_back(use);
    }
    program.dispatches.push_back(std::move(dispatch));
  }
  programs.push_back(std::move(program));
}

/// Of a dispatch that attends, or -1. Those that append to the cache need no
/// page of the context.
int32_t CostModel::attentionLayerOf(const schema::Dispatch &dispatch) {
  bool readsContext = false;
  int32_t layer = -1;
  for (const schema::Binding *binding : *dispatch.bindings()) {
    if (binding->kind() == BindingKind::cache)
      layer = static_cast<int32_t>(binding->index());
    if (binding->kind() == BindingKind::batch)
      readsContext |= binding->index() == uint32_t(BatchField::page_table) ||
                      binding->index() == uint32_t(BatchField::context_rows);
  }
  return readsContext ? layer : -1;
}

CostModel::Use CostModel::useOf(const schema::Dispatch &dispatch,
                                const Weight &weight) const {
  const schema::Workgroups &groups = *dispatch.workgroups();
  const auto &kernel = *metadata->kernels()->Get(dispatch.kernel())->symbol();
  if (kernel.string_view().starts_with("embed"))
    return Use::lookup;
  // Workgroups for active experts only.
  if (weight.isExpert || groups.indirect() >= 0)
    return Use::expert;
  switch (groups.dim()) {
  case Dim::logit_rows:
    return Use::logits;
  case Dim::context:
    return Use::context;
  case Dim::sequences:
    return Use::sequences;
  case Dim::one:
  case Dim::tokens:
    break;
  }
  return Use::tokens;
}
