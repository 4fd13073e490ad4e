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
  StepCost cost(const StepShape &shape) {
    Result<Artifact> artifact = Artifact::open(path);
    EXPECT_TRUE(artifact.ok()) << artifact.status().message();
    Result<CostModel> model = CostModel::create(*artifact);
    EXPECT_TRUE(model.ok());
    return model->cost(shape);
  }

  // Of the cache: 2 layers of 8 bytes a token, in f32.
  static constexpr double cacheRow = 16;
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
  // Weights once, whatever the number of tokens; another form of attention.
  StepCost many = cost({1, 4, 10, 1});
  EXPECT_DOUBLE_EQ(many.bytes, 64 + cacheRow * 18);
  EXPECT_DOUBLE_EQ(many.operations[bf16], 2 * 32 * 4);
  EXPECT_DOUBLE_EQ(many.operations[f32],
                   2 * (4 + 1 + 5) * 3 * 2 * (11 + 12 + 13 + 14));
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
