//===- StepCostTest.cpp - Bytes and operations of a step ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/StepCost.h"

#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

using namespace dsv2;
using namespace dsv2::test;
using schema::Dim;

namespace {

constexpr auto int8 = static_cast<size_t>(DotType::int8);
constexpr auto bf16 = static_cast<size_t>(DotType::bf16);
constexpr auto f32 = static_cast<size_t>(DotType::f32);

class StepCostTest : public testing::Test {
protected:
  void addWeight(schema::ArtifactT &artifact, const char *type,
                 uint64_t parameters, uint64_t bytes) {
    artifact.weights.push_back(std::make_unique<schema::WeightT>());
    schema::WeightT &weight = *artifact.weights.back();
    weight.name = "w" + std::to_string(artifact.weights.size());
    weight.type = type;
    weight.parameters = parameters;
    weight.bytes = bytes;
  }
  /// Only one dispatch a program, over `workgroups` and weight 1.
  void write(const char *type, uint64_t parameters, uint64_t bytes,
             const schema::Workgroups &workgroups,
             const std::function<void(schema::ArtifactT &)> &change = {}) {
    Status status = writeToy(path, [&](schema::ArtifactT &artifact) {
      addWeight(artifact, type, parameters, bytes);
      artifact.model->config_json =
          R"({"n_routed_experts": 8, "num_experts_per_tok": 2,
              "num_attention_heads": 3, "qk_nope_head_dim": 4,
              "v_head_dim": 5})";
      for (auto &weight : artifact.weights)
        weight->offset = weight->hash = 0;
      for (auto &program : artifact.plan->programs) {
        program->dispatches.clear();
        program->dispatches.push_back(makeDispatch(
            ToyKernel::logits, workgroups, {weightAt(1), logitsBinding()}));
      }
      artifact.plan->programs[0]->attention = "latent";
      artifact.plan->programs[1]->attention = "expanded";
      if (change)
        change(artifact);
    });
    ASSERT_TRUE(status.ok()) << status.message();
  }
  template <typename Function>
  auto withModel(Function function) {
    Result<Artifact> artifact = Artifact::open(path);
    EXPECT_TRUE(artifact.ok()) << artifact.status().message();
    Result<CostModel> model = CostModel::create(*artifact);
    EXPECT_TRUE(model.ok());
    return function(*model);
  }
  StepCost cost(const StepShape &shape) {
    return withModel(
        [&](const CostModel &model) { return model.cost(shape, limits); });
  }
  std::vector<StepCost> dispatchCosts(const StepShape &shape) {
    return withModel(
        [&](const CostModel &model) { return model.dispatchCosts(shape); });
  }
  static Limits evenLimits() {
    Limits limits;
    limits.readBytes = 1;
    limits.operations.fill(1);
    return limits;
  }

  // Of the cache: 2 layers of 8 bytes a token, in f32.
  static constexpr double cacheRow = 16;
  Limits limits = evenLimits();
  TemporaryDirectory directory;
  std::string path = directory.path("cost.dsv2");
};

} // namespace

TEST_F(StepCostTest, Linear) {
  write("tensor<4x8xbf16, #dsv2.panels<32>>", 32, 64, {1, 1, -1, Dim::tokens});
  StepCost one = cost({1, 1, 10, 1});
  EXPECT_DOUBLE_EQ(one.bytes, 64 + cacheRow * 12);
  EXPECT_DOUBLE_EQ(one.operations[bf16], 2 * 32);
  EXPECT_DOUBLE_EQ(one.operations[int8], 0);
  // Scores over latent and rope, values over the latent: 1 + 1 + 1.
  EXPECT_DOUBLE_EQ(one.operations[f32], 2 * 3 * 3 * 2 * 11);
  // Weights once, whatever the number of tokens.
  StepCost many = cost({1, 4, 10, 1});
  EXPECT_DOUBLE_EQ(many.bytes, 64 + cacheRow * 18);
  EXPECT_DOUBLE_EQ(many.operations[bf16], 2 * 32 * 4);
  EXPECT_DOUBLE_EQ(many.operations[f32],
                   2 * (1 + 1 + 1) * 3 * 2 * (11 + 12 + 13 + 14));
  StepCost batch = cost({3, 1, 10, 3});
  EXPECT_DOUBLE_EQ(batch.bytes, 64 + 3 * cacheRow * 12);
  EXPECT_DOUBLE_EQ(batch.operations[bf16], 2 * 32 * 3);
}

TEST_F(StepCostTest, LogitsAndContext) {
  write("tensor<4x8xf32>", 32, 128, {1, 1, -1, Dim::logit_rows});
  EXPECT_DOUBLE_EQ(cost({1, 4, 0, 0}).bytes, cacheRow * 8);
  EXPECT_DOUBLE_EQ(cost({1, 4, 0, 1}).bytes, 128 + cacheRow * 8);
  write("tensor<4x8xi8, #dsv2.panels<32>>", 32, 32, {1, 1, -1, Dim::context});
  EXPECT_DOUBLE_EQ(cost({1, 4, 6, 0}).operations[int8], 2 * 32 * 10);
}

TEST_F(StepCostTest, Experts) {
  write("tensor<8x4x8xi4, #dsv2.panels<32, #dsv2.block_int4<32>>>", 256, 160,
        {1, 1, 128, Dim::one});
  StepCost one = cost({1, 1, 0, 0});
  EXPECT_DOUBLE_EQ(one.bytes, 160 * 2 / 8.0 + cacheRow * 2);
  EXPECT_DOUBLE_EQ(one.operations[int8], 2 * 256 * 2 / 8.0);
  StepCost two = cost({2, 1, 0, 0});
  EXPECT_DOUBLE_EQ(two.bytes, 160 * (1 - 0.75 * 0.75) + cacheRow * 4);
  EXPECT_DOUBLE_EQ(two.operations[int8], 2 * 256 * 2 / 8.0 * 2);
}

/// Parts that are bound on their own, shared weights and token ranges.
TEST_F(StepCostTest, Parts) {
  write("tensor<4x8xbf16>", 32, 64, {1, 1, -1, Dim::tokens},
        [](schema::ArtifactT &artifact) {
          auto &dispatches = artifact.plan->programs[0]->dispatches;
          schema::Binding second = weightAt(1);
          second = {second.kind(), second.index(), 48};
          dispatches.push_back(makeDispatch(ToyKernel::logits,
                                            {1, 1, -1, Dim::tokens}, {second}));
          dispatches.push_back(makeDispatch(ToyKernel::logits,
                                            {1, 1, -1, Dim::tokens}, {second}));
          dispatches.push_back(makeDispatch(
              ToyKernel::logits, {1, 1, -1, Dim::tokens}, {weightAt(0)}));
          dispatches.back()->min_tokens = 2;
        });
  StepCost one = cost({1, 1, 0, 0});
  EXPECT_DOUBLE_EQ(one.bytes, 64 + cacheRow * 2);
  EXPECT_DOUBLE_EQ(one.operations[bf16], 2 * (24 + 8 + 8));
  EXPECT_DOUBLE_EQ(cost({2, 1, 0, 0}).bytes, 64 + 128 + cacheRow * 4);
}

/// Projections of heads belong to attention, which takes the cheaper form.
TEST_F(StepCostTest, HeadProjections) {
  // W_UK, heads x keys x latent; what attends has no weight.
  write("tensor<3x4x1xbf16, #dsv2.panels<32>>", 12, 24, {1, 1, -1, Dim::tokens},
        [](schema::ArtifactT &artifact) {
          for (auto &program : artifact.plan->programs)
            program->dispatches.push_back(
                makeDispatch(ToyKernel::sumPages, {1, 1, -1, Dim::tokens},
                             {batch(schema::BatchField::page_table), cacheOf(1),
                              arenaAt(64)}));
        });
  constexpr double latentPair = 2 * 3 * 3 * 2, expandedPair = 2 * 10 * 3 * 2;
  // Latent: only new tokens are projected.
  StepCost one = cost({1, 1, 10, 1});
  EXPECT_DOUBLE_EQ(one.bytes, 24 + cacheRow * 12);
  EXPECT_DOUBLE_EQ(one.operations[bf16], 2 * 12);
  EXPECT_DOUBLE_EQ(one.operations[f32], latentPair * 11);
  // Operations in f32 cost nothing: the form with the fewer projections.
  limits.operations = {1, 1, 1e9};
  EXPECT_DOUBLE_EQ(cost({1, 4, 10, 1}).operations[bf16], 2 * 12 * 4);

  std::vector<StepCost> decode = dispatchCosts({1, 1, 10, 1});
  ASSERT_EQ(decode.size(), 2u);
  EXPECT_DOUBLE_EQ(decode[0].operations[bf16], 2 * 12);
  EXPECT_DOUBLE_EQ(decode[1].operations[f32], latentPair / 2 * 11);
  EXPECT_DOUBLE_EQ(decode[1].bytes, cacheRow / 2 * 12);
  // The other program expands: keys of the whole context.
  std::vector<StepCost> prefill = dispatchCosts({1, 4, 10, 1});
  EXPECT_DOUBLE_EQ(prefill[0].operations[bf16], 2 * 12 * 14);
  EXPECT_DOUBLE_EQ(prefill[1].operations[f32],
                   expandedPair / 2 * (11 + 12 + 13 + 14));
}

/// What the steps of a test counted comes before what is expected.
TEST_F(StepCostTest, CountedExperts) {
  write("tensor<8x4x8xi4, #dsv2.panels<32, #dsv2.block_int4<32>>>", 256, 160,
        {6, 4, 128, Dim::tokens});
  StepShape shape = {2, 1, 0, 0};
  shape.touchedExperts = 0.25;
  EXPECT_DOUBLE_EQ(cost(shape).bytes, 160 * 0.25 + cacheRow * 4);
  withModel([](const CostModel &model) {
    // 6 workgroups an expert for up to 4 tokens, 12 for up to 8.
    EXPECT_DOUBLE_EQ(model.touchedExperts(0, 0, 2, 18), 3 / 8.0);
    EXPECT_DOUBLE_EQ(model.touchedExperts(0, 0, 5, 36), 3 / 8.0);
    return 0;
  });
  write("tensor<4x8xbf16>", 32, 64, {1, 1, -1, Dim::tokens});
  withModel([](const CostModel &model) {
    EXPECT_LT(model.touchedExperts(0, 0, 1, 1), 0);
    return 0;
  });
}

TEST_F(StepCostTest, Bound) {
  write("tensor<4x8xbf16>", 32, 64, {1, 1, -1, Dim::tokens});
  limits.operations = {1, 1, 1e9};
  limits.readBytes = 2;
  StepBound bound = withModel([&](const CostModel &model) {
    return model.bound({1, 1, 0, 0}, limits);
  });
  // Reading the cache in one dispatch, multiplying in the other.
  EXPECT_NEAR(bound.time, 64, 1e-3);
  EXPECT_NEAR(bound.serialTime, 64 + cacheRow * 2 / 2, 1e-3);
}

TEST_F(StepCostTest, LeastTime) {
  Limits limits;
  limits.readBytes = 100;
  limits.operations = {10, 20, 40};
  StepCost cost;
  cost.bytes = 500;
  cost.operations = {10, 20, 40};
  EXPECT_DOUBLE_EQ(cost.leastTime(limits), 5);
  cost.bytes = 100;
  EXPECT_DOUBLE_EQ(cost.leastTime(limits), 3);
}
