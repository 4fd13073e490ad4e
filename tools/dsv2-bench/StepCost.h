//===- StepCost.h - What a step cannot do without ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Counts, from the plan of an artifact, the bytes a step must move and the
// multiplications it must do. Over the limits of the machine, that gives the
// least time the step can take.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_STEPCOST_H
#define DSV2_TOOLS_BENCH_STEPCOST_H

#include "runtime/artifact/Artifact.h"
#include "tools/dsv2-bench/Roofline.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace dsv2 {

/// `sequences` of the same length get `newTokens` each.
struct StepShape {
  int64_t sequences = 1;
  int64_t newTokens = 1;
  int64_t context = 0;   ///< tokens of each before the step
  int64_t logitRows = 0; ///< of all sequences together

  int64_t tokens() const { return sequences * newTokens; }
};

struct StepCost {
  double bytes = 0;
  std::array<double, dotTypeCount> operations = {};

  /// Seconds, when reading and multiplying overlap perfectly.
  double leastTime(const Limits &limits) const;
};

class CostModel {
public:
  /// The artifact must outlive the model.
  static Result<CostModel> create(const Artifact &artifact);

  StepCost cost(const StepShape &shape) const;

private:
  /// How often a dispatch multiplies a weight.
  enum class Use : uint8_t {
    lookup,
    tokens,
    sequences,
    context,
    logits,
    expert
  };
  /// A part of a weight that a dispatch reads.
  struct WeightUse {
    uint32_t weight = 0;
    uint64_t start = 0; ///< of the part, in bytes
    double part = 1;    ///< of the weight
    Use use = Use::tokens;
    int64_t minTokens = 0, maxTokens = 0;
  };
  struct Program {
    int64_t maxQueryTokens = 0;
    bool isLatent = false;
    std::vector<WeightUse> uses;
  };
  struct Weight {
    double bytes = 0;
    double parameters = 0;
    int64_t rows = 1; ///< of a lookup table
    bool isMatrix = false;
    DotType dot = DotType::f32;
  };

  CostModel() = default;
  void addProgram(const schema::Program &program);
  void addAttention(const Program &program, const StepShape &shape,
                    StepCost &cost) const;
  /// Of an expert's weights: how much of all experts `tokens` tokens touch.
  double touchedExperts(double tokens) const;

  const schema::Artifact *metadata = nullptr;
  std::vector<Weight> weights;
  std::vector<Program> programs;
  double experts = 0, expertsPerToken = 0;
  double heads = 0, noPositionDim = 0, valueDim = 0;
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_STEPCOST_H
