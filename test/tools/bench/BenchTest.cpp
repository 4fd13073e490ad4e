//===- BenchTest.cpp - What dsv2-bench prints -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/runtime/support/ToyArtifact.h"
#include "test/tools/support/RunTool.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace dsv2;
using namespace dsv2::test;
using Json = nlohmann::json;

namespace {

class BenchTest : public testing::Test {
protected:
  void SetUp() override {
    Status status = writeToy(path);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  ToolResult run(const std::string &arguments) {
    return runTool(DSV2_BENCH " " + path + " " + arguments);
  }
  void expectError(const std::string &arguments, const std::string &message) {
    ToolResult result = runTool(DSV2_BENCH " " + arguments);
    EXPECT_EQ(result.status, 1) << result;
    EXPECT_TRUE(isOneLine(result.err)) << result;
    EXPECT_EQ(result.err.rfind("dsv2-bench: error: ", 0), 0u) << result;
    EXPECT_NE(result.err.find(message), std::string::npos) << result;
  }

  TemporaryDirectory directory;
  std::string path = directory.path("toy.dsv2");
};

} // namespace

TEST_F(BenchTest, Markdown) {
  ToolResult result = run("-p 8 -n 4 -d 0,16 -t 1 -r 2 --profile");
  EXPECT_EQ(result.status, 0) << result;
  for (const char *part :
       {"| model | size | params | backend | threads | test | t/s | bound t/s "
        "| share |\n| :-- |",
        "| toy | 128 B | 32 | CPU reference | 1 | pp8 | ", "| tg4 |",
        "| pp8 @ d16 |", "| tg4 @ d16 |", " ± ", "toy_sum_pages", "lm_head"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << result;
}

TEST_F(BenchTest, Records) {
  ToolResult result = run("-p 8-16*2 -n 3 -t 1,2 -r 3 -npl 1,4 -o json");
  ASSERT_EQ(result.status, 0) << result;
  Json records = Json::parse(result.out, nullptr, false);
  ASSERT_TRUE(records.is_array()) << result;
  ASSERT_EQ(records.size(), 8u);
  Json last = records[7];
  EXPECT_EQ(last["test"], "tg3 b4");
  EXPECT_EQ(last["n_threads"], 2);
  EXPECT_EQ(last["n_sequences"], 4);
  EXPECT_EQ(last["n_gen"], 3);
  EXPECT_EQ(last["model_n_params"], 32);
  ASSERT_EQ(last["samples_ns"].size(), 3u);
  ASSERT_EQ(last["samples_ts"].size(), 3u);
  for (const Json &record : records) {
    for (const char *key :
         {"build_commit", "model_filename", "model_type", "model_size",
          "n_prompt", "n_depth", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts",
          "median_ts", "bound_ts", "share", "serial_bound_ts", "serial_share",
          "touched_experts", "n_batch", "n_ubatch", "read_gbps"})
      EXPECT_TRUE(record.contains(key)) << key;
    EXPECT_GT(record["avg_ts"], 0);
    EXPECT_GT(record["share"], 0);
    EXPECT_GE(record["serial_share"], record["share"].get<double>() * 0.999);
    // 12 tokens in n nanoseconds.
    double tokens =
        record["n_prompt"].get<double>() +
        record["n_gen"].get<double>() * record["n_sequences"].get<double>();
    EXPECT_NEAR(record["samples_ts"][0].get<double>() *
                    record["samples_ns"][0].get<double>() / 1e9,
                tokens, tokens * 0.01);
  }
}

/// A depth is computed as a whole, or its first pages are repeated.
TEST_F(BenchTest, Depth) {
  for (const char *how : {"", " --compute-depth"}) {
    ToolResult result =
        run(std::string("-p 8 -n 2 -d 3,51 -t 1 -r 1 --chunk 5") + how);
    EXPECT_EQ(result.status, 0) << result;
    EXPECT_NE(result.out.find("| tg2 @ d51 |"), std::string::npos) << result;
  }
}

TEST_F(BenchTest, ProfileRecords) {
  ToolResult result = run("-p 0 -n 4 -t 1 -r 1 --profile -o jsonl");
  ASSERT_EQ(result.status, 0) << result;
  Json rows = Json::parse(result.out, nullptr, false)["profile"];
  ASSERT_TRUE(rows.is_array()) << result;
  auto logits = std::find_if(rows.begin(), rows.end(), [](const Json &row) {
    return row["label"] == "lm_head";
  });
  ASSERT_NE(logits, rows.end()) << result;
  EXPECT_EQ((*logits)["runs"], 4);
  EXPECT_EQ((*logits)["bytes"], 4 * 128);
  EXPECT_EQ((*logits)["f32_ops"], 0); // a vector
  EXPECT_GT((*logits)["bound_ns"], 0);
}

TEST_F(BenchTest, LinesAndCsv) {
  ToolResult lines = run("-p 4 -n 2 -t 1 -r 1 --no-warmup -o jsonl");
  ASSERT_EQ(lines.status, 0) << lines;
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 2);
  EXPECT_EQ(Json::parse(lines.out.substr(0, lines.out.find('\n')), nullptr,
                        false)["test"],
            "pp4");
  ToolResult csv = run("-p 4 -n 0 -t 1 -r 1 -o csv");
  ASSERT_EQ(csv.status, 0) << csv;
  EXPECT_EQ(csv.out.rfind("\"build_commit\",\"cpu_info\"", 0), 0u) << csv;
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 2);
}

TEST_F(BenchTest, Errors) {
  expectError("", "model is required");
  expectError(path + " --wrong", "unknown argument '--wrong'");
  expectError(path + " -p x", "--n-prompt expects numbers such as 1,2,4");
  expectError(path + " -p 0 -n 0", "expected a test");
  expectError(path + " -t 2000", "--threads is 2000, expected 0 to 1024");
  expectError(path + " -p 60 -d 10 -n 0 -t 1",
              "pp60 @ d10 needs 70 tokens of context, but the artifact was "
              "compiled for at most 64");
  expectError(path + " -p 0 -n 1 -t 1 --batch 9",
              "tg1 b9 needs 9 sequences in a step");
  expectError(path + " -o yaml", "yaml");
  expectError(path + " -r 0", "0");
  expectError(path + " -p 4 -n 0 -t 1 -r 1 --records /no-such-folder/file",
              "cannot append to '/no-such-folder/file'");
  expectError(directory.path("absent"), "absent");
  expectError(path + " -p 4 -n 0 -t 1 -r 1 >/dev/full",
              "No space left on device");
}

#ifdef DSV2_FAKE_CUDA_FOLDER
/// Measured is the device: here one where an event takes half a microsecond, a
/// kernel one, and copies and products no time.
TEST_F(BenchTest, Gpu) {
  Status status = writeToy(path, makeToyForGpu);
  ASSERT_TRUE(status.ok()) << status.message();
  std::string fake =
      "LD_LIBRARY_PATH=" DSV2_FAKE_CUDA_FOLDER " " DSV2_BENCH " ";
  ToolResult result =
      runTool(fake + path + " -p 8 -n 4 -r 2 --profile -o json");
  ASSERT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.err, "") << result;
  Json records = Json::parse(result.out, nullptr, false);
  ASSERT_EQ(records.size(), 2u) << result;
  for (const Json &record : records) {
    EXPECT_EQ(record["backends"], "CUDA");
    EXPECT_EQ(record["gpu_info"], "Fake GPU");
    EXPECT_EQ(record["instruction_set"], "sm_90a");
    // 16 copies of 2 MiB, read and written; four products of side 512.
    EXPECT_NEAR(record["read_gbps"].get<double>(), 32.0 * (2 << 20) / 500, 1);
    EXPECT_NEAR(record["bf16_gflops"].get<double>(), 8.0 * (1 << 27) / 500, 1);
    EXPECT_TRUE(record["int8_gops"].is_null());
    EXPECT_TRUE(record["f32_gflops"].is_null());
    EXPECT_GT(record["share"], 0);
    EXPECT_EQ(record["profile"].size(), 1u);
    EXPECT_EQ(record["profile"][0]["ns"],
              1500 * record["profile"][0]["runs"].get<int>());
  }
  ToolResult table = runTool(fake + path + " -p 8 -n 0 -r 1 --records " +
                             directory.path("records"));
  EXPECT_NE(table.out.find("| CUDA sm_90a |"), std::string::npos) << table;
  EXPECT_EQ(Json::parse(readFile(directory.path("records")))["test"], "pp8");
}
#endif

TEST_F(BenchTest, WithoutWeights) {
  Status status = writeToy(path, [](schema::ArtifactT &artifact) {
    for (auto &weight : artifact.weights)
      weight->offset = weight->hash = 0;
  });
  ASSERT_TRUE(status.ok()) << status.message();
  expectError(path, "--weights=none");
}
