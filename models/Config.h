//===- Config.h - What a model of the family looks like ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The typed form of a Hugging Face config.json of DeepSeek-V2, DeepSeek-V3 and
// their relatives, and the numbers that follow from it. parseConfig() accepts
// only configs that describe a model dsv2 can compute exactly, so nobody
// behind it has to check one again.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_CONFIG_H
#define DSV2_MODELS_CONFIG_H

#include "models/DataType.h"
#include "runtime/base/Status.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

/// Which graph the checkpoint was written for; decides defaults of absent keys.
enum class Family { deepseekV2, deepseekV3 };

/// How the experts of a token are chosen.
enum class Selection {
  greedy,          ///< the highest scores
  groupLimitedMax, ///< inside the groups with the highest single score
  noauxTc, ///< biased scores, inside the groups with the highest top-2 sum
};

/// What turns router logits into scores.
enum class Scoring { softmax, sigmoid };

/// What becomes of the selected weights. V2 scales only what it did not
/// normalize; V3 normalizes if asked, and always scales.
enum class RoutingRule { normalizeXorScale, normalizeThenScale };

/// YaRN context extension of the rotary frequencies.
struct Yarn {
  double factor = 1;
  int64_t originalMaxPosition = 0;
  double betaFast = 32;
  double betaSlow = 1;
  double mscale = 1;
  double mscaleAllDim = 0; ///< 0: absent, no correction of the softmax scale
  bool truncate = true;    ///< round the correction range to whole dimensions
  /// Multiplier of cos and sin; follows from the mscales when absent.
  std::optional<double> attentionFactor;
};

/// FP8 weights carry one inverse scale for each block of this size.
struct Fp8Blocks {
  int64_t rows = 128;
  int64_t cols = 128;
};

struct Config {
  std::string modelType; ///< as written, e.g. "deepseek_v2"
  Family family = Family::deepseekV2;

  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t vocab = 0;
  int64_t maxPosition = 0;
  bool tieWordEmbeddings = false;
  double rmsNormEps = 1e-6;
  /// The norms of the two latents ignore rms_norm_eps in the original models.
  double latentNormEps = 1e-6;

  int64_t heads = 0;
  std::optional<int64_t> qLoraRank; ///< absent: one plain query projection
  int64_t kvLoraRank = 0;
  int64_t qkNopeHeadDim = 0;
  int64_t qkRopeHeadDim = 0;
  int64_t vHeadDim = 0;
  double ropeTheta = 10000;
  std::optional<Yarn> yarn;

  int64_t intermediateSize = 0;         ///< of dense layers
  std::optional<int64_t> routedExperts; ///< absent: every layer is dense
  int64_t sharedExperts = 0;            ///< stored as one wide expert
  int64_t moeIntermediateSize = 0;      ///< of one expert
  int64_t expertsPerToken = 0;
  int64_t firstKDenseReplace = 0;
  int64_t moeLayerFreq = 1;
  int64_t groups = 1;    ///< 1 unless the selection uses groups
  int64_t topkGroup = 1; ///< groups kept
  Selection selection = Selection::greedy;
  Scoring scoring = Scoring::softmax;
  bool normTopkProb = false;
  double routedScalingFactor = 1;
  RoutingRule routingRule = RoutingRule::normalizeXorScale;

  /// Multi-token prediction layers behind the last one; dsv2 ignores them.
  int64_t nextTokenLayers = 0;

  std::optional<int64_t> bosId;
  std::vector<int64_t> eosIds;
  DataType dtype = DataType::f32; ///< f32, f16 or bf16
  std::optional<Fp8Blocks> fp8;

  int64_t qkHeadDim() const { return qkNopeHeadDim + qkRopeHeadDim; }
  /// Width of one cached row: the latent and the shared rotary key.
  int64_t cacheRowSize() const { return kvLoraRank + qkRopeHeadDim; }
};

/// Reads and checks a config.json. `sourceName` begins every message.
Result<Config> parseConfig(std::string_view json, std::string_view sourceName);

/// Adds the end tokens of a generation_config.json, which may name more of
/// them than the config.json beside it.
Status addGenerationConfig(std::string_view json, std::string_view sourceName,
                           Config &config);

/// True when the feed-forward part of `layer` is a mixture of experts.
bool isMoeLayer(const Config &config, int64_t layer);

/// All weights of the model, without layers for multi-token prediction.
int64_t parameterCount(const Config &config);

/// The weights that take part in one token, embedding and head included.
int64_t activatedParameterCount(const Config &config);

/// Bytes that one token adds to the latent cache of all layers.
int64_t kvBytesPerToken(const Config &config, int64_t bytesPerElement);

/// The factor of q·k, YaRN correction included.
double softmaxScale(const Config &config);

/// One frequency for each pair of rotary dimensions.
std::vector<double> ropeInverseFrequencies(const Config &config);

/// The multiplier of cos and sin.
double ropeMagnitude(const Config &config);

/// One tensor of a checkpoint.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape; ///< [out, in] for matrices
};

/// Every tensor that a checkpoint of this model must hold, in layer order.
std::vector<ExpectedTensor> expectedTensors(const Config &config);

} // namespace dsv2

#endif // DSV2_MODELS_CONFIG_H
