//===- Measure.h - Running the tests ----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_MEASURE_H
#define DSV2_TOOLS_BENCH_MEASURE_H

#include "tools/common/RuntimeTool.h"
#include "tools/dsv2-bench/Profile.h"
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

/// One run of a test. The limits of the machine are measured before, after and,
/// when it takes long, between its steps; each step is compared with those
/// around it.
struct Repetition {
  double seconds = 0; ///< of the steps alone
  StepBound bound;
};

struct Measurement {
  Test test;
  std::vector<Repetition> repetitions;
  std::vector<Limits> limits; ///< all that were measured
  double touchedExperts = -1; ///< share of them in a step; negative: no experts
  std::vector<ProfileRow> profile; ///< longest first
};

struct MeasureOptions {
  int repetitions = 5;
  int64_t chunk = 0;
  bool warmUp = true;
  bool profile = false;
  bool computeDepth = false;
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
  struct Pace;

  Status prepare(const Test &test);
  Status fill(dsv2_sequence_t sequence, int64_t depth);
  Status run(const Test &test, Pace &pace);
  Status prompt(const Test &test, Pace &pace);
  Status generate(const Test &test, Pace &pace);
  Status rewind(const Test &test);
  /// Runs once, with a profile.
  Status profiled(const Test &test, Pace &pace);
  int64_t chunk() const;
  int32_t nextToken();

  LoadedModel &model;
  const CostModel &costs;
  Roofline &roofline;
  const MeasureOptions options;
  SessionHandle session;
  std::vector<dsv2_sequence_t> sequences;
  double touchedExperts = -1;
  uint32_t random = 1;
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_MEASURE_H
