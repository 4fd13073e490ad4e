//===- InspectTest.cpp - What dsv2-inspect shows --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/TokenizerTable.h"
#include "test/runtime/support/ToyArtifact.h"
#include "test/tools/support/RunTool.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace dsv2;
using namespace dsv2::test;
using Json = nlohmann::json;

namespace {

class InspectTest : public testing::Test {
protected:
  void SetUp() override { write({}); }
  void write(const std::function<void(schema::ArtifactT &)> &change) {
    Status status = writeToy(path, [&](schema::ArtifactT &artifact) {
      artifact.tokenizer = packTokenizer(letterTokenizer());
      artifact.model->config_json = "{\"hidden_size\": 7}";
      artifact.model->kv_bytes_per_token = 16;
      artifact.build->weights = "random:1";
      if (change)
        change(artifact);
    });
    ASSERT_TRUE(status.ok()) << status.message();
  }

  std::string show(const std::string &arguments) {
    ToolResult result = runTool(DSV2_INSPECT " " + path + " " + arguments);
    EXPECT_EQ(result.status, 0) << result;
    EXPECT_EQ(result.err, "");
    return result.out;
  }
  Json showJson(const std::string &arguments) {
    std::string text = show(arguments + " --json");
    Json parsed = Json::parse(text, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << text;
    return parsed;
  }
  void expectError(const std::string &arguments, const std::string &message) {
    ToolResult result = runTool(DSV2_INSPECT " " + arguments);
    EXPECT_EQ(result.status, 1) << result;
    EXPECT_TRUE(isOneLine(result.err)) << result;
    EXPECT_EQ(result.err.rfind("dsv2-inspect: error: ", 0), 0u) << result;
    EXPECT_NE(result.err.find(message), std::string::npos) << result;
  }

  TemporaryDirectory directory;
  std::string path = directory.path("toy.dsv2");
};

void expectParts(const std::string &text,
                 std::initializer_list<const char *> parts) {
  for (const char *part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
}

/// Makes the kernels those of a GPU; the last has not been assembled.
void makeGpu(schema::ArtifactT &artifact) {
  artifact.libraries.clear();
  artifact.gpu = std::make_unique<schema::GpuTargetT>();
  artifact.gpu->name = "sm_90a";
  artifact.gpu->major = 9;
  for (auto &program : artifact.plan->programs)
    program->dispatches.resize(1);
  const schema::DispatchT &dispatch =
      *artifact.plan->programs[0]->dispatches[0];
  for (auto &kernel : artifact.kernels) {
    kernel->gpu = std::make_unique<schema::GpuKernelT>();
    kernel->gpu->ptx = {'p', 't', 'x'};
    kernel->gpu->threads = 256;
    kernel->gpu->bindings = dispatch.bindings.size();
    if (kernel == artifact.kernels.back())
      continue;
    kernel->gpu->cubin = {0x7f, 'E', 'L', 'F'};
    kernel->gpu->registers = 40;
    kernel->gpu->static_shared_bytes = 64;
    kernel->gpu->dynamic_shared_bytes = 1024;
    kernel->gpu->spill_bytes = 12;
    kernel->gpu->resident_blocks = 6;
  }
}

} // namespace

TEST_F(InspectTest, Summary) {
  expectParts(show(""),
              {"toy", "f32", "128 B in 1", "16 bytes a token: 2 layers",
               "64 tokens of context", "decode", "prefill", "3 dispatches",
               "reference", "runs here", "random:1"});
  Json summary = showJson("");
  EXPECT_EQ(summary["model"]["name"], "toy");
  EXPECT_EQ(summary["bytes"]["weights"], 128);
  EXPECT_EQ(summary["bytes"]["weights_by_format"][0]["format"], "f32");
  EXPECT_EQ(summary["limits"]["max_context"], 64);
  EXPECT_EQ(summary["phases"][0]["name"], "decode");
  EXPECT_EQ(summary["phases"][0]["max_query_tokens"], 1);
  EXPECT_EQ(summary["instruction_sets"][0]["supported"], true);
  EXPECT_EQ(summary["build"]["target"], "toy");
}

TEST_F(InspectTest, Plan) {
  EXPECT_NE(show("--plan").find(
                "plan.program @decode max_query_tokens 1 {\n"
                "  plan.dispatch @toy_append \"\" <1 x tokens by 1> "
                "(batch(tokens), batch(positions), batch(cache_rows), "
                "cache(1))\n"
                "  plan.barrier\n"
                "  plan.dispatch @toy_sum_pages \"\" <1 x tokens by 1> "
                "(batch(positions), batch(token_sequence), batch(page_table), "
                "batch(context_lengths), batch(query_offsets), cache(1), "
                "arena(64))\n"
                "  plan.barrier\n"
                "  plan.dispatch @toy_logits \"lm_head\" <4 x logit_rows by 1> "
                "(batch(logit_rows), arena(64), weight(@head), constant(64), "
                "logits)\n"
                "}\n"),
            std::string::npos)
      << show("--plan");
  Json plan = showJson("--plan")["plan"];
  EXPECT_EQ(plan["programs"][1]["dispatches"][2]["label"], "lm_head");
  EXPECT_EQ(plan["programs"][1]["dispatches"][2]["kernel"], "toy_logits");
}

TEST_F(InspectTest, TokenRanges) {
  write([](schema::ArtifactT &artifact) {
    artifact.plan->programs[1]->dispatches[0]->max_tokens = 4;
  });
  expectParts(show("--plan"), {"cache(1)) {tokens from 0 to 4}\n"});
}

TEST_F(InspectTest, Tables) {
  expectParts(show("--weights"), {"head", "128", "tensor<32xf32>"});
  expectParts(show("--kernels"), {"toy_sum_pages", "reference"});
  Json kernels = showJson("--kernels")["kernels"];
  ASSERT_EQ(kernels.size(), 7u);
  EXPECT_EQ(kernels[0]["symbol"], "toy_append");
  EXPECT_EQ(kernels[0]["dispatches"], 2);
  EXPECT_GT(kernels[0]["code_bytes"]["reference"], 0);
  Json weight = showJson("--weights")["weights"][0];
  EXPECT_EQ(weight["offset"], 4096);
  EXPECT_EQ(weight["bytes"], 128);
}

TEST_F(InspectTest, Memory) {
  Json memory = showJson("--memory --ctx 10 --sequences 3")["memory"];
  EXPECT_EQ(memory["cache_rows"], 36); // pages of 4
  EXPECT_EQ(memory["cache"], 36 * 16);
  EXPECT_EQ(memory["logits"], 16 * 32 * 4);
  expectParts(show("--memory"), {"arena", "1 sequences of 64 tokens"});
}

TEST_F(InspectTest, Texts) {
  expectParts(show("--config"), {"{\"hidden_size\": 7}\n"});
  EXPECT_EQ(showJson("--config")["config"]["hidden_size"], 7);
  expectParts(show("--tokenizer"), {"v2.5", "<bos>"});
  EXPECT_EQ(showJson("--tokenizer")["tokenizer"]["tokens"], 30);
  // Several sections at once.
  Json both = showJson("--config --memory");
  EXPECT_TRUE(both.contains("config") && both.contains("memory"));
  EXPECT_FALSE(both.contains("model"));
}

/// What cannot run here can be looked at.
TEST_F(InspectTest, WithoutWeightsOrCpu) {
  write([](schema::ArtifactT &artifact) {
    artifact.libraries[0]->features = uint64_t(1) << 63;
    for (auto &weight : artifact.weights)
      weight->offset = weight->hash = 0;
  });
  expectParts(show(""), {"not in the file", "not on this CPU"});
  EXPECT_EQ(showJson("")["bytes"]["weights_present"], false);
  show("--plan --kernels --memory --weights");
  expectError(path + " --verify", "--weights=none");
}

TEST_F(InspectTest, Verify) {
  EXPECT_EQ(show("--verify"), "all 1 weights have the right checksum\n");
  std::string contents = readFile(path);
  contents[4096] ^= 1;
  writeFile(path, contents);
  expectError(path + " --verify", "weight 'head' is corrupted");
}

TEST_F(InspectTest, Errors) {
  expectError("", "model is required");
  expectError(path + " --wrong", "unknown argument '--wrong'; run with --help");
  expectError(path + " --memory --ctx -1", "-1");
  expectError(directory.path("absent"), "absent");
  expectError(path + " >/dev/full", "No space left on device");
  std::string contents = readFile(path);
  writeFile(path, contents.substr(0, contents.size() - 100));
  expectError(path, path);
}
TEST_F(InspectTest, KernelsOfAGpu) {
  write(makeGpu);
  expectParts(show("--kernels"),
              {"registers", "spill_bytes", "1088", "75%", "-"});
  expectParts(show(""), {"GPU", "sm_90a", "PTX, compiled when it is loaded"});
  expectParts(show("--memory"), {"copied to the GPU"});
  Json kernels = showJson("--kernels")["kernels"];
  Json first = kernels[0];
  EXPECT_EQ(first["threads"], 256);
  EXPECT_EQ(first["registers"], 40);
  EXPECT_EQ(first["shared_bytes"], 1088);
  EXPECT_EQ(first["spill_bytes"], 12);
  EXPECT_EQ(first["blocks_per_sm"], 6);
  EXPECT_EQ(first["occupancy"], 75);
  EXPECT_NE(first["name"], "");
  EXPECT_FALSE(kernels.back().contains("registers"));
  EXPECT_EQ(showJson("")["gpu"], "sm_90a");
}
