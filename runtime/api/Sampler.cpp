//===- Sampler.cpp - Samplers of the C API --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Handles.h"

using namespace dsv2;
using namespace dsv2::api;

dsv2_status_t dsv2_sampler_create(const dsv2_sampler_options_t *options,
                                  dsv2_sampler_t **out_sampler) {
  return guarded([&] {
    DSV2_REQUIRE(out_sampler);
    dsv2_sampler_options_t given = DSV2_SAMPLER_OPTIONS_INIT;
    DSV2_RETURN_IF_ERROR(readOptions(options, given));
    SamplerOptions samplerOptions;
    samplerOptions.temperature = given.temperature;
    samplerOptions.topK = given.top_k;
    samplerOptions.topP = given.top_p;
    samplerOptions.minP = given.min_p;
    samplerOptions.repeatPenalty = given.repeat_penalty;
    samplerOptions.repeatWindow = given.repeat_window;
    samplerOptions.seed = given.seed;
    samplerOptions.vocab = given.vocab;
    Result<Sampler> sampler = Sampler::create(samplerOptions);
    if (!sampler.ok())
      return sampler.status();
    *out_sampler = new dsv2_sampler{*std::move(sampler)};
    return Status();
  });
}

void dsv2_sampler_release(dsv2_sampler_t *sampler) { delete sampler; }

dsv2_status_t dsv2_sampler_accept(dsv2_sampler_t *sampler,
                                  const int32_t *tokens, size_t count) {
  return guarded([&] {
    DSV2_REQUIRE(sampler);
    DSV2_REQUIRE(tokens || count == 0);
    for (size_t i = 0; i < count; ++i)
      sampler->sampler.accept(tokens[i]);
    return Status();
  });
}

dsv2_status_t dsv2_sampler_sample(dsv2_sampler_t *sampler, const float *logits,
                                  int64_t vocab, int32_t *out_token) {
  return guarded([&] {
    DSV2_REQUIRE(sampler);
    DSV2_REQUIRE(logits);
    DSV2_REQUIRE(out_token);
    if (vocab < 1 || vocab > INT32_MAX)
      return Status(StatusCode::invalidArgument,
                    "vocab is " + std::to_string(vocab) +
                        ", expected the number of logits in a row");
    Result<int32_t> token =
        sampler->sampler.sample({logits, static_cast<size_t>(vocab)});
    if (!token.ok())
      return token.status();
    *out_token = *token;
    return Status();
  });
}

dsv2_status_t dsv2_session_sample(dsv2_session_t *session, int64_t row,
                                  dsv2_sampler_t *sampler, int32_t *out_token) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    DSV2_REQUIRE(sampler);
    DSV2_REQUIRE(out_token);
    Result<int32_t> token = session->session->sample(sampler->sampler, row);
    if (!token.ok())
      return token.status();
    *out_token = *token;
    return Status();
  });
}

void dsv2_sampler_reset(dsv2_sampler_t *sampler) {
  if (sampler)
    sampler->sampler.reset();
}
