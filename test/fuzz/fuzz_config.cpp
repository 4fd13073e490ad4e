//===- fuzz_config.cpp - Fuzzing of the config reader ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Any text is refused with one line, or gives a config whose numbers are sane.
//
//===----------------------------------------------------------------------===//

#include "models/Config.h"

#include <cmath>
#include <cstdlib>

using namespace dsv2;

static void require(bool condition) {
  if (!condition)
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view text(reinterpret_cast<const char *>(data), size);
  Result<Config> config = parseConfig(text, "fuzz");
  if (!config.ok()) {
    const std::string &message = config.status().message();
    require(!message.empty() && message.find('\n') == std::string::npos);
    return 0;
  }
  require(addGenerationConfig(text, "fuzz", *config).ok());
  require(parameterCount(*config) > 0);
  require(activatedParameterCount(*config) > 0);
  require(activatedParameterCount(*config) <= parameterCount(*config));
  require(kvBytesPerToken(*config, 4) > 0);
  require(std::isfinite(softmaxScale(*config)));
  require(std::isfinite(ropeMagnitude(*config)));
  for (double frequency : ropeInverseFrequencies(*config))
    require(std::isfinite(frequency) && frequency >= 0);
  if (config->layers * config->routedExperts.value_or(1) < 1000)
    require(!expectedTensors(*config).empty());
  return 0;
}
