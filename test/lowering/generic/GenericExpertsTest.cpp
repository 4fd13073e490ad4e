//===- GenericExpertsTest.cpp - Routing and experts -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/generic/OpKernel.h"

#include <gtest/gtest.h>

namespace dsv2::test {
namespace {

constexpr uint32_t seed = 31;
constexpr int64_t experts = 12, tokens = 7;

class GenericExperts : public testing::Test {
protected:
  GenericExperts() { RecordProperty("seed", seed); }
  Random random{seed};

  /// `topK` different experts for each token; the last expert has none.
  std::vector<int32_t> choose(int64_t topK) {
    std::vector<int32_t> all(experts - 1), result;
    std::iota(all.begin(), all.end(), 0);
    for (int64_t t = 0; t < tokens; ++t) {
      std::shuffle(all.begin(), all.end(), random.engine);
      result.insert(result.end(), all.begin(), all.begin() + topK);
    }
    return result;
  }
};

/// Indices of the `count` largest, equals by index.
std::vector<int64_t> best(const std::vector<double> &values, int64_t count) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return values[a] > values[b]; });
  order.resize(count);
  return order;
}

struct Rule {
  std::string text; ///< as in the operation, but for top and groups
  int64_t topK, topGroups, groups;
  bool bias, sigmoid, topTwo, normalize;
  double scale;
};

void route(const Rule &rule, const float *logits, const float *bias,
           std::vector<double> &weights, std::vector<int32_t> &chosen) {
  std::vector<double> scores(logits, logits + experts), choices, ranks;
  double sum = 0;
  for (double &s : scores)
    sum += s = rule.sigmoid ? 1 / (1 + std::exp(-s)) : std::exp(s);
  for (int64_t e = 0; e < experts; ++e) {
    if (!rule.sigmoid)
      scores[e] /= sum;
    choices.push_back(scores[e] + (rule.bias ? bias[e] : 0));
  }
  int64_t size = experts / rule.groups;
  for (int64_t g = 0; g < rule.groups; ++g) {
    std::vector<double> group(choices.begin() + g * size,
                              choices.begin() + (g + 1) * size);
    std::sort(group.rbegin(), group.rend());
    ranks.push_back(group[0] + (rule.topTwo && size > 1 ? group[1] : 0));
  }
  std::vector<int64_t> kept = best(ranks, rule.topGroups);
  for (int64_t e = 0; e < experts; ++e)
    if (!llvm::is_contained(kept, e / size))
      choices[e] = -1e300;
  double total = 0;
  std::vector<int64_t> order = best(choices, rule.topK);
  for (int64_t e : order)
    total += scores[e];
  for (int64_t e : order) {
    chosen.push_back(e);
    weights.push_back(
        (rule.normalize ? scores[e] / (total + 1e-20) : scores[e]) *
        rule.scale);
  }
}

TEST_F(GenericExperts, Route) {
  const Rule rules[] = {
      {"softmax greedy", 3, 1, 1, false, false, false, false, 1.0},
      {"softmax group_max", 4, 2, 4, false, false, false, false, 16.0},
      {"sigmoid group_top2", 3, 2, 4, true, true, true, true, 2.5},
      {"sigmoid greedy", 12, 1, 1, true, true, false, true, 0.5},
  };
  for (const Rule &rule : rules) {
    SCOPED_TRACE(rule.text);
    std::string k = std::to_string(rule.topK);
    std::string shape = "tensor<?x" + k + "x";
    OpKernel kernel(
        "func.func @f(%l: tensor<?x12xf32>, %b: tensor<12xf32>) -> (" + shape +
        "f32>, " + shape + "i32>) { %w, %e = dsv2.route %l " +
        (rule.bias ? "bias %b : tensor<12xf32> " : "") + rule.text + " top " +
        k + " in " + std::to_string(rule.topGroups) + " of " +
        std::to_string(rule.groups) + " groups " +
        (rule.normalize ? "normalize " : "") + "scale " +
        std::to_string(rule.scale) + " : tensor<?x12xf32> -> " + shape +
        "f32>, " + shape + "i32> return %w, %e : " + shape + "f32>, " + shape +
        "i32> }");
    // Coarse logits make ties.
    std::vector<float> logits, bias;
    for (int64_t i = 0; i < tokens * experts; ++i)
      logits.push_back(0.5f * random.below(6));
    for (int64_t e = 0; e < experts; ++e)
      bias.push_back(0.25f * (random.below(7) - 4));
    std::vector<float> weights(40 * rule.topK, untouched);
    std::vector<int32_t> chosen(40 * rule.topK, -1);
    kernel({logits.data(), bias.data()}, {weights.data(), chosen.data()},
           {.tokens = tokens});
    std::vector<double> expectedWeights;
    std::vector<int32_t> expectedExperts;
    for (int64_t t = 0; t < tokens; ++t)
      route(rule, &logits[t * experts], bias.data(), expectedWeights,
            expectedExperts);
    expectNear(weights, expectedWeights, 1e-6);
    chosen.resize(tokens * rule.topK);
    EXPECT_EQ(chosen, expectedExperts);
    EXPECT_EQ(weights[tokens * rule.topK], untouched);
  }
}

TEST_F(GenericExperts, RouteWithShared) {
  auto kernelOf = [](const std::string &shared, const std::string &width) {
    std::string types =
        "tensor<?x" + width + "xf32>, tensor<?x" + width + "xi32>";
    return OpKernel("func.func @f(%l: tensor<?x12xf32>) -> (" + types +
                    ") { %w, %e = dsv2.route %l softmax greedy top 3 in 1 of 1 "
                    "groups " +
                    shared + " normalize scale 2.0 : tensor<?x12xf32> -> " +
                    types + " return %w, %e : " + types + " }");
  };
  OpKernel shared = kernelOf("shared 2", "5"), routed = kernelOf("", "3");
  std::vector<float> logits = random.floats(tokens * experts), weights(160),
                     others(160);
  std::vector<int32_t> chosen(160), rest(160);
  shared({logits.data()}, {weights.data(), chosen.data()}, {.tokens = tokens});
  routed({logits.data()}, {others.data(), rest.data()}, {.tokens = tokens});
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t k = 0; k < 5; ++k) {
      EXPECT_EQ(weights[5 * t + k], k < 3 ? others[3 * t + k] : 1);
      EXPECT_EQ(chosen[5 * t + k], k < 3 ? rest[3 * t + k] : experts + k - 3);
    }
}

TEST_F(GenericExperts, RouteEqualLogits) {
  OpKernel kernel(R"(
    func.func @f(%l: tensor<?x12xf32>) -> (tensor<?x4xf32>, tensor<?x4xi32>) {
      %w, %e = dsv2.route %l softmax group_max top 4 in 2 of 4 groups scale 1.0
        : tensor<?x12xf32> -> tensor<?x4xf32>, tensor<?x4xi32>
      return %w, %e : tensor<?x4xf32>, tensor<?x4xi32>
    })");
  std::vector<float> logits(2 * experts, 0.25f), weights(160);
  // NaN is never an index out of range.
  std::fill(logits.begin() + experts, logits.end(), std::nanf(""));
  std::vector<int32_t> chosen(160, -1);
  kernel({logits.data()}, {weights.data(), chosen.data()}, {.tokens = 2});
  for (int64_t k = 0; k < 4; ++k) {
    EXPECT_EQ(chosen[k], k);
    EXPECT_EQ(chosen[4 + k], k);
  }
}

TEST_F(GenericExperts, Experts) {
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x9xf32>, %w: tensor<?x2xf32>, %e: tensor<?x2xi32>, %gate: tensor<12x5x9xbf16>,
        %up: tensor<12x5x9xbf16>, %down: tensor<12x9x5xbf16>) -> tensor<?x9xf32> {
      %y = dsv2.experts %x, %w, %e, %gate, %up, %down : tensor<?x9xf32>, tensor<?x2xf32>, tensor<?x2xi32>,
        tensor<12x5x9xbf16>, tensor<12x5x9xbf16>, tensor<12x9x5xbf16> -> tensor<?x9xf32>
      return %y : tensor<?x9xf32>
    })");
  std::vector<float> x = random.floats(tokens * 9),
                     w = random.floats(tokens * 2);
  std::vector<int32_t> e = choose(2);
  std::vector<uint16_t> gate = toBf16(random.floats(experts * 45));
  std::vector<uint16_t> up = toBf16(random.floats(experts * 45));
  std::vector<uint16_t> down = toBf16(random.floats(experts * 45));
  std::vector<float> y(40 * 9, untouched);
  kernel({x.data(), w.data(), e.data(), gate.data(), up.data(), down.data()},
         {y.data()}, {.tokens = tokens});
  std::vector<double> expected(tokens * 9);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t k = 0; k < 2; ++k)
      for (int64_t f = 0; f < 5; ++f) {
        double g = 0, u = 0;
        int64_t expert = e[t * 2 + k];
        for (int64_t d = 0; d < 9; ++d) {
          g += x[t * 9 + d] * fromBf16(gate[(expert * 5 + f) * 9 + d]);
          u += x[t * 9 + d] * fromBf16(up[(expert * 5 + f) * 9 + d]);
        }
        double hidden = g / (1 + std::exp(-g)) * u * w[t * 2 + k];
        for (int64_t d = 0; d < 9; ++d)
          expected[t * 9 + d] +=
              hidden * fromBf16(down[(expert * 9 + d) * 5 + f]);
      }
  expectNear(y, expected, 1e-5);
  EXPECT_EQ(y[tokens * 9], untouched);
}

// The grouped form: group_tokens, grouped_linear and combine_experts.
TEST_F(GenericExperts, Grouped) {
  RowCount slots{Dim::tokens, 3};
  OpKernel group(R"(
    func.func @f(%e: tensor<?x3xi32>) -> (tensor<13xi32>, tensor<12xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x3xi32>) {
      %o, %a, %n, %s, %p = dsv2.group_tokens %e
        : tensor<?x3xi32> -> tensor<13xi32>, tensor<12xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x3xi32>
      return %o, %a, %n, %s, %p : tensor<13xi32>, tensor<12xi32>, tensor<1xi32>, tensor<?xi32>, tensor<?x3xi32>
    })",
                 {{}, {{3, slots}}});
  std::vector<int32_t> e = choose(3);
  std::vector<int32_t> offsets(13), active(12), count(1), slotToken(120, -1),
      tokenSlot(120, -1);
  group({e.data()},
        {offsets.data(), active.data(), count.data(), slotToken.data(),
         tokenSlot.data()},
        {.tokens = tokens});
  int64_t slot = 0, listed = 0;
  for (int64_t expert = 0; expert < experts; ++expert) {
    EXPECT_EQ(offsets[expert], slot);
    int64_t first = slot;
    for (int64_t i = 0; i < tokens * 3; ++i)
      if (e[i] == expert) {
        EXPECT_EQ(slotToken[slot], i / 3);
        EXPECT_EQ(tokenSlot[i], slot++);
      }
    if (slot != first) {
      EXPECT_EQ(active[listed++], expert);
    }
  }
  EXPECT_EQ(offsets[12], tokens * 3);
  EXPECT_EQ(count[0], listed);
  EXPECT_EQ(slotToken[tokens * 3], -1);

  OpKernel linear(R"(
    func.func @f(%x: tensor<?x9xf32>, %s: tensor<?xi32>, %w: tensor<12x5x9xf32>, %o: tensor<13xi32>,
        %a: tensor<12xi32>, %n: tensor<1xi32>) -> tensor<?x5xf32> {
      %y = dsv2.grouped_linear %x gather %s : tensor<?xi32>, %w by (%o, %a, %n)
        : tensor<?x9xf32>, tensor<12x5x9xf32>, tensor<13xi32>, tensor<12xi32>, tensor<1xi32> -> tensor<?x5xf32>
      return %y : tensor<?x5xf32>
    })",
                  {{{1, slots}}, {{0, slots}}});
  std::vector<float> x = random.floats(tokens * 9);
  std::vector<float> w = random.floats(experts * 45), y(120 * 5, untouched);
  linear({x.data(), slotToken.data(), w.data(), offsets.data(), active.data(),
          count.data()},
         {y.data()}, {.tokens = tokens});
  std::vector<double> expected(tokens * 15);
  for (int64_t i = 0; i < tokens * 3; ++i)
    for (int64_t n = 0; n < 5; ++n)
      for (int64_t k = 0; k < 9; ++k)
        expected[tokenSlot[i] * 5 + n] +=
            double(x[i / 3 * 9 + k]) * w[(e[i] * 5 + n) * 9 + k];
  expectNear(y, expected, 1e-5);

  OpKernel combine(R"(
    func.func @f(%y: tensor<?x5xf32>, %w: tensor<?x3xf32>, %p: tensor<?x3xi32>) -> tensor<?x5xf32> {
      %z = dsv2.combine_experts %y, %w, %p : tensor<?x5xf32>, tensor<?x3xf32>, tensor<?x3xi32> -> tensor<?x5xf32>
      return %z : tensor<?x5xf32>
    })",
                   {{{0, slots}}, {}});
  std::vector<float> weights = random.floats(tokens * 3), z(200, untouched);
  combine({y.data(), weights.data(), tokenSlot.data()}, {z.data()},
          {.tokens = tokens});
  std::vector<double> sums(tokens * 5);
  for (int64_t i = 0; i < tokens * 3; ++i)
    for (int64_t n = 0; n < 5; ++n)
      sums[i / 3 * 5 + n] += double(weights[i]) * y[tokenSlot[i] * 5 + n];
  expectNear(z, sums, 1e-6);
  EXPECT_EQ(z[tokens * 5], untouched);
}

// Without a gather list, slots are the rows of the input.
TEST_F(GenericExperts, GroupedLinearOfSlots) {
  RowCount slots{Dim::tokens, 3};
  OpKernel kernel(R"(
    func.func @f(%x: tensor<?x4xf32>, %w: tensor<2x5x4xf32>, %o: tensor<3xi32>, %a: tensor<2xi32>,
        %n: tensor<1xi32>) -> tensor<?x5xf32> {
      %y = dsv2.grouped_linear %x, %w by (%o, %a, %n)
        : tensor<?x4xf32>, tensor<2x5x4xf32>, tensor<3xi32>, tensor<2xi32>, tensor<1xi32> -> tensor<?x5xf32>
      return %y : tensor<?x5xf32>
    })",
                  {{{0, slots}}, {{0, slots}}});
  std::vector<float> x = random.floats(6 * 4), w = random.floats(40);
  std::vector<float> y(120 * 5, untouched);
  std::vector<int32_t> offsets = {0, 4, 6}, active = {0, 1}, count = {2};
  kernel({x.data(), w.data(), offsets.data(), active.data(), count.data()},
         {y.data()}, {.tokens = 2});
  std::vector<double> expected(30);
  for (int64_t s = 0; s < 6; ++s)
    for (int64_t n = 0; n < 5; ++n)
      for (int64_t k = 0; k < 4; ++k)
        expected[s * 5 + n] +=
            double(x[s * 4 + k]) * w[((s >= 4) * 5 + n) * 4 + k];
  expectNear(y, expected, 1e-5);
}

} // namespace
} // namespace dsv2::test
