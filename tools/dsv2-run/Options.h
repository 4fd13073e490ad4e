//===- Options.h - The command line of dsv2-run -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_OPTIONS_H
#define DSV2_TOOLS_RUN_OPTIONS_H

#include "tools/common/RuntimeTool.h"

#include <cstdint>
#include <optional>
#include <string>

namespace dsv2 {

struct RunOptions {
  std::string modelPath;
  std::optional<std::string> prompt;
  std::string promptFile;
  std::string tokens;
  std::string systemText;
  std::string logitsPath;
  std::string countAfter;
  bool chat = false;
  bool perplexity = false;
  bool byLine = false;
  bool printTokens = false;
  bool ignoreEos = false;
  bool quiet = false;
  LoadOptions load;
  int64_t limit = -1;  ///< tokens to generate; negative: no limit
  int64_t context = 0; ///< 0: as many as the artifact allows
  int64_t chunk = 0;   ///< 0: as many as a step may hold
  int64_t seed = -1;   ///< negative: another one each time
  dsv2_sampler_options_t sampler = DSV2_SAMPLER_OPTIONS_INIT;
};

/// A value is the status to exit with.
std::optional<int> parseRunOptions(int argc, char **argv, RunOptions &options);

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_OPTIONS_H
