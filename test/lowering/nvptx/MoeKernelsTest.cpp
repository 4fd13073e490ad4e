//===- MoeKernelsTest.cpp - Routing on the GPU against plain loops --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/MoeRoute.h"
#include "lowering/NVPTX/MoeRouteGroup.h"
#include "lowering/NVPTX/MoeSlots.h"
#include "test/lowering/nvptx/EmulatedKernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;

namespace mlir::dsv2 {

/// Names the parameter of a test in its listing.
static void PrintTo(const RouteSpec &spec, std::ostream *os) {
  *os << spec.topK << "of" << spec.experts << "_" << spec.topGroups << "of"
      << spec.groups << (spec.shared ? "_shared" : "")
      << (spec.bias ? "_bias" : "");
}

} // namespace mlir::dsv2

namespace {

/// Indices of `values` by descending value, equals by index.
std::vector<int32_t> ranking(const std::vector<double> &values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(
      order, [&](int32_t a, int32_t b) { return values[a] > values[b]; });
  return order;
}

struct Routed {
  std::vector<int32_t> experts;
  std::vector<double> weights;
};

Routed routeByLoops(const float *logits, const float *bias,
                    const RouteSpec &spec) {
  std::vector<double> scores(spec.experts), choices(spec.experts);
  double largest = *std::max_element(logits, logits + spec.experts), sum = 0;
  for (int64_t e = 0; e < spec.experts; ++e) {
    bool isSoftmax = spec.scoring == RouteSpec::Scoring::softmax;
    scores[e] = isSoftmax ? std::exp(logits[e] - largest)
                          : 1 / (1 + std::exp(-static_cast<double>(logits[e])));
    sum += scores[e];
  }
  for (int64_t e = 0; e < spec.experts; ++e) {
    if (spec.scoring == RouteSpec::Scoring::softmax)
      scores[e] /= sum;
    choices[e] = scores[e] + (spec.bias ? bias[e] : 0);
  }
  if (spec.topGroups < spec.groups) {
    int64_t size = spec.experts / spec.groups;
    std::vector<double> ranks;
    for (int64_t g = 0; g < spec.groups; ++g) {
      std::vector<double> group(choices.begin() + g * size,
                                choices.begin() + (g + 1) * size);
      std::ranges::sort(group, std::greater());
      ranks.push_back(spec.groupScore == RouteSpec::GroupScore::max
                          ? group[0]
                          : group[0] + group[1]);
    }
    std::vector<int32_t> order = ranking(ranks);
    for (int64_t i = spec.topGroups; i < spec.groups; ++i)
      for (int64_t e = 0; e < size; ++e)
        choices[order[i] * size + e] = -INFINITY;
  }
  Routed result;
  result.experts = ranking(choices);
  result.experts.resize(spec.topK);
  double total = 0;
  for (int32_t e : result.experts)
    total += scores[e];
  for (int32_t e : result.experts)
    result.weights.push_back(scores[e] / (spec.normalize ? total : 1) *
                             spec.scale);
  for (int64_t e = spec.experts; e < spec.experts + spec.shared; ++e) {
    result.experts.push_back(static_cast<int32_t>(e));
    result.weights.push_back(1);
  }
  return result;
}

class Route : public testing::TestWithParam<RouteSpec> {};

TEST_P(Route, MatchesLoops) {
  const RouteSpec &spec = GetParam();
  constexpr int64_t tokens = 6;
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitRoute(m, "route", spec); });
  kernel.expectClean();
  std::mt19937 random(3);
  // Few distinct values, so that equals are common.
  std::vector<float> logits = randomFloats(tokens * spec.experts, random);
  for (float &v : logits)
    v = std::round(v * 8) / 4;
  std::vector<float> bias = randomFloats(spec.experts, random);
  for (float &v : bias)
    v = std::round(v * 4) / 8;
  DeviceBuffer logitRows = DeviceBuffer::of(logits, 512),
               biases = DeviceBuffer::of(bias),
               weights((tokens + 4) * spec.slotsPerToken() * 4),
               experts((tokens + 4) * spec.slotsPerToken() * 4);
  std::vector<DeviceBuffer *> bindings = {&logitRows};
  if (spec.bias)
    bindings.push_back(&biases);
  bindings.insert(bindings.end(), {&weights, &experts});
  StepSizes sizes;
  sizes.tokens = tokens;
  runEmulated(kernel, bindings, sizes);
  for (int64_t t = 0; t < tokens; ++t) {
    Routed expected =
        routeByLoops(&logits[t * spec.experts], bias.data(), spec);
    for (int64_t i = 0; i < spec.slotsPerToken(); ++i) {
      int64_t at = t * spec.slotsPerToken() + i;
      // Sums of equal terms in another order can rank equals differently.
      ASSERT_EQ(experts.read<int32_t>(at + 1)[at], expected.experts[i])
          << "token " << t << " choice " << i;
      ASSERT_NEAR(weights.read<float>(at + 1)[at], expected.weights[i],
                  1e-5 * spec.scale);
    }
  }
  for (int64_t i = tokens * spec.slotsPerToken();
       i < (tokens + 4) * spec.slotsPerToken(); ++i)
    ASSERT_EQ(experts.read<int32_t>(i + 1)[i], -1);
}

RouteSpec lite() { return {.experts = 64, .topK = 6}; }
RouteSpec v2() {
  return {
      .experts = 160, .topK = 6, .groups = 8, .topGroups = 3, .scale = 16.0f};
}
RouteSpec v3() {
  return {.experts = 256,
          .topK = 8,
          .groups = 8,
          .topGroups = 4,
          .scoring = RouteSpec::Scoring::sigmoid,
          .groupScore = RouteSpec::GroupScore::topTwoSum,
          .bias = true,
          .normalize = true,
          .scale = 2.5f};
}
RouteSpec small() { return {.experts = 12, .topK = 3, .normalize = true}; }
RouteSpec shared() {
  return {.experts = 64, .topK = 6, .shared = 2, .normalize = true};
}
RouteSpec k2() {
  return {.experts = 384,
          .topK = 8,
          .scoring = RouteSpec::Scoring::sigmoid,
          .bias = true,
          .normalize = true,
          .scale = 2.827f};
}

INSTANTIATE_TEST_SUITE_P(NVPTX, Route,
                         testing::Values(lite(), v2(), v3(), small(), k2(),
                                         shared()));

/// One launch for a few tokens has the bits of two.
TEST_P(Route, GroupsFewTokens) {
  const RouteSpec &spec = GetParam();
  int64_t each = spec.slotsPerToken(), experts = spec.experts + spec.shared;
  AssembledKernel both(
      [&](ModuleOp m) { return emitRouteGroup(m, "both", spec); });
  both.expectClean();
  AssembledKernel route(
      [&](ModuleOp m) { return emitRoute(m, "route", spec); });
  AssembledKernel group([&](ModuleOp m) {
    return emitGroupTokens(m, "group", {.experts = experts, .topK = each});
  });
  for (int64_t tokens : {1, 3, 8}) {
    std::mt19937 random(tokens);
    std::vector<float> logits = randomFloats(tokens * spec.experts, random),
                       bias = randomFloats(spec.experts, random);
    DeviceBuffer rows = DeviceBuffer::of(logits),
                 biases = DeviceBuffer::of(bias);
    struct Results {
      DeviceBuffer weights, ids, offsets, active, count, slotToken, tokenSlot;
    };
    auto make = [&] {
      int64_t slots = 4 * tokens * each;
      return Results{DeviceBuffer(slots),
                     DeviceBuffer(slots),
                     DeviceBuffer(4 * (experts + 1)),
                     DeviceBuffer(4 * experts),
                     DeviceBuffer(4),
                     DeviceBuffer(slots),
                     DeviceBuffer(slots)};
    };
    Results once = make(), apart = make();
    std::vector<DeviceBuffer *> inputs = {&rows};
    if (spec.bias)
      inputs.push_back(&biases);
    auto with = [&](std::vector<DeviceBuffer *> outputs) {
      outputs.insert(outputs.begin(), inputs.begin(), inputs.end());
      return outputs;
    };
    runEmulated(both,
                with({&once.weights, &once.ids, &once.offsets, &once.active,
                      &once.count, &once.slotToken, &once.tokenSlot}),
                {.tokens = tokens});
    runEmulated(route, with({&apart.weights, &apart.ids}), {.tokens = tokens});
    runEmulated(group,
                {&apart.ids, &apart.offsets, &apart.active, &apart.count,
                 &apart.slotToken, &apart.tokenSlot},
                {.tokens = tokens});
    auto same = [&](const DeviceBuffer &a, const DeviceBuffer &b,
                    int64_t count) {
      EXPECT_EQ(a.read<int32_t>(count), b.read<int32_t>(count));
    };
    int64_t slots = tokens * each;
    same(once.weights, apart.weights, slots);
    same(once.ids, apart.ids, slots);
    same(once.offsets, apart.offsets, experts + 1);
    same(once.count, apart.count, 1);
    same(once.active, apart.active, apart.count.read<int32_t>(1)[0]);
    same(once.slotToken, apart.slotToken, slots);
    same(once.tokenSlot, apart.tokenSlot, slots);
  }
}

TEST(NVPTXMoeTest, SortsSlotsByExpert) {
  constexpr int64_t experts = 20, topK = 3;
  AssembledKernel kernel([&](ModuleOp m) {
    return emitGroupTokens(m, "group", {.experts = experts, .topK = topK});
  });
  kernel.expectClean();
  for (int64_t tokens : {1, 5, 300}) {
    std::mt19937 random(tokens);
    std::vector<int32_t> chosen;
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<int32_t> all(experts - 1); // the last one is never chosen
      std::iota(all.begin(), all.end(), 0);
      std::ranges::shuffle(all, random);
      chosen.insert(chosen.end(), all.begin(), all.begin() + topK);
    }
    int64_t slots = tokens * topK;
    DeviceBuffer ids = DeviceBuffer::of(chosen, 30), offsets(4 * (experts + 1)),
                 active(4 * experts), count(4), slotToken(4 * slots + 40),
                 tokenSlot(4 * slots + 40);
    StepSizes sizes;
    sizes.tokens = tokens;
    runEmulated(kernel,
                {&ids, &offsets, &active, &count, &slotToken, &tokenSlot},
                sizes);
    int32_t slot = 0;
    std::vector<int32_t> used;
    for (int32_t e = 0; e < experts; ++e) {
      ASSERT_EQ(offsets.read<int32_t>(experts + 1)[e], slot);
      int32_t before = slot;
      for (int64_t i = 0; i < slots; ++i)
        if (chosen[i] == e) {
          ASSERT_EQ(slotToken.read<int32_t>(slots)[slot], i / topK);
          ASSERT_EQ(tokenSlot.read<int32_t>(slots)[i], slot);
          ++slot;
        }
      if (slot > before)
        used.push_back(e);
    }
    EXPECT_EQ(offsets.read<int32_t>(experts + 1)[experts], slots);
    EXPECT_EQ(count.read<int32_t>(1)[0], static_cast<int32_t>(used.size()));
    EXPECT_EQ(active.read<int32_t>(static_cast<int64_t>(used.size())), used);
  }
}

TEST(NVPTXMoeTest, CombinesInOrder) {
  constexpr int64_t topK = 6, depth = 600, tokens = 3;
  AssembledKernel kernel([&](ModuleOp m) {
    return emitCombine(m, "combine",
                       {.topK = topK, .depth = depth, .addends = 2});
  });
  kernel.expectClean();
  std::mt19937 random(5);
  std::vector<float> y = randomFloats(tokens * topK * depth, random),
                     w = randomFloats(tokens * topK, random),
                     a = randomFloats(tokens * depth, random),
                     b = randomFloats(tokens * depth, random);
  std::vector<int32_t> place(tokens * topK);
  std::iota(place.begin(), place.end(), 0);
  std::ranges::shuffle(place, random);
  DeviceBuffer ys = DeviceBuffer::of(y), ws = DeviceBuffer::of(w),
               places = DeviceBuffer::of(place), as = DeviceBuffer::of(a),
               bs = DeviceBuffer::of(b), out(4 * tokens * depth);
  StepSizes sizes;
  sizes.tokens = tokens;
  runEmulated(kernel, {&ys, &ws, &places, &as, &bs, &out}, sizes);
  for (int64_t i = 0; i < tokens * depth; ++i) {
    int64_t t = i / depth;
    float sum = 0;
    for (int64_t k = 0; k < topK; ++k)
      sum = std::fma(w[t * topK + k],
                     y[place[t * topK + k] * depth + i % depth], sum);
    ASSERT_EQ(out.read<float>(tokens * depth)[i], sum + a[i] + b[i]);
  }
}

} // namespace
