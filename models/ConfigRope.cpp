//===- ConfigRope.cpp - Reading rotary parameters -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/ConfigReaders.h"

using namespace dsv2;
using Json = nlohmann::json;

static void readYarn(JsonFields &rope, JsonFields &fields, Config &config) {
  Yarn yarn;
  // Newer files may keep the trained length outside; that one takes precedence.
  constexpr const char *trainedLength = "original_max_position_embeddings";
  yarn.originalMaxPosition = (fields.find(trainedLength) ? fields : rope)
                                 .integer(trainedLength, 1, longestContext);
  // An explicit null stands for the ratio of the two lengths.
  double ratio = static_cast<double>(config.maxPosition) /
                 static_cast<double>(yarn.originalMaxPosition);
  bool derived = !rope.absent("factor") && !rope.find("factor");
  yarn.factor = derived ? ratio : rope.number("factor", 1, 1e6);
  if (derived && ratio < 1)
    rope.fail("factor is null and max_position_embeddings is below "
              "original_max_position_embeddings; give a factor of 1 or more");
  yarn.betaFast = rope.number("beta_fast", 1e-3, 1e6, 32);
  yarn.betaSlow = rope.number("beta_slow", 1e-3, 1e6, 1);
  if (yarn.betaFast < yarn.betaSlow)
    rope.fail("beta_fast is below beta_slow, expected the reverse");
  yarn.mscale = rope.number("mscale", 0, 1e3, 1);
  yarn.mscaleAllDim = rope.number("mscale_all_dim", 0, 1e3, 0);
  yarn.truncate = rope.boolean("truncate", true);
  if (rope.find("attention_factor"))
    yarn.attentionFactor = rope.number("attention_factor", 1e-6, 1e6);
  config.yarn = yarn;
}

/// Rotary parameters come as rope_scaling with rope_theta beside it, or, in
/// newer files, as rope_parameters, which then exists even without scaling.
void dsv2::readRope(JsonFields &fields, Config &config) {
  constexpr double lowestTheta = 1.001, highestTheta = 1e12;
  config.ropeTheta =
      fields.number("rope_theta", lowestTheta, highestTheta, 10000);
  const char *key = "rope_scaling";
  const Json *parameters = fields.find(key);
  if (!parameters || (parameters->is_object() && parameters->empty())) {
    key = "rope_parameters";
    parameters = fields.find(key);
  }
  if (!parameters || !fields.ok())
    return;
  if (!parameters->is_object())
    return fields.fail(std::string(key) + " is " +
                       JsonFields::describe(*parameters) +
                       ", expected an object or null");

  JsonFields rope(*parameters, fields.origin() + ": " + key);
  config.ropeTheta =
      rope.number("rope_theta", lowestTheta, highestTheta, config.ropeTheta);
  if (rope.number("partial_rotary_factor", 0, 1, 1) != 1)
    rope.fail("partial_rotary_factor is not 1; latent attention rotates all of "
              "qk_rope_head_dim");
  bool typed = rope.find("rope_type") || rope.find("type");
  std::string type =
      rope.text(rope.find("rope_type") ? "rope_type" : "type", "default");
  if (!typed && rope.find("factor"))
    rope.fail("there is a factor but no type; add \"type\": \"yarn\"");
  if (type == "yarn")
    readYarn(rope, fields, config);
  else if (type != "default")
    rope.fail("type is " + JsonFields::describe(Json(type)) +
              ", expected yarn or default");
  fields.adopt(rope.status());
}
