//===- BadIRTest.cpp - Files of IR that cannot be compiled ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/compile/CompileTest.h"

using namespace dsv2::test;

namespace {

class BadIRTest : public CompileTest {
protected:
  void refuse(const std::string &text, const std::string &part) {
    checkpoint.write("model.mlir", text);
    expectCompileError(checkpoint / "model.mlir", part);
  }
  std::string imported() {
    ToolResult result = runTool(DSV2_IMPORT " " + checkpoint.path());
    EXPECT_EQ(result.status, 0) << result;
    return result.out;
  }
  std::string withSource(const std::string &body) {
    return "module attributes {dsv2.source = \"" + checkpoint.path() + "\"} {" +
           body + "}";
  }
  static std::string replaced(std::string text, const std::string &from,
                              const std::string &to) {
    size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at == std::string::npos)
      return text;
    return text.replace(at, from.size(), to);
  }
};

} // namespace

TEST_F(BadIRTest, Malformed) {
  refuse("module { foo", "model.mlir:1:10: ");
  refuse(std::string("\0\1\2", 3), "model.mlir:1:");
  std::string text = imported();
  refuse(text.substr(0, text.size() / 2), "model.mlir:");
  expectCompileError(directory / "absent.mlir", "absent.mlir");
}

TEST_F(BadIRTest, WithoutAModel) {
  refuse("", "dsv2.source");
  refuse("module {}", "dsv2.source");
  refuse("module attributes {dsv2.source = \"absent\"} {}", "'absent'");
  refuse(withSource(""), "appends to no cache");
  refuse(withSource("func.func @forward() { return }"), "appends to no cache");
}

TEST_F(BadIRTest, OtherThanItsCheckpoint) {
  std::string text = imported();
  refuse(replaced(text, "\"model.norm.weight\"", "\"model.no.weight\""),
         "'model.no.weight'");
  // A tensor of the wrong shape: the weight it is read as says more rows.
  refuse(
      replaced(text, "\"model.embed_tokens.weight\"", "\"model.norm.weight\""),
      "model.norm.weight");
}

TEST_F(BadIRTest, Optimizer) {
  auto fails = [](const std::string &arguments, const std::string &part) {
    ToolResult result = runTool(DSV2_OPT " " + arguments);
    EXPECT_EQ(result.status, 1) << result;
    EXPECT_NE(result.err.find(part), std::string::npos) << result;
    EXPECT_EQ(result.err.find("Stack dump"), std::string::npos) << result;
  };
  checkpoint.write("model.mlir", "module { foo");
  std::string model = checkpoint / "model.mlir";
  fails(model, "model.mlir:1:10: error");
  fails(directory / "absent.mlir", "absent.mlir");
  checkpoint.write("model.mlir", "module {}");
  fails(model + " --no-such-pass", "--no-such-pass");
  fails(model + " --dsv2-quantize-weights=format=int3", "int3");
  fails(model + " -o /proc/absent", "/proc/absent");
}
