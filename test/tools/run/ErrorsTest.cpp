//===- ErrorsTest.cpp - dsv2-run and what users get wrong -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/run/RunTest.h"

#include <filesystem>

using namespace dsv2;
using namespace dsv2::test;

using ErrorsTest = RunTest;

TEST_F(ErrorsTest, HelpAndVersion) {
  ToolResult help = run("--help");
  EXPECT_EQ(help.status, 0) << help;
  EXPECT_NE(help.out.find("--repeat-penalty"), std::string::npos) << help;
  EXPECT_EQ(help.err, "");
  ToolResult version = run("--version");
  EXPECT_EQ(version.status, 0) << version;
  EXPECT_EQ(version.out, "dsv2 0.1.0\n");
}

TEST_F(ErrorsTest, Arguments) {
  expectError("", "model is required; run with --help");
  expectError(plain + " --frobnicate", "unknown argument '--frobnicate'; run "
                                       "with --help");
  expectError(plain + " --tokens 1 -n many", "many");
  expectError(plain + " --tokens 1 -t -1", "-1");
  expectError(plain + " --tokens 1 -t 9999", "9999");
  expectError(plain + " --tokens 1 -c -5", "-5");
  expectError(plain + " -p a --tokens 1", "excludes");
  expectError(plain + " --system x --tokens 1", "requires");
  expectError(plain + " --tokens 1,x", "--tokens expects token ids such as "
                                       "1,2,3, found 'x'");
  expectError(plain + " --tokens 1, -n 1", "found ''");
  expectError(plain + " --tokens 99 -n 1 -q", "99");
  expectError(plain + " --tokens 1 -n 1 --instruction-set mmx", "mmx");
  expectError(plain + " --tokens 1 -n 1 --temp nan -q", "temp");
}

TEST_F(ErrorsTest, NoSuchGpu) {
  // No machine has this one; most that run tests have no driver either.
  std::string gpu = directory.path("gpu.dsv2");
  expectWritten(writeToy(gpu, [](schema::ArtifactT &artifact) {
    artifact.libraries.clear();
    artifact.gpu = std::make_unique<schema::GpuTargetT>();
    artifact.gpu->name = "sm_10";
    artifact.gpu->major = 1;
    for (auto &program : artifact.plan->programs)
      program->dispatches.clear();
    for (auto &kernel : artifact.kernels) {
      kernel->gpu = std::make_unique<schema::GpuKernelT>();
      kernel->gpu->ptx = {'p', 't', 'x'};
      kernel->gpu->threads = 32;
    }
  }));
  expectError(gpu + " --tokens 1", "the model is compiled for ");
}

TEST_F(ErrorsTest, Prompts) {
  expectError(plain + " -p abc", "has none; give token ids with --tokens");
  expectError(text + " -f " + directory.path("absent"), "absent");
  expectError(text + " -f " + directory.path(""), "cannot read the prompt");
  expectError(plain + " --tokens 1,2,3,4,5 -c 4 -q",
              "the prompt has 5 tokens, but the context holds 4; shorten it or "
              "raise --ctx");
  expectError(plain + " --tokens 1 -c 65 -q", "compiled for at most 64 tokens");
}

TEST_F(ErrorsTest, EmptyPrompt) {
  expectWritten(writeToy(text, [](schema::ArtifactT &artifact) {
    TokenizerModel model = letterTokenizer();
    model.addBos = false;
    artifact.tokenizer = packTokenizer(model);
  }));
  expectError(text + " -q", "the prompt is empty");
}

TEST_F(ErrorsTest, Artifacts) {
  expectError(directory.path("absent.dsv2") + " --tokens 1", "absent.dsv2");
  std::string contents = readFile(plain), damaged = directory.path("damaged");
  for (size_t size :
       {size_t(0), size_t(40), contents.size() / 2, contents.size() - 1}) {
    writeFile(damaged, contents.substr(0, size));
    expectError(damaged + " --tokens 1", "damaged");
  }
  contents[4100] ^= 1;
  writeFile(damaged, contents);
  expectError(damaged + " --tokens 1", "checksum");
  expectError("/ --tokens 1", "'/'");
}

TEST_F(ErrorsTest, Output) {
  std::string generate = " --tokens 1 -n 3 --temp 0 -t 1 -q ";
  expectError(plain + generate + ">/dev/full", "No space left on device");
  expectError("--help >/dev/full", "No space left on device");
  expectError(plain + generate + "--logits-out " +
                  directory.path("absent/x.npy"),
              "absent/x.npy");
  expectError(plain + generate + "--logits-out /dev/full", "/dev/full");
  expectError(plain + generate + "--logits-out /proc/x.npy", "/proc/x.npy");
  // A limit on the size of files stands in for a full disk. It leaves room for
  // the kernels, which pass through a file in memory.
  std::string path = directory.path("big.npy"), turns;
  for (int turn = 0; turn < 400; ++turn)
    turns += "a\n/reset\n";
  ToolResult result =
      runTool("trap '' XFSZ; ulimit -f 64; " DSV2_RUN " " + text +
                  " --chat -n 1 --temp 0 -t 1 -q --logits-out " + path,
              turns);
  EXPECT_EQ(result.status, 1) << result;
  EXPECT_NE(result.err.find("cannot write"), std::string::npos) << result;
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(std::distance(
                std::filesystem::directory_iterator(directory.path("")), {}),
            2)
      << "no temporary file may stay";
}

TEST_F(ErrorsTest, Permission) {
  std::string locked = directory.path("locked.dsv2");
  std::filesystem::copy_file(plain, locked);
  std::filesystem::permissions(locked, std::filesystem::perms::none);
  if (!readFile(locked).empty())
    GTEST_SKIP() << "this user may read everything";
  expectError(locked + " --tokens 1", "Permission denied");
}
