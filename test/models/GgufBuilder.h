//===- GgufBuilder.h - Small GGUF files for tests ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Writes GGUF files, and whole models in both layouts of the projections of the
// latent: joined, as older files have them, and split by head with the keys
// transposed.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_MODELS_GGUFBUILDER_H
#define DSV2_TEST_MODELS_GGUFBUILDER_H

#include "models/Config.h"
#include "models/GgufNames.h"
#include "models/GgufType.h"
#include "runtime/base/NumberFormats.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace dsv2::test {

/// A file in the making.
class GgufImage {
public:
  void u32(const std::string &key, uint32_t value) { add(key, 4, value); }
  void f32(const std::string &key, float value) { add(key, 6, value); }
  void boolean(const std::string &key, bool value) {
    add(key, 7, static_cast<uint8_t>(value));
  }
  void text(const std::string &key, const std::string &value) {
    begin(key, 8);
    put(metadata, value);
  }
  void texts(const std::string &key, const std::vector<std::string> &values) {
    begin(key, 9);
    put(metadata, uint32_t(8));
    put(metadata, uint64_t(values.size()));
    for (const std::string &value : values)
      put(metadata, value);
  }
  void integers(const std::string &key, const std::vector<int32_t> &values) {
    begin(key, 9);
    put(metadata, uint32_t(5));
    put(metadata, uint64_t(values.size()));
    for (int32_t value : values)
      put(metadata, value);
  }

  /// `shape` is outermost first.
  void tensor(const std::string &name, const std::vector<int64_t> &shape,
              GgufType type, const std::string &bytes) {
    data.resize((data.size() + 31) / 32 * 32);
    put(infos, name);
    put(infos, uint32_t(shape.size()));
    for (size_t i = shape.size(); i-- > 0;)
      put(infos, shape[i]);
    put(infos, static_cast<uint32_t>(type));
    put(infos, uint64_t(data.size()));
    data += bytes;
    ++tensorCount;
  }

  std::string bytes() const {
    std::string file = "GGUF";
    put(file, uint32_t(3));
    put(file, tensorCount);
    put(file, entryCount);
    file += metadata + infos;
    file.resize((file.size() + 31) / 32 * 32);
    return file + data;
  }

private:
  template <typename T>
  static void put(std::string &to, T value) {
    to.append(reinterpret_cast<const char *>(&value), sizeof(value));
  }
  static void put(std::string &to, const std::string &value) {
    put(to, uint64_t(value.size()));
    to += value;
  }
  void begin(const std::string &key, uint32_t kind) {
    put(metadata, key);
    put(metadata, kind);
    ++entryCount;
  }
  template <typename T>
  void add(const std::string &key, uint32_t kind, T value) {
    begin(key, kind);
    put(metadata, value);
  }

  std::string metadata, infos, data;
  uint64_t entryCount = 0, tensorCount = 0;
};

/// The blocks of rows in F32, F16, BF16, Q8_0, Q4_0 or Q4_1, rounded in the
/// plainest way.
inline std::string encodeGguf(GgufType type, const std::vector<float> &values) {
  std::string bytes;
  auto put = [&](auto value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
  };
  if (infoOf(type).blockElements == 1) {
    for (float value : values)
      if (type == GgufType::f32)
        put(value);
      else
        put(type == GgufType::f16 ? floatToF16(value) : floatToBf16(value));
    return bytes;
  }
  for (size_t first = 0; first < values.size(); first += 32) {
    const float *x = values.data() + first;
    auto [low, high] = std::minmax_element(x, x + 32);
    float extreme = -*low > *high ? *low : *high, offset = 0;
    float scale = extreme / (type == GgufType::q8_0 ? 127.f : -8.f);
    int lowest = type == GgufType::q8_0 ? -127 : 0;
    int highest = type == GgufType::q8_0 ? 127 : 15, zero = 0;
    if (type == GgufType::q4_0)
      zero = 8;
    if (type == GgufType::q4_1) {
      scale = (*high - *low) / 15;
      offset = *low;
    }
    put(floatToF16(scale));
    if (type == GgufType::q4_1)
      put(floatToF16(offset));
    auto code = [&](int i) {
      float quant = scale ? std::nearbyint((x[i] - offset) / scale) : 0;
      return std::clamp(static_cast<int>(quant) + zero, lowest, highest);
    };
    for (int i = 0; i < (type == GgufType::q8_0 ? 32 : 16); ++i)
      put(static_cast<uint8_t>(
          type == GgufType::q8_0 ? code(i) : code(i) | code(i + 16) << 4));
  }
  return bytes;
}

struct GgufLayout {
  /// Of matrices whose rows are whole blocks, except routers; others are F32.
  GgufType type = GgufType::f32;
  /// Whether the projections of the latent are stored apart.
  bool isSplit = false;
};

inline GgufImage ggufMetadata(const Config &config, bool isSplit) {
  GgufImage image;
  image.text("general.architecture", "deepseek2");
  auto u32 = [&](const std::string &key, int64_t value) {
    image.u32("deepseek2." + key, static_cast<uint32_t>(value));
  };
  auto f32 = [&](const std::string &key, double value) {
    image.f32("deepseek2." + key, static_cast<float>(value));
  };
  u32("block_count", config.layers);
  u32("context_length", config.maxPosition);
  u32("embedding_length", config.hidden);
  u32("feed_forward_length", config.intermediateSize);
  u32("attention.head_count", config.heads);
  u32("attention.head_count_kv", isSplit ? 1 : config.heads);
  f32("attention.layer_norm_rms_epsilon", config.rmsNormEps);
  if (config.qLoraRank)
    u32("attention.q_lora_rank", *config.qLoraRank);
  u32("attention.kv_lora_rank", config.kvLoraRank);
  u32("attention.key_length",
      isSplit ? config.cacheRowSize() : config.qkHeadDim());
  u32("attention.value_length", isSplit ? config.kvLoraRank : config.vHeadDim);
  if (isSplit) {
    u32("attention.key_length_mla", config.qkHeadDim());
    u32("attention.value_length_mla", config.vHeadDim);
  }
  u32("rope.dimension_count", config.qkRopeHeadDim);
  f32("rope.freq_base", config.ropeTheta);
  if (config.yarn) {
    image.text("deepseek2.rope.scaling.type", "yarn");
    f32("rope.scaling.factor", config.yarn->factor);
    u32("rope.scaling.original_context_length",
        config.yarn->originalMaxPosition);
    f32("rope.scaling.yarn_beta_fast", config.yarn->betaFast);
    f32("rope.scaling.yarn_beta_slow", config.yarn->betaSlow);
    f32("rope.scaling.yarn_log_multiplier", config.yarn->mscaleAllDim / 10);
  }
  if (config.routedExperts) {
    u32("leading_dense_block_count", config.firstKDenseReplace);
    u32("expert_count", *config.routedExperts);
    u32("expert_used_count", config.expertsPerToken);
    u32("expert_shared_count", config.sharedExperts);
    u32("expert_feed_forward_length", config.moeIntermediateSize);
    f32("expert_weights_scale", config.routedScalingFactor);
    image.boolean("deepseek2.expert_weights_norm", config.normTopkProb);
    u32("expert_gating_func", config.scoring == Scoring::sigmoid ? 2 : 1);
    u32("expert_group_count", config.groups);
    u32("expert_group_used_count", config.topkGroup);
  }
  if (config.bosId)
    image.u32("tokenizer.ggml.bos_token_id",
              static_cast<uint32_t>(*config.bosId));
  if (!config.eosIds.empty())
    image.u32("tokenizer.ggml.eos_token_id",
              static_cast<uint32_t>(config.eosIds.front()));
  return image;
}

/// A GGUF file of the weights of `source`, which must hold the whole model.
inline GgufImage ggufOf(const Config &config, const TensorSource &source,
                        GgufLayout layout) {
  GgufImage image = ggufMetadata(config, layout.isSplit);
  auto valuesOf = [&](const std::string &name) {
    TensorInfo info = *source.info(name);
    std::vector<float> values(info.rows() * info.rowSize());
    Status status = source.readRows(name, 0, info.rows(), values.data());
    return status.ok() ? values : std::vector<float>();
  };
  auto add = [&](const std::string &name, const std::vector<int64_t> &shape,
                 const std::vector<float> &values) {
    bool isPlain = shape.size() < 2 ||
                   name.find("ffn_gate_inp") != std::string::npos ||
                   shape.back() % infoOf(layout.type).blockElements != 0;
    GgufType type = isPlain ? GgufType::f32 : layout.type;
    image.tensor(name, shape, type, encodeGguf(type, values));
  };
  for (const ExpectedTensor &expected : expectedTensors(config)) {
    GgufName named = ggufNameOf(expected.name);
    std::vector<float> values = valuesOf(expected.name);
    std::vector<int64_t> shape = expected.shape;
    if (named.expert > 0)
      continue;
    if (named.expert == 0) { // all experts at once
      size_t at = expected.name.find("experts.0.") + 8;
      for (int64_t e = 1; e < *config.routedExperts; ++e) {
        std::string other = expected.name;
        other.replace(at, 1, std::to_string(e));
        std::vector<float> more = valuesOf(other);
        values.insert(values.end(), more.begin(), more.end());
      }
      shape.insert(shape.begin(), *config.routedExperts);
    }
    size_t joined = named.name.find("attn_kv_b");
    if (!layout.isSplit || joined == std::string::npos) {
      add(named.name, shape, values);
      continue;
    }
    int64_t nope = config.qkNopeHeadDim, value = config.vHeadDim;
    int64_t latent = config.kvLoraRank;
    std::vector<float> keys, rest;
    for (int64_t h = 0; h < config.heads; ++h) {
      const float *head = values.data() + h * (nope + value) * latent;
      for (int64_t c = 0; c < latent; ++c)
        for (int64_t i = 0; i < nope; ++i)
          keys.push_back(head[i * latent + c]);
      rest.insert(rest.end(), head + nope * latent,
                  head + (nope + value) * latent);
    }
    std::string prefix = named.name.substr(0, joined);
    add(prefix + "attn_k_b.weight", {config.heads, latent, nope}, keys);
    add(prefix + "attn_v_b.weight", {config.heads, value, latent}, rest);
  }
  return image;
}

} // namespace dsv2::test

#endif // DSV2_TEST_MODELS_GGUFBUILDER_H
