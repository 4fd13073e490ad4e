//===- MeaningTest.cpp - What metadata may say ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every rule of the meaning verifier, by one change that breaks it.
//
//===----------------------------------------------------------------------===//

#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

using namespace dsv2;
using namespace dsv2::test;
using schema::ArtifactT;

namespace {

struct Case {
  const char *expected; ///< in the message
  void (*change)(ArtifactT &);
};

schema::DispatchT &first(ArtifactT &artifact) {
  return *artifact.plan->programs[0]->dispatches[0];
}
void bind(ArtifactT &artifact, schema::Binding binding) {
  first(artifact).bindings[0] = binding;
}
void workgroups(ArtifactT &artifact, schema::Workgroups workgroups) {
  *first(artifact).workgroups = workgroups;
}

using schema::BindingKind;
using schema::Dim;

const Case cases[] = {
    {"limits.max_batch_tokens is 0",
     [](ArtifactT &a) { a.limits->max_batch_tokens = 0; }},
    {"limits.max_batch_tokens is",
     [](ArtifactT &a) { a.limits->max_batch_tokens = int64_t(1) << 40; }},
    {"limits.max_sequences is 25",
     [](ArtifactT &a) { a.limits->max_sequences = 25; }},
    {"limits.max_context is -1",
     [](ArtifactT &a) { a.limits->max_context = -1; }},
    {"limits.max_sequences * limits.max_context",
     [](ArtifactT &a) { a.limits->max_context = 2147483647; }},
    {"limits.max_logit_rows is 0",
     [](ArtifactT &a) { a.limits->max_logit_rows = 0; }},
    {"model.vocab is 0", [](ArtifactT &a) { a.model->vocab = 0; }},
    {"model.layers is -2", [](ArtifactT &a) { a.model->layers = -2; }},
    {"model.bos is 32", [](ArtifactT &a) { a.model->bos = 32; }},
    {"model.eos is -1", [](ArtifactT &a) { a.model->eos = {2, -1}; }},
    {"cache.layers is 0", [](ArtifactT &a) { a.cache->layers = 0; }},
    {"cache.page_size is 0", [](ArtifactT &a) { a.cache->page_size = 0; }},
    {"cache.latent is 0", [](ArtifactT &a) { a.cache->latent = 0; }},
    {"cache.row_bytes is 7", [](ArtifactT &a) { a.cache->row_bytes = 7; }},
    {"cache.element has the unknown value 99",
     [](ArtifactT &a) { a.cache->element = schema::ElementType(99); }},
    {"no kernel library", [](ArtifactT &a) { a.libraries.clear(); }},
    {"name of a kernel library",
     [](ArtifactT &a) { a.libraries[0]->name = "two\nlines"; }},
    {"has no object", [](ArtifactT &a) { a.libraries[0]->object.clear(); }},
    {"name of a kernel", [](ArtifactT &a) { a.kernels[0]->symbol = ""; }},
    {"name of a weight", [](ArtifactT &a) { a.weights[0]->name = "\x7f"; }},
    {"weight 'head' has 0 bytes",
     [](ArtifactT &a) { a.weights[0]->bytes = 0; }},
    {"expected a multiple of 64",
     [](ArtifactT &a) { a.weights[0]->offset += 32; }},
    {"ends behind the weights",
     [](ArtifactT &a) { a.weights[0]->offset = uint64_t(1) << 62; }},
    {"ends behind the weights",
     [](ArtifactT &a) { a.weights[0]->bytes = 1 << 20; }},
    {"weight 'absent' is absent",
     [](ArtifactT &a) {
       a.weights.push_back(std::make_unique<schema::WeightT>(*a.weights[0]));
       a.weights[1]->name = "absent";
       a.weights[1]->offset = 0;
     }},
    {"plan.arena_bytes",
     [](ArtifactT &a) { a.plan->arena_bytes = ~uint64_t(0); }},
    {"no program", [](ArtifactT &a) { a.plan->programs.clear(); }},
    {"name of a program", [](ArtifactT &a) { a.plan->programs[0]->name = ""; }},
    {"max_query_tokens is 0",
     [](ArtifactT &a) { a.plan->programs[0]->max_query_tokens = 0; }},
    {"uses kernel 7", [](ArtifactT &a) { first(a).kernel = 7; }},
    {"ascending range", [](ArtifactT &a) { first(a).min_tokens = -1; }},
    {"ascending range", [](ArtifactT &a) { first(a).max_tokens = -1; }},
    {"unknown dimension 5",
     [](ArtifactT &a) { workgroups(a, {1, 1, -1, Dim(5)}); }},
    {"0 workgroups for every 0",
     [](ArtifactT &a) { workgroups(a, {0, 0, -1, Dim::one}); }},
    {"-1 workgroups for every 1",
     [](ArtifactT &a) { workgroups(a, {-1, 1, -1, Dim::one}); }},
    {"expected less than 2^31",
     [](ArtifactT &a) { workgroups(a, {2147483647, 1, -1, Dim::tokens}); }},
    {"reads its count at arena offset 65536",
     [](ArtifactT &a) { workgroups(a, {1, 1, 65536, Dim::one}); }},
    {"reads its count at arena offset 2",
     [](ArtifactT &a) { workgroups(a, {1, 1, 2, Dim::one}); }},
    {"arena offset 65536", [](ArtifactT &a) { bind(a, arenaAt(65536)); }},
    {"uses weight 1", [](ArtifactT &a) { bind(a, weightAt(1)); }},
    {"weight offset 128",
     [](ArtifactT &a) { bind(a, {BindingKind::weight, 0, 128}); }},
    {"cache layer 2", [](ArtifactT &a) { bind(a, cacheOf(2)); }},
    {"batch field 12",
     [](ArtifactT &a) { bind(a, batch(schema::BatchField(12))); }},
    {"constant offset 128", [](ArtifactT &a) { bind(a, constantAt(128)); }},
    {"constant offset 0",
     [](ArtifactT &a) {
       a.plan->constants.clear();
       bind(a, constantAt(0));
     }},
    {"is at offset 4 of the logits, expected 0",
     [](ArtifactT &a) { bind(a, {BindingKind::logits, 0, 4}); }},
    {"best_logits is 5000",
     [](ArtifactT &a) {
       makeToyForGpu(a);
       a.gpu->best_logits = 5000;
     }},
    {"lists no best logits",
     [](ArtifactT &a) {
       makeToyForGpu(a);
       a.gpu->best_logits = 8;
     }},
    {"unknown kind 6", [](ArtifactT &a) { bind(a, {BindingKind(6), 0, 0}); }},
};

} // namespace

TEST(MeaningTest, EveryRuleHasItsMessage) {
  TemporaryDirectory directory;
  for (const Case &test : cases) {
    Status status = writeToy(directory.path("toy.dsv2"), test.change);
    EXPECT_EQ(status.code(), StatusCode::dataLoss) << test.expected;
    EXPECT_NE(status.message().find(test.expected), std::string::npos)
        << "expected: " << test.expected << "\nfound: " << status.message();
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
}

TEST(MeaningTest, ZeroWorkgroupsAndUnboundedTokensAreFine) {
  TemporaryDirectory directory;
  Status status = writeToy(directory.path("toy.dsv2"), [](ArtifactT &artifact) {
    workgroups(artifact, {0, 1, -1, Dim::one});
    first(artifact).max_tokens = INT64_MAX;
  });
  EXPECT_TRUE(status.ok()) << status.message();
}
