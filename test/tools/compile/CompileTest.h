//===- CompileTest.h - The compiler's programs and bad input ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_TOOLS_COMPILE_COMPILETEST_H
#define DSV2_TEST_TOOLS_COMPILE_COMPILETEST_H

#include "test/models/CheckpointBuilder.h"
#include "test/tools/support/RunTool.h"

#include <gtest/gtest.h>

namespace dsv2::test {

/// Has a checkpoint that compiles in a moment, and a directory where programs
/// may write.
class CompileTest : public testing::Test {
protected:
  void SetUp() override { save(tinyConfig()); }

  /// Makes the checkpoint anew, with tensors changed by `change`.
  void save(
      const nlohmann::json &config,
      const std::function<void(RawTensors &)> &change = [](RawTensors &) {}) {
    tensors = tensorsOf(parsed(config));
    change(tensors);
    checkpoint.write("config.json", config.dump());
    checkpoint.write("model.safetensors", safetensorsImage(tensors));
  }

  /// What programs left behind.
  std::vector<std::string> outputs() const {
    std::vector<std::string> names;
    for (const auto &entry :
         std::filesystem::directory_iterator(directory.path()))
      names.push_back(entry.path().filename());
    return names;
  }

  /// Expects that a command fails with status 1 and one line that mentions
  /// `part`, and that it writes nothing.
  void expectError(const std::string &command, const std::string &part) {
    std::vector<std::string> before = outputs();
    ToolResult result = runTool(command);
    EXPECT_EQ(result.status, 1) << command << "\n" << result;
    EXPECT_TRUE(isOneLine(result.err)) << command << "\n" << result;
    EXPECT_NE(result.err.find(part), std::string::npos)
        << command << "\nexpected: " << part << "\n"
        << result;
    EXPECT_EQ(result.out, "") << command;
    EXPECT_EQ(outputs(), before) << command;
  }
  void expectCompileError(const std::string &arguments,
                          const std::string &part) {
    expectError(DSV2_COMPILE " -q -o " + output + " " + arguments, part);
  }
  /// The checkpoint is refused by the compiler, and by the importer unless only
  /// its numbers are wrong.
  void expectRefused(const std::string &part) {
    expectCompileError(checkpoint.path(), part);
    expectError(DSV2_IMPORT " " + checkpoint.path(), part);
  }

  CheckpointDirectory checkpoint, directory;
  RawTensors tensors;
  std::string output = directory / "model.dsv2";
};

} // namespace dsv2::test

#endif // DSV2_TEST_TOOLS_COMPILE_COMPILETEST_H
