//===- RandomTensorSourceTest.cpp - Weights out of a seed -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/RandomTensorSource.h"
#include "test/models/CheckpointBuilder.h"

#include <cmath>

using namespace dsv2;
using namespace dsv2::test;

static std::vector<float> readAll(const TensorSource &source,
                                  const std::string &name) {
  Result<TensorInfo> info = source.info(name);
  EXPECT_TRUE(info.ok()) << info.status().message();
  std::vector<float> out(info->rows() * info->rowSize());
  EXPECT_TRUE(source.readRows(name, 0, info->rows(), out.data()).ok());
  return out;
}

static std::pair<double, double> meanAndDeviation(const std::vector<float> &v) {
  double sum = 0, squares = 0;
  for (float value : v) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  double mean = sum / static_cast<double>(v.size());
  return {mean,
          std::sqrt(squares / static_cast<double>(v.size()) - mean * mean)};
}

TEST(RandomTensorSource, HoldsExactlyTheTensorsOfTheModel) {
  Config config = parsed(tinyV3Config());
  RandomTensorSource source(config, 1);
  for (const ExpectedTensor &tensor : expectedTensors(config)) {
    Result<TensorInfo> info = source.info(tensor.name);
    ASSERT_TRUE(info.ok()) << tensor.name;
    EXPECT_EQ(info->shape, tensor.shape);
  }
  expectFailure(source.info("nothing").status(), {"nothing"});
  float value;
  expectFailure(source.readRows("nothing", 0, 1, &value), {"nothing"});
  expectFailure(source.readRows("model.norm.weight", 1, 1, &value), {"1 rows"});
}

TEST(RandomTensorSource, HasTheStatedDistribution) {
  RandomTensorSource source(parsed(tinyV3Config()), 2);
  auto [mean, deviation] =
      meanAndDeviation(readAll(source, "model.embed_tokens.weight"));
  EXPECT_NEAR(mean, 0, 0.06);
  EXPECT_NEAR(deviation, 1, 0.04);
  std::tie(mean, deviation) =
      meanAndDeviation(readAll(source, "model.layers.0.mlp.down_proj.weight"));
  EXPECT_NEAR(deviation, 1 / std::sqrt(96.0), 0.01);
  std::tie(mean, deviation) =
      meanAndDeviation(readAll(source, "model.norm.weight"));
  EXPECT_NEAR(mean, 1, 0.05);
  EXPECT_NEAR(deviation, 0.05, 0.03);
  std::tie(mean, deviation) = meanAndDeviation(
      readAll(source, "model.layers.1.mlp.gate.e_score_correction_bias"));
  EXPECT_NEAR(mean, 0, 0.05);
  EXPECT_LT(deviation, 0.05);
}

TEST(RandomTensorSource, DoesNotDependOnTheOrderOfReads) {
  const std::string name = "model.layers.1.self_attn.kv_b_proj.weight";
  RandomTensorSource source(parsed(tinyConfig()), 3);
  std::vector<float> whole = readAll(source, name);
  for (int64_t row : {127, 0, 64, 1}) {
    float out[32];
    ASSERT_TRUE(source.readRows(name, row, 1, out).ok());
    EXPECT_TRUE(std::equal(out, out + 32, whole.begin() + row * 32)) << row;
  }
}

TEST(RandomTensorSource, DiffersBetweenSeedsAndTensors) {
  Config config = parsed(tinyConfig());
  RandomTensorSource a(config, 4), b(config, 5), again(config, 4);
  const std::string q1 = "model.layers.1.self_attn.q_proj.weight";
  const std::string q2 = "model.layers.2.self_attn.q_proj.weight";
  EXPECT_EQ(readAll(a, q1), readAll(again, q1));
  auto equalElements = [](const std::vector<float> &x,
                          const std::vector<float> &y) {
    size_t count = 0;
    for (size_t i = 0; i < x.size(); ++i)
      count += x[i] == y[i];
    return static_cast<double>(count) / static_cast<double>(x.size());
  };
  EXPECT_LT(equalElements(readAll(a, q1), readAll(b, q1)), 0.02);
  EXPECT_LT(equalElements(readAll(a, q1), readAll(a, q2)), 0.02);
}

TEST(RandomTensorSource, KnownValuesStayTheSame) {
  // Results that were published for a seed must remain reproducible.
  float out[4];
  fillRandom(42, 0, 4, 0, 147.79716f, out);
  std::vector<float> first(out, out + 4);
  fillRandom(42, (int64_t(1) << 32) - 2, 4, 0, 147.79716f, out);
  std::vector<float> crossing(out, out + 4);
  EXPECT_EQ(first, (std::vector<float>{38, -86, -156, -130}));
  EXPECT_EQ(crossing, (std::vector<float>{-49, -8, -51, -39}));
}

TEST(FillRandom, HasLittleCorrelationBetweenNeighbors) {
  constexpr int64_t count = 1 << 20;
  std::vector<float> v(count);
  fillRandom(7, 12345, count, 0, 1, v.data());
  auto [mean, deviation] = meanAndDeviation(v);
  EXPECT_NEAR(mean, 0, 0.005);
  EXPECT_NEAR(deviation, 1, 0.005);
  for (int64_t lag : {1, 2, 4, 64, 512, 65536}) {
    double product = 0;
    for (int64_t i = 0; i + lag < count; ++i)
      product += static_cast<double>(v[i]) * v[i + lag];
    EXPECT_NEAR(product / static_cast<double>(count), 0, 0.006) << lag;
  }
}
