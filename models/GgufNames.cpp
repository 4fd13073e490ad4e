//===- GgufNames.cpp - Names of tensors in GGUF files ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/GgufNames.h"

#include <charconv>
#include <optional>
#include <utility>

using namespace dsv2;

using Pair = std::pair<std::string_view, std::string_view>;

static constexpr Pair modelNames[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

/// After "model.layers.{l}." and "blk.{l}.".
static constexpr Pair layerNames[] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.q_a_proj.weight", "attn_q_a.weight"},
    {"self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight"},
    {"self_attn.q_b_proj.weight", "attn_q_b.weight"},
    {"self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight"},
    {"self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight"},
    {"self_attn.kv_b_proj.weight", "attn_kv_b.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    {"mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight"},
    {"mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight"},
    {"mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight"},
};

/// After "model.layers.{l}.mlp.experts.{e}.".
static constexpr Pair expertNames[] = {
    {"gate_proj.weight", "ffn_gate_exps.weight"},
    {"up_proj.weight", "ffn_up_exps.weight"},
    {"down_proj.weight", "ffn_down_exps.weight"},
};

template <size_t Size>
static std::string_view lookUp(const Pair (&names)[Size],
                               std::string_view name) {
  for (const Pair &pair : names)
    if (pair.first == name)
      return pair.second;
  return {};
}

/// Takes "<prefix><number>." off `name`.
static std::optional<int64_t> takeIndex(std::string_view &name,
                                        std::string_view prefix) {
  if (!name.starts_with(prefix))
    return std::nullopt;
  std::string_view rest = name.substr(prefix.size());
  int64_t index = -1;
  auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), index);
  if (error != std::errc() || index < 0 || end == rest.data() + rest.size() ||
      *end != '.')
    return std::nullopt;
  name = rest.substr(static_cast<size_t>(end + 1 - rest.data()));
  return index;
}

GgufName dsv2::ggufNameOf(std::string_view name) {
  std::optional<int64_t> layer = takeIndex(name, "model.layers.");
  if (!layer)
    return {std::string(lookUp(modelNames, name)), -1};
  std::optional<int64_t> expert = takeIndex(name, "mlp.experts.");
  std::string_view suffix =
      expert ? lookUp(expertNames, name) : lookUp(layerNames, name);
  if (suffix.empty())
    return {};
  return {"blk." + std::to_string(*layer) + "." + std::string(suffix),
          expert.value_or(-1)};
}
