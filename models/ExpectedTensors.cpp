//===- ExpectedTensors.cpp - Names and shapes of a checkpoint -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Config.h"

using namespace dsv2;

namespace {
/// Collects tensors under the names that Hugging Face checkpoints use.
class TensorList {
public:
  explicit TensorList(const Config &config) : config(config) {}

  void vector(const std::string &name, int64_t size) {
    tensors.push_back({name, {size}});
  }

  void matrix(const std::string &name, int64_t out, int64_t in) {
    tensors.push_back({name + ".weight", {out, in}});
  }

  void gatedMlp(const std::string &prefix, int64_t width) {
    matrix(prefix + "gate_proj", width, config.hidden);
    matrix(prefix + "up_proj", width, config.hidden);
    matrix(prefix + "down_proj", config.hidden, width);
  }

  void attention(const std::string &prefix);
  void mixture(const std::string &prefix);

  std::vector<ExpectedTensor> tensors;

private:
  const Config &config;
};
} // namespace

void TensorList::attention(const std::string &prefix) {
  int64_t queryWidth = config.heads * config.qkHeadDim();
  if (config.qLoraRank) {
    matrix(prefix + "q_a_proj", *config.qLoraRank, config.hidden);
    vector(prefix + "q_a_layernorm.weight", *config.qLoraRank);
    matrix(prefix + "q_b_proj", queryWidth, *config.qLoraRank);
  } else {
    matrix(prefix + "q_proj", queryWidth, config.hidden);
  }
  matrix(prefix + "kv_a_proj_with_mqa", config.cacheRowSize(), config.hidden);
  vector(prefix + "kv_a_layernorm.weight", config.kvLoraRank);
  matrix(prefix + "kv_b_proj",
         config.heads * (config.qkNopeHeadDim + config.vHeadDim),
         config.kvLoraRank);
  matrix(prefix + "o_proj", config.hidden, config.heads * config.vHeadDim);
}

void TensorList::mixture(const std::string &prefix) {
  matrix(prefix + "gate", *config.routedExperts, config.hidden);
  if (config.selection == Selection::noauxTc)
    vector(prefix + "gate.e_score_correction_bias", *config.routedExperts);
  for (int64_t expert = 0; expert < *config.routedExperts; ++expert)
    gatedMlp(prefix + "experts." + std::to_string(expert) + ".",
             config.moeIntermediateSize);
  if (config.sharedExperts != 0)
    gatedMlp(prefix + "shared_experts.",
             config.sharedExperts * config.moeIntermediateSize);
}

std::vector<ExpectedTensor> dsv2::expectedTensors(const Config &config) {
  TensorList list(config);
  list.matrix("model.embed_tokens", config.vocab, config.hidden);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    std::string prefix = "model.layers." + std::to_string(layer) + ".";
    list.vector(prefix + "input_layernorm.weight", config.hidden);
    list.attention(prefix + "self_attn.");
    list.vector(prefix + "post_attention_layernorm.weight", config.hidden);
    if (isMoeLayer(config, layer))
      list.mixture(prefix + "mlp.");
    else
      list.gatedMlp(prefix + "mlp.", config.intermediateSize);
  }
  list.vector("model.norm.weight", config.hidden);
  if (!config.tieWordEmbeddings)
    list.matrix("lm_head", config.vocab, config.hidden);
  return std::move(list.tensors);
}
