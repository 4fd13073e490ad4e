//===- BadOutputsTest.cpp - Places that cannot be written to --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/compile/CompileTest.h"

using namespace dsv2::test;

namespace {

class BadOutputsTest : public CompileTest {
protected:
  /// Limits the size of files, as a full disk does.
  static std::string onFullDisk(const std::string &command, int kilobytes) {
    return "trap '' XFSZ; ulimit -f " + std::to_string(2 * kilobytes) + "; " +
           command;
  }
  std::string contents(const std::string &name) {
    std::ifstream file(directory / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
};

} // namespace

TEST_F(BadOutputsTest, Places) {
  for (const std::string &compile :
       {DSV2_COMPILE " -q " + checkpoint.path() + " -o ",
        DSV2_COMPILE " -q --compile-to=plan " + checkpoint.path() + " -o ",
        DSV2_IMPORT " " + checkpoint.path() + " -o "}) {
    expectError(compile + (directory / "absent/x"), "absent/x");
    expectError(compile + "/proc/x", "/proc/x");
    expectError(compile + (checkpoint / "config.json/x"), "config.json/x");
    expectError(compile + directory.path(), directory.path());
    expectError(compile + "/dev/full", "/dev/full");
  }
  expectError(DSV2_IMPORT " " + checkpoint.path() + " >/dev/full",
              "No space left on device");
  expectError(DSV2_COMPILE " -q --compile-to=model " + checkpoint.path() +
                  " >/dev/full",
              "No space left on device");
  expectCompileError(checkpoint.path() + " --dump-phases-to=/proc/x",
                     "/proc/x");
}

TEST_F(BadOutputsTest, FullDiskKeepsTheOldFile) {
  directory.write("model.dsv2", "precious");
  directory.write("model.mlir", "precious");
  // Large enough for the kernels, which pass through files in memory.
  nlohmann::json config = tinyConfig();
  config["vocab_size"] = 40000;
  save(config);
  expectError(
      onFullDisk(DSV2_COMPILE " -q " + checkpoint.path() + " -o " + output,
                 1024),
      "model.dsv2");
  EXPECT_EQ(contents("model.dsv2"), "precious");
  expectError(onFullDisk(DSV2_IMPORT " " + checkpoint.path() + " -o " +
                             (directory / "model.mlir"),
                         4),
              "model.mlir");
  EXPECT_EQ(contents("model.mlir"), "precious");
}

TEST_F(BadOutputsTest, FailureKeepsTheOldFile) {
  directory.write("model.dsv2", "precious");
  save(tinyConfig(), [](RawTensors &all) {
    uint16_t bits = 0x7fc0; // not a number
    std::memcpy(all["lm_head.weight"].bytes.data(), &bits, sizeof(bits));
  });
  expectCompileError(checkpoint.path(), "lm_head.weight");
  EXPECT_EQ(contents("model.dsv2"), "precious");
}
