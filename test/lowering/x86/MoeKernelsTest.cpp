//===- MoeKernelsTest.cpp - Routing, grouping, combining ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/MoeRoute.h"
#include "lowering/X86/MoeSlots.h"
#include "test/lowering/x86/RunKernel.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

namespace dsv2::test {
namespace {

using namespace mlir::dsv2;
using namespace mlir::dsv2::x86;

constexpr uint32_t seed = 7;

class MoeKernels : public testing::TestWithParam<InstructionSet> {
protected:
  MoeKernels() { RecordProperty("seed", seed); }
  Random random{seed};
};

INSTANTIATE_TEST_SUITE_P(Sets, MoeKernels, testing::ValuesIn(hostSets()),
                         [](auto &info) { return setName(info.param); });

/// Indices of the `count` largest values, equals by index.
std::vector<int64_t> best(const std::vector<double> &values, int64_t count) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return values[a] > values[b]; });
  order.resize(count);
  return order;
}

struct Routed {
  std::vector<int64_t> experts;
  std::vector<double> weights;
};

Routed route(const RouteSpec &spec, const float *logits, const float *bias) {
  std::vector<double> scores(logits, logits + spec.experts);
  double largest = *std::max_element(scores.begin(), scores.end()), sum = 0;
  for (double &s : scores) {
    bool sigmoid = spec.scoring == RouteSpec::Scoring::sigmoid;
    s = sigmoid ? 1.0 / (1.0 + std::exp(-s)) : std::exp(s - largest);
    sum += s;
  }
  if (spec.scoring == RouteSpec::Scoring::softmax)
    for (double &s : scores)
      s /= sum;
  std::vector<double> choices = scores;
  for (int64_t e = 0; e < spec.experts; ++e)
    choices[e] += spec.bias ? bias[e] : 0.0;
  int64_t size = spec.experts / spec.groups;
  std::vector<double> ranks;
  for (int64_t g = 0; g < spec.groups; ++g) {
    std::vector<double> group(choices.begin() + g * size,
                              choices.begin() + (g + 1) * size);
    std::sort(group.rbegin(), group.rend());
    bool both = spec.groupScore == RouteSpec::GroupScore::topTwoSum;
    ranks.push_back(group[0] + (both && size > 1 ? group[1] : 0.0));
  }
  std::vector<int64_t> kept = best(ranks, spec.topGroups);
  for (int64_t e = 0; e < spec.experts; ++e)
    if (std::find(kept.begin(), kept.end(), e / size) == kept.end())
      choices[e] = -std::numeric_limits<double>::infinity();
  Routed result{best(choices, spec.topK), {}};
  double total = 0;
  for (int64_t e : result.experts)
    total += scores[e];
  for (int64_t e : result.experts)
    result.weights.push_back(
        (spec.normalize ? scores[e] / (total + spec.normEpsilon) : scores[e]) *
        spec.scale);
  return result;
}

std::vector<RouteSpec> routers() {
  RouteSpec greedy, limited, sigmoid, odd;
  greedy.tokens = limited.tokens = sigmoid.tokens = odd.tokens = 9;
  greedy.experts = 64;
  greedy.topK = 6;
  limited.experts = 160;
  limited.topK = 6;
  limited.groups = 8;
  limited.topGroups = 3;
  limited.scale = 16.0f;
  sigmoid.experts = 256;
  sigmoid.topK = 8;
  sigmoid.groups = 8;
  sigmoid.topGroups = 4;
  sigmoid.scoring = RouteSpec::Scoring::sigmoid;
  sigmoid.groupScore = RouteSpec::GroupScore::topTwoSum;
  sigmoid.bias = sigmoid.normalize = true;
  sigmoid.scale = 2.5f;
  odd.experts = 21;
  odd.topK = 5;
  odd.groups = 7;
  odd.topGroups = 2;
  odd.bias = true;
  return {greedy, limited, sigmoid, odd};
}

TEST_P(MoeKernels, Route) {
  for (const RouteSpec &spec : routers()) {
    Kernel kernel(GetParam(), [&](auto module, auto &set) {
      return emitRoute(module, "route", set, spec);
    });
    int64_t tokens = spec.tokens, experts = spec.experts, topK = spec.topK;
    std::vector<float> logits = random.floats(tokens * experts, 2.0f),
                       bias = random.floats(experts, 0.1f),
                       weights(tokens * topK + 1, untouched);
    // Choices below zero must still beat the groups that are not kept.
    for (float &b : bias)
      b -= spec.experts == 256 ? 2.0f : 0.0f;
    // Equal logits: the lowest indices win.
    std::fill_n(logits.begin(), experts, 0.25f);
    std::fill_n(bias.begin(), bias.size(), bias[0]);
    std::vector<int32_t> chosen(tokens * topK + 1, -7);
    std::vector<void *> bindings = {logits.data()};
    if (spec.bias)
      bindings.push_back(bias.data());
    bindings.insert(bindings.end(), {weights.data(), chosen.data()});
    for (int round = 0; round < 2; ++round) {
      kernel(bindings, {tokens});
      for (int64_t t = 0; t < tokens; ++t) {
        Routed want = route(spec, logits.data() + t * experts, bias.data());
        for (int64_t i = 0; i < topK; ++i) {
          ASSERT_EQ(chosen[t * topK + i], want.experts[i])
              << experts << " experts, token " << t << " place " << i
              << " seed " << seed;
          ASSERT_NEAR(weights[t * topK + i], want.weights[i],
                      3e-6 * want.weights[i]);
        }
      }
      // The second round with different biases.
      for (float &b : bias)
        b += random.uniform(-0.3f, 0.3f);
    }
    EXPECT_EQ(weights.back(), untouched);
    EXPECT_EQ(chosen.back(), -7);
  }
}

TEST_P(MoeKernels, RouteNeverLeavesTheRangeOfExperts) {
  RouteSpec spec;
  spec.tokens = 1;
  spec.experts = 4;
  spec.topK = 2;
  Kernel kernel(GetParam(), [&](auto module, auto &set) {
    return emitRoute(module, "route", set, spec);
  });
  std::vector<float> logits(4, std::nanf("")), weights(2);
  std::vector<int32_t> chosen(2, -1);
  kernel({logits.data(), weights.data(), chosen.data()}, {1});
  for (int32_t e : chosen) {
    EXPECT_GE(e, 0);
    EXPECT_LT(e, 4);
  }
}

TEST_P(MoeKernels, GroupTokens) {
  GroupTokensSpec spec{40, 16, 3};
  Kernel kernel(GetParam(), [&](auto module, auto &set) {
    return emitGroupTokens(module, "group", set, spec);
  });
  for (int64_t tokens : {1, 2, 40}) {
    std::vector<int32_t> experts;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t i = 0; i < 3; ++i)
        experts.push_back((t * 5 + i * 7 + random.below(2)) % 13);
    std::vector<int32_t> offsets(17), active(16), count(1),
        slotToken(tokens * 3), tokenSlot(tokens * 3);
    kernel({experts.data(), offsets.data(), active.data(), count.data(),
            slotToken.data(), tokenSlot.data()},
           {tokens});
    std::vector<int32_t> wantActive;
    int32_t slot = 0;
    for (int32_t e = 0; e < 16; ++e) {
      ASSERT_EQ(offsets[e], slot);
      for (int64_t i = 0; i < tokens * 3; ++i)
        if (experts[i] == e) {
          ASSERT_EQ(slotToken[slot], i / 3) << "seed " << seed;
          ASSERT_EQ(tokenSlot[i], slot++);
        }
      if (slot != offsets[e])
        wantActive.push_back(e);
    }
    ASSERT_EQ(offsets[16], tokens * 3);
    active.resize(count[0]);
    EXPECT_EQ(active, wantActive);
  }
}

TEST_P(MoeKernels, Combine) {
  for (int64_t addends : {0, 2}) {
    CombineSpec spec{5, 3, 1037, addends};
    Kernel kernel(GetParam(), [&](auto module, auto &set) {
      return emitCombine(module, "combine", set, spec);
    });
    std::vector<float> y = random.floats(15 * 1037),
                       weights = random.floats(15), a = random.floats(5 * 1037),
                       b = random.floats(5 * 1037), out(5 * 1037);
    std::vector<int32_t> slots(15);
    std::iota(slots.begin(), slots.end(), 0);
    std::shuffle(slots.begin(), slots.end(), random.engine);
    std::vector<void *> bindings = {y.data(), weights.data(), slots.data()};
    if (addends)
      bindings.insert(bindings.end(), {a.data(), b.data()});
    bindings.push_back(out.data());
    kernel(bindings, {5});
    for (int64_t i = 0; i < 5 * 1037; ++i) {
      double want = addends ? static_cast<double>(a[i]) + b[i] : 0.0;
      for (int64_t j = 0; j < 3; ++j) {
        int64_t place = i / 1037 * 3 + j;
        want += static_cast<double>(weights[place]) *
                y[slots[place] * 1037 + i % 1037];
      }
      ASSERT_NEAR(out[i], want, 1e-6) << "seed " << seed;
    }
  }
}

} // namespace
} // namespace dsv2::test
