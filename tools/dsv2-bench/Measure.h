//===- Measure.h - Running the tests ----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_MEASURE_H
#define DSV2_TOOLS_BENCH_MEASURE_H

#include "tools/common/RuntimeTool.h"
#include "tools/dsv2-bench/Roofline.h"
#include "tools/dsv2-bench/StepCost.h"

#include <string>
#include <vector>

namespace dsv2 {

/// A prompt of `prompt` tokens, or `generation` steps of one token each for
/// `batch` sequences, after `depth` tokens.
struct Test {
  int64_t prompt = 0, generation = 0, depth = 0, batch = 1;

  /// "pp512", "tg128 b4 @ d4096".
  std::string name() const;
  /// Tokens of one sequence in the end.
  int64_t context() const { return depth + prompt + generation; }
  int64_t tokens() const { return prompt + generation * batch; }
};

/// Dispatches of the same kernel at the same place in a layer, added up.
struct ProfileRow {
  std::string program, kernel, label;
  uint64_t runs = 0, nanoseconds = 0;
};

struct Measurement {
  Test test;
  std::vector<double> seconds;     ///< of each repetition
  std::vector<double> bounds;      ///< least seconds, by the limits around it
  std::vector<Limits> limits;      ///< measured before the first and after each
  std::vector<ProfileRow> profile; ///< longest first
};

struct MeasureOptions {
  int repetitions = 5;
  int64_t chunk = 0;
  bool warmUp = true;
  bool profile = false;
};

/// Runs tests on one model with one number of threads.
class Bench {
public:
  /// All arguments must outlive the bench.
  Bench(LoadedModel &model, const CostModel &costs, Roofline &roofline,
        const MeasureOptions &options)
      : model(model), costs(costs), roofline(roofline), options(options) {}

  /// Fails when the artifact's limits do not allow a test.
  Status check(const Test &test) const;
  Result<Measurement> measure(const Test &test);

private:
  Status prepare(const Test &test);
  Status fill(const Test &test);
  Status run(const Test &test);
  Status rewind(const Test &test);
  Status generate(const Test &test);
  double leastTime(const Test &test, const Limits &limits) const;
  uint64_t stepBytes(const Test &test) const;
  int64_t chunk() const;
  int32_t nextToken();
  std::vector<ProfileRow> collectProfile() const;

  LoadedModel &model;
  const CostModel &costs;
  Roofline &roofline;
  const MeasureOptions options;
  SessionHandle session;
  std::vector<dsv2_sequence_t> sequences;
  std::vector<int32_t> tokens; ///< of a prompt
  uint32_t random = 1;
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_MEASURE_H
