//===- SamplerTest.cpp - Choosing tokens ----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

using namespace dsv2;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float notANumber = std::numeric_limits<float>::quiet_NaN();

/// Temperature 1 and nothing cut off.
SamplerOptions plain() {
  SamplerOptions options;
  options.temperature = 1;
  options.topK = 0;
  options.topP = 1;
  options.minP = 0;
  return options;
}

SamplerOptions greedy() {
  SamplerOptions options;
  options.temperature = 0;
  return options;
}

Sampler make(const SamplerOptions &options) {
  Result<Sampler> sampler = Sampler::create(options);
  EXPECT_TRUE(sampler.ok()) << sampler.status().message();
  return *std::move(sampler);
}

std::map<int32_t, int> histogram(SamplerOptions options,
                                 const std::vector<float> &logits,
                                 int draws = 20000) {
  Sampler sampler = make(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i)
    ++counts[*sampler.sample(logits)];
  return counts;
}

} // namespace

TEST(SamplerTest, GreedyTakesTheLargestAndTheLowestOfEquals) {
  Sampler sampler = make(greedy());
  EXPECT_EQ(*sampler.sample(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(*sampler.sample(std::vector<float>{-5}), 0);
  EXPECT_EQ(*sampler.sample(std::vector<float>{notANumber, -2, notANumber}), 1);
  EXPECT_EQ(*sampler.sample(std::vector<float>{0, infinity, infinity}), 1);
}

TEST(SamplerTest, NothingToChooseFrom) {
  for (float temperature : {0.0f, 1.0f}) {
    SamplerOptions options = plain();
    options.temperature = temperature;
    Sampler sampler = make(options);
    EXPECT_FALSE(
        sampler.sample(std::vector<float>{notANumber, -infinity}).ok());
    EXPECT_FALSE(sampler.sample({}).ok());
  }
}

TEST(SamplerTest, FollowsTheDistribution) {
  std::vector<float> logits = {std::log(1.0f), std::log(2.0f), -infinity,
                               std::log(5.0f)};
  std::map<int32_t, int> counts = histogram(plain(), logits, 40000);
  EXPECT_NEAR(counts[0], 5000, 350);
  EXPECT_NEAR(counts[1], 10000, 450);
  EXPECT_EQ(counts[2], 0);
  EXPECT_NEAR(counts[3], 25000, 550);
}

TEST(SamplerTest, TemperatureSharpens) {
  SamplerOptions options = plain();
  options.temperature = 0.5;
  std::map<int32_t, int> counts =
      histogram(options, {0, std::log(3.0f)}, 20000);
  EXPECT_NEAR(counts[1], 18000, 300); // 9 : 1
}

TEST(SamplerTest, TopK) {
  SamplerOptions options = plain();
  options.topK = 2;
  // Of three equal ones, the two lowest ids stay.
  std::map<int32_t, int> counts = histogram(options, {0, 1, 1, 1});
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_GT(counts[1], 0);
  EXPECT_GT(counts[2], 0);
}

TEST(SamplerTest, TopKOfManyIsThatOfASort) {
  constexpr uint32_t seed = 11;
  std::mt19937 random(seed);
  // Few values, so that many are equal.
  std::vector<float> logits(1000);
  for (float &logit : logits)
    logit = random() % 10 == 0 ? notANumber : float(random() % 200) / 100;
  std::vector<int32_t> order;
  for (int32_t id = 0; id < 1000; ++id)
    if (!std::isnan(logits[id]))
      order.push_back(id);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  for (int32_t keep : {1, 7, 64, 70}) {
    SamplerOptions options = plain();
    options.topK = keep;
    std::set<int32_t> drawn;
    for (const auto &[id, count] : histogram(options, logits))
      drawn.insert(id);
    EXPECT_EQ(drawn, std::set(order.begin(), order.begin() + keep))
        << "seed " << seed << ", top-k " << keep;
  }
}

TEST(SamplerTest, TopP) {
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  std::vector<float> logits = {std::log(0.05f), std::log(0.5f), std::log(0.15f),
                               std::log(0.3f)};
  SamplerOptions options = plain();
  options.topP = 0.75f;
  std::map<int32_t, int> counts = histogram(options, logits);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts[1], 12500, 400);
  options.topP = 0.85f;
  EXPECT_EQ(histogram(options, logits).size(), 3u);
  options.topP = 0;
  EXPECT_EQ(histogram(options, logits).size(), 1u);
}

TEST(SamplerTest, TopPOverALongTail) {
  // Needs several blocks of sorting: 2000 equally likely ids.
  std::vector<float> logits(2000, 1.5f);
  SamplerOptions options = plain();
  options.topP = 0.5f;
  for (const auto &[id, count] : histogram(options, logits, 5000))
    EXPECT_LT(id, 1001);
}

TEST(SamplerTest, MinP) {
  std::vector<float> logits = {std::log(0.6f), std::log(0.3f), std::log(0.07f),
                               std::log(0.03f)};
  SamplerOptions options = plain();
  options.minP = 0.1f; // 0.06 of probability
  EXPECT_EQ(histogram(options, logits).size(), 3u);
  options.minP = 1;
  EXPECT_EQ(histogram(options, logits).size(), 1u);
}

TEST(SamplerTest, RepeatPenalty) {
  SamplerOptions options = greedy();
  options.repeatPenalty = 2;
  options.repeatWindow = 2;
  Sampler sampler = make(options);
  std::vector<float> logits = {3, 2.9f, 2.8f, -1};
  // The choice is accepted, so each pushes the one before it back.
  EXPECT_EQ(*sampler.sample(logits), 0);
  EXPECT_EQ(*sampler.sample(logits), 1);
  EXPECT_EQ(*sampler.sample(logits), 2);
  EXPECT_EQ(*sampler.sample(logits), 0); // has left the window
  sampler.reset();
  EXPECT_EQ(*sampler.sample(logits), 0);
  sampler.reset();
  // A negative logit becomes smaller; a token counts once however often.
  for (int i = 0; i < 5; ++i)
    sampler.accept(1);
  std::vector<float> negative = {-3, -2, -3.5f, -5};
  EXPECT_EQ(*sampler.sample(negative), 0);
}

TEST(SamplerTest, RepeatWindows) {
  std::vector<float> logits = {3, 2};
  SamplerOptions options = greedy();
  options.repeatPenalty = 10;
  options.repeatWindow = 0;
  Sampler none = make(options);
  EXPECT_EQ(*none.sample(logits), 0);
  EXPECT_EQ(*none.sample(logits), 0);
  options.repeatWindow = -1;
  Sampler all = make(options);
  all.accept(0);
  for (int i = 0; i < 1000; ++i)
    all.accept(7); // not among the logits
  EXPECT_EQ(*all.sample(logits), 1);
}

TEST(SamplerTest, RealVocabulary) {
  SamplerOptions options = greedy();
  options.vocab = 2;
  Sampler sampler = make(options);
  EXPECT_EQ(*sampler.sample(std::vector<float>{1, 2, 3, 4}), 1);
  options = plain();
  options.vocab = 3;
  EXPECT_EQ(histogram(options, {1, 1, 1, 9}).count(3), 0u);
}

TEST(SamplerTest, TheSameSeedGivesTheSameTokens) {
  std::mt19937 random(5);
  std::vector<std::vector<float>> rows(50, std::vector<float>(1000));
  for (std::vector<float> &row : rows)
    for (float &logit : row)
      logit = static_cast<float>(random() % 1000) / 200;
  auto generate = [&](Sampler &sampler) {
    std::vector<int32_t> tokens;
    for (const std::vector<float> &row : rows)
      tokens.push_back(*sampler.sample(row));
    return tokens;
  };
  SamplerOptions options;
  options.seed = 42;
  Sampler first = make(options), second = make(options);
  std::vector<int32_t> tokens = generate(first);
  EXPECT_EQ(tokens, generate(second));
  EXPECT_NE(tokens, generate(second));
  second.reset();
  EXPECT_EQ(tokens, generate(second));
  options.seed = 43;
  Sampler third = make(options);
  EXPECT_NE(tokens, generate(third));
}

/// The list that a device gives of a row.
std::vector<LogitCandidate> bestOf(const std::vector<float> &logits,
                                   size_t count) {
  std::vector<LogitCandidate> all;
  for (size_t id = 0; id < logits.size(); ++id)
    all.push_back({logits[id], static_cast<int32_t>(id)});
  std::stable_sort(all.begin(), all.end(), [](auto a, auto b) {
    auto valueOf = [](float x) { return std::isnan(x) ? -infinity : x; };
    return valueOf(a.logit) > valueOf(b.logit);
  });
  all.resize(std::min(count, all.size()));
  return all;
}

TEST(SamplerTest, TheBestGiveTheSameTokens) {
  SamplerOptions penalized, limited = greedy(), sharp;
  penalized.repeatPenalty = 1.3f;
  penalized.topK = 20;
  limited.vocab = 900;
  sharp.topP = 0.5f;
  sharp.minP = 0.3f;
  for (SamplerOptions options :
       {SamplerOptions(), greedy(), penalized, limited, sharp}) {
    options.seed = 5;
    Sampler whole = *Sampler::create(options), listed = whole;
    std::mt19937 random(23);
    std::normal_distribution<float> normal(0, 3);
    int decided = 0;
    for (int step = 0; step < 200; ++step) {
      std::vector<float> logits(1000);
      // Coarse, so that equals are common.
      for (float &logit : logits)
        logit = std::round(normal(random) * 4) / 4;
      logits[step] = notANumber;
      int32_t expected = *whole.sample(logits);
      std::optional<int32_t> found =
          listed.sampleBest(bestOf(logits, 64), 1000);
      decided += found.has_value();
      // What does not decide changes nothing either.
      EXPECT_EQ(found ? *found : *listed.sample(logits), expected);
    }
    EXPECT_GT(decided, 150);
  }
}

TEST(SamplerTest, TheBestMayNotDecide) {
  std::vector<float> logits(200);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = -static_cast<float>(i);
  std::vector<LogitCandidate> best = bestOf(logits, 64);
  auto decides = [&](const SamplerOptions &options) {
    Sampler sampler = *Sampler::create(options);
    sampler.accept(0);
    return sampler.sampleBest(best, 200).has_value();
  };
  EXPECT_TRUE(decides(SamplerOptions()));
  EXPECT_FALSE(decides(plain())) << "all tokens may be chosen";
  SamplerOptions options;
  options.topK = 65;
  EXPECT_FALSE(decides(options)) << "more are wanted than are listed";
  options = SamplerOptions();
  options.repeatPenalty = 0.5f;
  EXPECT_FALSE(decides(options)) << "another token may be lifted";
  options = SamplerOptions();
  options.vocab = 30;
  EXPECT_FALSE(decides(options)) << "there are fewer tokens than wanted";
  EXPECT_FALSE(Sampler::create(greedy())->sampleBest({}, 200).has_value());
}

TEST(SamplerTest, RefusesImpossibleOptions) {
  auto refuses = [](auto change) {
    SamplerOptions options;
    change(options);
    return !Sampler::create(options).ok();
  };
  EXPECT_TRUE(refuses([](SamplerOptions &o) { o.temperature = notANumber; }));
  EXPECT_TRUE(refuses([](SamplerOptions &o) { o.temperature = infinity; }));
  EXPECT_TRUE(refuses([](SamplerOptions &o) { o.topP = notANumber; }));
  EXPECT_TRUE(refuses([](SamplerOptions &o) { o.minP = 1.5f; }));
  EXPECT_TRUE(refuses([](SamplerOptions &o) { o.repeatPenalty = 0; }));
  EXPECT_TRUE(refuses([](SamplerOptions &o) { o.repeatWindow = -2; }));
  EXPECT_TRUE(refuses([](SamplerOptions &o) { o.vocab = -1; }));
  EXPECT_FALSE(refuses([](SamplerOptions &) {}));
}
