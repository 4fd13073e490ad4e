//===- GoldenTest.cpp - The whole stack against Hugging Face --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every fixture of test/golden, compiled and run.
//
//===----------------------------------------------------------------------===//

#include "test/integration/Harness.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>

using namespace dsv2::test;

namespace {

std::vector<std::string> fixtureNames() {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(DSV2_FIXTURES))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenTest : public testing::TestWithParam<std::string> {
protected:
  std::string directory() const {
    return std::string(DSV2_FIXTURES) + "/" + GetParam();
  }
  nlohmann::json readJson(const std::string &name) const {
    std::ifstream file(directory() + "/" + name);
    return nlohmann::json::parse(file, nullptr, false);
  }

  Array<int32_t> tokens = readIds(directory() + "/tokens.npy");
  Array<int32_t> greedy = readIds(directory() + "/greedy.npy");
  Array<float> logits = readFloats(directory() + "/logits.npy");

  std::vector<int32_t> prompt() const {
    int64_t length = readJson("case.json")["prompt_length"];
    return {tokens.data.begin(), tokens.data.begin() + length};
  }

  /// The error of each token's logits.
  std::vector<double> tokenErrors(const std::vector<float> &found) const {
    std::vector<double> errors;
    for (int64_t t = 0; t < logits.shape[0]; ++t)
      errors.push_back(relativeError(found.data() + t * logits.width(),
                                     logits.row(t), logits.width()));
    return errors;
  }
};

TEST_P(GoldenTest, ReferenceTarget) {
  std::string artifact = compiled(directory(), "--target=reference");
  ASSERT_FALSE(artifact.empty());
  Runner runner(artifact);
  std::vector<float> found = runner.evaluate(tokens.data, 512);
  ASSERT_EQ(found.size(), logits.data.size());
  EXPECT_LE(relativeError(found.data(), logits.data.data(), found.size()),
            1e-4);
  EXPECT_EQ(runner.generate(prompt(), greedy.data.size()), greedy.data);
}

TEST_P(GoldenTest, NativeTarget) {
  std::string artifact = compiled(directory(), "--target=native");
  ASSERT_FALSE(artifact.empty());
  Runner runner(artifact);
  std::vector<float> found = runner.evaluate(tokens.data, 512);
  ASSERT_EQ(found.size(), logits.data.size());
  std::vector<double> errors = tokenErrors(found);

  // A token whose routing is closer to a tie than the rounding of its inputs
  // may take another expert; its logits, and those of tokens that attend to
  // it, then mean nothing. They are counted, not compared.
  nlohmann::json config = readJson("config.json");
  bool dense = config["n_routed_experts"].is_null() ||
               config["first_k_dense_replace"] >= config["num_hidden_layers"];
  std::vector<double> sorted = errors;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_LE(sorted[sorted.size() / 2], 2e-2);
  auto flipped = std::count_if(errors.begin(), errors.end(),
                               [](double error) { return error > 5e-2; });
  RecordProperty("tokens_over_5e-2", static_cast<int>(flipped));
  if (dense) {
    EXPECT_EQ(flipped, 0);
  }

  for (int64_t t = 0; t < logits.shape[0]; ++t) {
    if (errors[t] > 5e-2)
      continue;
    const float *expected = logits.row(t);
    const float *row = found.data() + t * logits.width();
    int64_t best =
        std::max_element(expected, expected + logits.width()) - expected;
    int64_t mine = std::max_element(row, row + logits.width()) - row;
    // The largest change of any logit bounds what can turn the order of two.
    float change = 0;
    for (int64_t i = 0; i < logits.width(); ++i)
      change = std::max(change, std::abs(row[i] - expected[i]));
    if (mine != best) {
      EXPECT_LE(expected[best] - expected[mine], 2 * change) << "token " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GoldenTest,
                         testing::ValuesIn(fixtureNames()),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
