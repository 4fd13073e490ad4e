//===- dsv2-bench.cpp - Measure a compiled model --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Handles.h"
#include "tools/dsv2-bench/CpuRoofline.h"
#include "tools/dsv2-bench/CudaRoofline.h"
#include "tools/dsv2-bench/Measure.h"
#include "tools/dsv2-bench/Options.h"
#include "tools/dsv2-bench/Report.h"

#include <cstdio>

using namespace dsv2;

static std::vector<Test> testsOf(const BenchOptions &options) {
  std::vector<Test> tests;
  for (int64_t depth : options.depths) {
    for (int64_t prompt : options.prompts)
      if (prompt > 0)
        tests.push_back({prompt, 0, depth, 1});
    for (int64_t generation : options.generations)
      for (int64_t batch : options.batches)
        if (generation > 0)
          tests.push_back({0, generation, depth, batch});
  }
  return tests;
}

/// What the kernels in use may assume of the CPU.
static uint64_t featuresOf(const Artifact &artifact, const char *name) {
  for (const schema::KernelLibrary *library : *artifact.metadata().libraries())
    if (library->name()->str() == name)
      return library->features();
  return 0;
}

/// The limits of what runs `model`. Says on stderr, once, what it cannot
/// measure.
static Result<std::unique_ptr<Roofline>>
makeRoofline(const LoadedModel &model, const Artifact &artifact) {
  std::unique_ptr<Roofline> roofline;
  if (const auto &gpu = model.model->model->gpu()) {
    Result<std::unique_ptr<CudaRoofline>> made =
        CudaRoofline::create(gpu->device);
    if (!made.ok())
      return made.status();
    if (!(*made)->matmulStatus().ok())
      std::fprintf(stderr, "dsv2-bench: note: %s\n",
                   (*made)->matmulStatus().message().c_str());
    roofline = *std::move(made);
    return roofline;
  }
  Result<std::unique_ptr<CpuRoofline>> made = CpuRoofline::create(
      model.instance->pool, featuresOf(artifact, model.info.instruction_set),
      artifact.weightBytes());
  if (!made.ok())
    return made.status();
  roofline = *std::move(made);
  return roofline;
}

static Result<int> bench(const BenchOptions &options) {
  std::vector<Test> tests = testsOf(options);
  if (tests.empty())
    return Status(StatusCode::invalidArgument,
                  "expected a test, but --n-prompt and --n-gen are 0");
  Result<Artifact> artifact = Artifact::open(options.modelPath);
  if (!artifact.ok())
    return artifact.status();
  Result<CostModel> costs = CostModel::create(*artifact);
  if (!costs.ok())
    return costs.status();

  MeasureOptions measureOptions;
  measureOptions.repetitions = options.repetitions;
  measureOptions.chunk = options.chunk;
  measureOptions.warmUp = options.warmUp;
  measureOptions.profile = options.profile;
  measureOptions.computeDepth = options.computeDepth;
  Report report(options.output, options.modelPath, options.records);
  bool hasBegun = false;
  for (int64_t threads : options.threads) {
    LoadOptions load = options.load;
    load.threads = static_cast<int>(threads);
    Result<LoadedModel> model =
        loadModel("dsv2-bench", options.modelPath, load);
    if (!model.ok())
      return model.status();
    Result<std::unique_ptr<Roofline>> roofline =
        makeRoofline(*model, *artifact);
    if (!roofline.ok())
      return roofline.status();
    Bench runner(*model, *costs, **roofline, measureOptions);
    // All tests are checked before the first one takes its time.
    for (const Test &test : tests)
      DSV2_RETURN_IF_ERROR(runner.check(test));
    if (!hasBegun)
      DSV2_RETURN_IF_ERROR(report.begin());
    hasBegun = true;
    for (const Test &test : tests) {
      Result<Measurement> measurement = runner.measure(test);
      if (!measurement.ok())
        return measurement.status();
      DSV2_RETURN_IF_ERROR(report.add(*model, *measurement));
    }
  }
  DSV2_RETURN_IF_ERROR(report.end());
  return 0;
}

int main(int argc, char **argv) {
  BenchOptions options;
  if (std::optional<int> exit = parseBenchOptions(argc, argv, options))
    return *exit;
  return runProgram("dsv2-bench", [&] { return bench(options); });
}
