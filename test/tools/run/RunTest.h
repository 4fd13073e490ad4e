//===- RunTest.h - Running dsv2-run on the toy model ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_TOOLS_RUN_RUNTEST_H
#define DSV2_TEST_TOOLS_RUN_RUNTEST_H

#include "runtime/artifact/TokenizerTable.h"
#include "test/runtime/support/ToyArtifact.h"
#include "test/tools/support/RunTool.h"

#include <gtest/gtest.h>

namespace dsv2::test {

/// The likeliest token of the toy model is always the same.
inline constexpr int32_t toyChoice = 9;

class RunTest : public testing::Test {
protected:
  void SetUp() override {
    expectWritten(writeToy(plain, [](schema::ArtifactT &artifact) {
      artifact.model->kv_bytes_per_token = 16;
    }));
    expectWritten(writeToy(text, [](schema::ArtifactT &artifact) {
      artifact.tokenizer = packTokenizer(letterTokenizer());
      artifact.model->eos = {1};
    }));
  }
  static void expectWritten(const Status &status) {
    ASSERT_TRUE(status.ok()) << status.message();
  }

  ToolResult run(const std::string &arguments, const std::string &input = "") {
    return runTool(DSV2_RUN " " + arguments, input);
  }
  /// Expects status 1 and one line that has `message` in it.
  void expectError(const std::string &arguments, const std::string &message,
                   const std::string &input = "") {
    ToolResult result = run(arguments, input);
    EXPECT_EQ(result.status, 1) << arguments << "\n" << result;
    EXPECT_TRUE(isOneLine(result.err)) << arguments << "\n" << result;
    EXPECT_EQ(result.err.rfind("dsv2-run: error: ", 0), 0u) << result;
    EXPECT_NE(result.err.find(message), std::string::npos)
        << "expected: " << message << "\n"
        << result;
  }

  TemporaryDirectory directory;
  std::string plain = directory.path("plain.dsv2"); ///< without tokenizer
  std::string text = directory.path("text.dsv2");   ///< with letters
};

} // namespace dsv2::test

#endif // DSV2_TEST_TOOLS_RUN_RUNTEST_H
