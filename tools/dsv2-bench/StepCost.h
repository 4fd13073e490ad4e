//===- StepCost.h - What a step cannot do without ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Counts the bytes a step must move and the multiplications it must do. Over
// the limits of the machine, that gives the least time the step can take.
//
// Weights, their formats and where they are used come from the plan. Attention
// is counted as the model defines it, in the form that takes less time, and not
// as the plan happens to compute it.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_STEPCOST_H
#define DSV2_TOOLS_BENCH_STEPCOST_H

#include "runtime/artifact/Artifact.h"
#include "tools/dsv2-bench/Roofline.h"

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace dsv2 {

/// `sequences` of the same length get `newTokens` each.
struct StepShape {
  int64_t sequences = 1;
  int64_t newTokens = 1;
  int64_t context = 0;   ///< tokens of each before the step
  int64_t logitRows = 0; ///< of all sequences together
  /// The share of the experts that the tokens choose, as counted; negative:
  /// not counted.
  double touchedExperts = -1;

  int64_t tokens() const { return sequences * newTokens; }
};

struct StepCost {
  double bytes = 0;
  std::array<double, dotTypeCount> operations = {};

  StepCost &operator+=(const StepCost &other);
  /// Seconds, when reading and multiplying overlap perfectly.
  double leastTime(const Limits &limits) const;
};

/// What no step can be faster than.
struct StepBound {
  double time = 0; ///< reading and multiplying of the whole step overlap
  /// Only those of a dispatch do: each depends on the one before.
  double serialTime = 0;

  StepBound &operator+=(const StepBound &other);
};

class CostModel {
public:
  /// The artifact must outlive the model.
  static Result<CostModel> create(const Artifact &artifact);

  /// The program that the engine runs such a step with.
  size_t programOf(const StepShape &shape) const;
  size_t programCount() const { return programs.size(); }
  /// What each dispatch of that program must move and do, by its index, with
  /// the program's form of attention; nothing for one that does not run.
  std::vector<StepCost> dispatchCosts(const StepShape &shape) const;
  /// The whole step, with the cheaper form of attention.
  StepBound bound(const StepShape &shape, const Limits &limits) const;
  StepCost cost(const StepShape &shape, const Limits &limits) const;
  /// The bytes of a step.
  double bytes(const StepShape &shape) const;

  /// The share of the experts that were active, by the workgroups that
  /// dispatch `index` of `program` ran for them in steps of `tokens`; negative
  /// when the dispatch is not one of experts.
  double touchedExperts(size_t program, size_t index, int64_t tokens,
                        double workgroupsPerRun) const;

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
  };
  struct Dispatch {
    int64_t minTokens = 0, maxTokens = 0;
    std::vector<WeightUse> uses;
    int32_t attentionLayer = -1; ///< that it reads the cache of
    bool projectsHeads = false;  ///< has weights of projections of heads

    bool runsFor(int64_t tokens) const {
      return tokens >= minTokens && tokens <= maxTokens;
    }
  };
  struct Program {
    int64_t maxQueryTokens = 0;
    bool isLatent = false;
    std::vector<Dispatch> dispatches;
  };
  struct Weight {
    double bytes = 0;
    double parameters = 0;
    int64_t rows = 1; ///< of a lookup table
    bool isMatrix = false, isExpert = false;
    double sharedExperts = 0; ///< of a weight of experts, behind the others
    /// W_UK or W_UV: what they multiply depends on the form of attention.
    bool isHeadProjection = false;
    DotType dot = DotType::f32;
  };
  /// Weight parts that were read already: they may have stayed in the cache.
  using Moved = std::set<std::pair<uint32_t, uint64_t>>;

  CostModel() = default;
  void readConfig();
  void addWeight(const schema::Weight &weight);
  void addProgram(const schema::Program &program);
  static int32_t attentionLayerOf(const schema::Dispatch &dispatch);
  Use useOf(const schema::Dispatch &dispatch, const Weight &weight) const;
  StepCost weightCost(const WeightUse &use, const StepShape &shape,
                      Moved &moved) const;
  double touched(const StepShape &shape) const;
  /// Of one layer, without and with the projections of its heads.
  StepCost attentionCost(const StepShape &shape, bool latent) const;
  StepCost projectionCost(const StepShape &shape, bool latent) const;
  /// All that does not depend on the form of attention.
  template <typename Visitor>
  void visitOthers(const StepShape &shape, Visitor visit) const;
  /// Of one layer, in the form that takes less time.
  StepCost cheaperAttention(const StepShape &shape, const Limits &limits) const;

  const schema::Artifact *metadata = nullptr;
  std::vector<Weight> weights;
  std::vector<Program> programs;
  double experts = 0, expertsPerToken = 0, sharedExperts = 0;
  double heads = 0, noPositionDim = 0, valueDim = 0, latentDim = 0;
  DotType attentionDot = DotType::bf16;
  bool isGpu = false;
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_STEPCOST_H
