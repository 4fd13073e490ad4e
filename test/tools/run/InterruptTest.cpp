//===- InterruptTest.cpp - Ctrl-C and dsv2-run ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/run/RunTest.h"

using namespace dsv2;
using namespace dsv2::test;

namespace {

/// The toy model, but a token takes long enough to be interrupted.
class InterruptTest : public RunTest {
protected:
  void SetUp() override {
    RunTest::SetUp();
    expectWritten(writeToy(slow, [](schema::ArtifactT &artifact) {
      TokenizerModel letters = letterTokenizer();
      artifact.tokenizer = packTokenizer(letters);
      auto &dispatches = artifact.plan->programs[0]->dispatches;
      dispatches.push_back(makeDispatch(
          ToyKernel::firstToken, {20'000'000, 1, -1, schema::Dim::one},
          {batch(schema::BatchField::tokens), arenaAt(4096)}));
    }));
  }

  /// A shell function that waits for a file to have contents.
  static constexpr const char *await =
      "await() { while ! [ -s $1 ]; do sleep 0.02; done; }; ";

  std::string slow = directory.path("slow.dsv2");
  std::string out = directory.path("out");
};

} // namespace

TEST_F(InterruptTest, Generation) {
  ToolResult result =
      runTool(await + (DSV2_RUN " " + slow) + " -p a --temp 0 -t 1 > " + out +
              " & tool=$!; await " + out + "; kill -INT $tool; wait $tool");
  EXPECT_EQ(result.status, 130) << result;
  std::string text = readFile(out);
  EXPECT_EQ(text.find_first_not_of('f'), text.size() - 1) << text;
  EXPECT_LT(text.size(), 50u) << "it ended by itself";
  EXPECT_NE(result.err.find("total time"), std::string::npos) << result;
}

/// The answer ends, the conversation does not.
TEST_F(InterruptTest, Chat) {
  std::string pipe = directory.path("pipe"), err = directory.path("err");
  ToolResult result =
      runTool(await + ("mkfifo " + pipe + "; ") + DSV2_RUN + " " + slow +
              " --chat --temp 0 -t 1 -q < " + pipe + " > " + out + " 2> " +
              err + " & tool=$!; exec 3> " + pipe + "; echo a >&3; await " +
              out + "; kill -INT $tool; echo /help >&3; await " + err +
              "; echo /quit >&3; wait $tool");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_NE(readFile(err).find("/reset"), std::string::npos);
  EXPECT_LT(readFile(out).size(), 50u);
}

/// The second one does not wait for the step.
TEST_F(InterruptTest, Twice) {
  expectWritten(writeToy(slow, [](schema::ArtifactT &artifact) {
    auto &dispatches = artifact.plan->programs[0]->dispatches;
    dispatches.push_back(makeDispatch(
        ToyKernel::firstToken, {2'000'000'000, 1, -1, schema::Dim::one},
        {batch(schema::BatchField::tokens), arenaAt(4096)}));
  }));
  ToolResult result =
      runTool(await + (DSV2_RUN " " + slow) +
              " --tokens 1 -t 1 & tool=$!; sleep 0.3; kill -INT $tool; "
              "sleep 0.1; kill -INT $tool; wait $tool");
  EXPECT_EQ(result.status, 130) << result;
  EXPECT_EQ(result.err.find("total time"), std::string::npos) << result;
}
