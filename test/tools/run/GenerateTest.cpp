//===- GenerateTest.cpp - What dsv2-run prints and writes -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/run/RunTest.h"

#include <cstring>
#include <filesystem>

using namespace dsv2;
using namespace dsv2::test;

using GenerateTest = RunTest;

TEST_F(GenerateTest, TokensInAndOut) {
  ToolResult result = run(plain + " --tokens=3,4 5 -n 3 --temp 0 -t 2");
  EXPECT_EQ(result.status, 1) << result; // "5" is another argument
  result = run(plain + " --tokens=3,4,5 -n 3 --temp 0 -t 2");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.out, "9,9,9\n");
  for (const char *part :
       {"toy", "reference", "2 threads", "context 64", "load time",
        "prompt eval time", "    3 tokens", "    2 runs", "total time"})
    EXPECT_NE(result.err.find(part), std::string::npos) << part << result;
}

TEST_F(GenerateTest, Quiet) {
  ToolResult result = run(plain + " --tokens '3 4' -n 1 --temp 0 -t 1 -q");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.out, "9\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(GenerateTest, TextFromEverywhere) {
  // 9 is the letter f.
  writeFile(directory.path("prompt"), "abc");
  for (const std::string &source :
       {std::string("-p abc"), "-f " + directory.path("prompt"),
        std::string("-f -"), std::string()}) {
    ToolResult result = run(text + " " + source + " -n 4 --temp 0 -t 1", "abc");
    EXPECT_EQ(result.status, 0) << source << result;
    EXPECT_EQ(result.out, "ffff\n") << source;
    EXPECT_NE(result.err.find("    4 tokens ("), std::string::npos) << result;
  }
  ToolResult ids = run(text + " -p abc -n 2 --temp 0 -t 1 --print-tokens -q");
  EXPECT_EQ(ids.out, "9,9\n") << ids;
}

TEST_F(GenerateTest, SeedsRepeat) {
  std::string command =
      plain + " --tokens 3 -n 20 --temp 5 --top-k 0 --top-p 1 --min-p 0 -t 1 "
              "-q --ignore-eos --seed ";
  ToolResult first = run(command + "7"), again = run(command + "7");
  EXPECT_EQ(first.status, 0) << first;
  EXPECT_EQ(first.out, again.out);
  EXPECT_NE(first.out, run(command + "8").out);
  // --ignore-eos leaves no token out of 20.
  EXPECT_EQ(std::count(first.out.begin(), first.out.end(), ','), 19) << first;
}

TEST_F(GenerateTest, StopsAtEos) {
  expectWritten(writeToy(plain, [](schema::ArtifactT &artifact) {
    artifact.model->eos = {toyChoice};
  }));
  ToolResult result = run(plain + " --tokens 3 -n 5 --temp 0 -t 1 -q");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.out, "\n");
  result = run(plain + " --tokens 3 -n 3 --temp 0 -t 1 -q --ignore-eos");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.out, "18,18,18\n"); // the next best: 18 * 7 % 32 = 30
}

TEST_F(GenerateTest, FullContext) {
  ToolResult result = run(plain + " --tokens 3,4,5 -c 8 --temp 0 -t 1 -q");
  EXPECT_EQ(result.status, 0) << result;
  // Five more fit, and the last one needs no room.
  EXPECT_EQ(result.out, "9,9,9,9,9,9\n");
  EXPECT_TRUE(isOneLine(result.err)) << result;
  EXPECT_NE(result.err.find("context of 8 tokens is full"), std::string::npos);
}

/// The rows must be the same however the prompt was cut into steps.
TEST_F(GenerateTest, Logits) {
  for (const char *chunk : {"", " --chunk 1", " --chunk=4"}) {
    std::string path = directory.path("logits.npy");
    std::string prompt = "5";
    for (int i = 1; i < 30; ++i)
      prompt += "," + std::to_string(i % 30);
    ToolResult result =
        run(plain + " --tokens " + prompt +
            " -n 3 --temp 0 -t 2 -q --logits-out " + path + chunk);
    ASSERT_EQ(result.status, 0) << result;
    std::string file = readFile(path);
    constexpr size_t rows = 32; // 30, and two of the three
    ASSERT_EQ(file.size(), 128 + rows * toyVocab * sizeof(float));
    EXPECT_EQ(file.substr(0, 10), std::string("\x93NUMPY\x01\0\x76\0", 10));
    EXPECT_NE(file.find("{'descr': '<f4', 'fortran_order': False, 'shape': "
                        "(32, 32), }"),
              std::string::npos);
    EXPECT_EQ(file[127], '\n');
    std::vector<int32_t> tokens;
    for (size_t row = 0; row < rows; ++row) {
      tokens.push_back(row == 0   ? 5
                       : row < 30 ? static_cast<int32_t>(row)
                                  : toyChoice);
      std::vector<float> logits(toyVocab);
      std::memcpy(logits.data(),
                  file.data() + 128 + row * toyVocab * sizeof(float),
                  toyVocab * sizeof(float));
      EXPECT_EQ(logits, toyLogits(tokens)) << "row " << row << chunk;
    }
  }
  EXPECT_EQ(std::distance(
                std::filesystem::directory_iterator(directory.path("")), {}),
            3)
      << "no temporary file may stay";
}
