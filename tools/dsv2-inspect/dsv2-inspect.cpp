//===- dsv2-inspect.cpp - What is inside an artifact ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/RuntimeTool.h"
#include "tools/dsv2-inspect/Sections.h"

#include <cstdio>

using namespace dsv2;

namespace {

struct Options {
  std::string path;
  bool plan = false, kernels = false, memory = false, weights = false;
  bool config = false, tokenizer = false, json = false, verify = false;
  MemoryRequest request;

  bool anySection() const {
    return plan || kernels || memory || weights || config || tokenizer;
  }
};

} // namespace

static std::optional<int> parse(int argc, char **argv, Options &options) {
  ToolApp app("dsv2-inspect",
              "Show what is inside a compiled model: a summary, or the "
              "sections that are asked for. Needs neither the weights nor the "
              "CPU the model was compiled for.");
  app.add_option("model", options.path, "The artifact, a .dsv2 file")
      ->required();
  app.add_flag("--plan", options.plan, "The programs, dispatch by dispatch");
  app.add_flag("--kernels", options.kernels,
               "The kernels: code bytes for each instruction set, or what "
               "they take of a GPU");
  app.add_flag("--memory", options.memory,
               "The memory that running the model needs");
  app.add_flag("--weights", options.weights, "The weights");
  app.add_flag("--config", options.config, "The config the model came with");
  app.add_flag("--tokenizer", options.tokenizer, "The tokenizer");
  app.add_flag("--verify", options.verify,
               "Read all weights and compare their checksums");
  app.add_flag("--json", options.json, "Print JSON");
  app.add_option("-c,--ctx", options.request.context,
                 "For --memory: tokens of context; 0: as many as the artifact "
                 "allows")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 40))
      ->capture_default_str();
  app.add_option("--sequences", options.request.sequences,
                 "For --memory: sequences with that context")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  return parseArguments(app, argc, argv);
}

static Json collect(const Artifact &artifact, const Options &options) {
  Json result = Json::object();
  if (!options.anySection())
    result = summaryJson(artifact);
  if (options.plan)
    result["plan"] = planJson(artifact);
  if (options.kernels)
    result["kernels"] = kernelsJson(artifact);
  if (options.memory)
    result["memory"] = memoryJson(artifact, options.request);
  if (options.weights)
    result["weights"] = weightsJson(artifact);
  if (options.config)
    result["config"] = configJson(artifact);
  if (options.tokenizer)
    result["tokenizer"] = tokenizerJson(artifact);
  if (options.verify)
    result["verified"] = true;
  return result;
}

static std::string describe(const Artifact &artifact, const Options &options) {
  std::string result;
  auto add = [&](bool wanted, const std::string &section) {
    if (wanted)
      result += (result.empty() ? "" : "\n") + section;
  };
  // Only --verify has an answer of its own that needs no summary.
  add(!options.anySection() && !options.verify, summaryText(artifact));
  add(options.plan, planText(artifact));
  add(options.kernels, kernelsText(artifact));
  add(options.memory, memoryText(artifact, options.request));
  add(options.weights, weightsText(artifact));
  add(options.config, configText(artifact));
  add(options.tokenizer, tokenizerText(artifact));
  add(options.verify,
      "all " + std::to_string(artifact.metadata().weights()->size()) +
          " weights have the right checksum\n");
  return result;
}

static Result<int> inspect(const Options &options) {
  Result<Artifact> artifact = Artifact::open(options.path);
  if (!artifact.ok())
    return artifact.status();
  if (options.verify)
    DSV2_RETURN_IF_ERROR(artifact->verifyWeights());
  std::string output =
      options.json
          ? collect(*artifact, options)
                    .dump(2, ' ', false, Json::error_handler_t::replace) +
                "\n"
          : describe(*artifact, options);
  std::fwrite(output.data(), 1, output.size(), stdout);
  DSV2_RETURN_IF_ERROR(flushOutput());
  return 0;
}

int main(int argc, char **argv) {
  Options options;
  if (std::optional<int> exit = parse(argc, argv, options))
    return *exit;
  return runProgram("dsv2-inspect", [&] { return inspect(options); });
}
