//===- RunTool.cpp - Programs as their users see them ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/support/RunTool.h"

#include "test/runtime/support/ToyArtifact.h"

#include <algorithm>
#include <cstdlib>

#include <sys/wait.h>

using namespace dsv2;
using namespace dsv2::test;

std::ostream &test::operator<<(std::ostream &stream, const ToolResult &result) {
  return stream << "status " << result.status << "\nstdout: " << result.out
                << "\nstderr: " << result.err;
}

ToolResult test::runTool(const std::string &command, const std::string &input) {
  TemporaryDirectory directory;
  writeFile(directory.path("in"), input);
  // The redirections come first, so that those of the command win.
  std::string line = "exec <" + directory.path("in") + " >" +
                     directory.path("out") + " 2>" + directory.path("err") +
                     "; " + command;
  int status = std::system(line.c_str());
  ToolResult result;
  result.status =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = readFile(directory.path("out"));
  result.err = readFile(directory.path("err"));
  return result;
}

bool test::isOneLine(const std::string &text) {
  return !text.empty() && text.back() == '\n' &&
         std::count(text.begin(), text.end(), '\n') == 1;
}

TokenizerModel test::letterTokenizer() {
  TokenizerModel model;
  model.vocabulary = {"<bos>", "<eos>", "<\uFF5CUser\uFF5C>",
                      "<\uFF5CAssistant\uFF5C>"};
  for (char letter = 'a'; letter <= 'z'; ++letter)
    model.vocabulary.emplace_back(1, letter);
  for (int32_t id = 0; id < 4; ++id)
    model.addedTokens.push_back(
        {id, model.vocabulary[id], true, false, false, false, false});
  model.bosId = 0;
  model.eosId = 1;
  model.addBos = true;
  model.stopIds = {1};
  model.chatFormat = ChatFormatKind::v25;
  return model;
}
