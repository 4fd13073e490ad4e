//===- Options.h - The command line of dsv2-bench ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_OPTIONS_H
#define DSV2_TOOLS_BENCH_OPTIONS_H

#include "tools/common/RuntimeTool.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dsv2 {

enum class OutputFormat { markdown, json, jsonLines, csv };

struct BenchOptions {
  std::string modelPath;
  LoadOptions load; ///< with the threads left out
  std::vector<int64_t> prompts, generations, depths, threads, batches;
  int repetitions = 5;
  int64_t chunk = 0;
  bool profile = false;
  bool computeDepth = false;
  bool warmUp = true;
  OutputFormat output = OutputFormat::markdown;
  std::string records; ///< file that gets a JSON line a test; empty: none
};

/// The numbers of "1,2,4-16*2,20-30+5"; `what` names the option in the error.
Result<std::vector<int64_t>> parseNumbers(const std::string &text,
                                          const std::string &what);

/// A value is the status to exit with.
std::optional<int> parseBenchOptions(int argc, char **argv,
                                     BenchOptions &options);

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_OPTIONS_H
