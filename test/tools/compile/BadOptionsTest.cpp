//===- BadOptionsTest.cpp - Command lines that cannot be ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/compile/CompileTest.h"

using namespace dsv2::test;

namespace {

class BadOptionsTest : public CompileTest {
protected:
  void refuse(const std::string &flags, const std::string &part) {
    expectCompileError(checkpoint.path() + " " + flags, part);
  }
};

} // namespace

TEST_F(BadOptionsTest, Arguments) {
  for (const char *tool : {DSV2_COMPILE, DSV2_IMPORT}) {
    expectError(tool, "expects one argument, SOURCE");
    expectError(std::string(tool) + " a b", "expects one argument, SOURCE");
    expectError(std::string(tool) + " a --frobnicate",
                "unknown argument '--frobnicate'");
    expectError(std::string(tool) + " no-such-model",
                tool == std::string(DSV2_IMPORT) ? "'no-such-model' is neither"
                                                 : "add -o model.dsv2");
  }
  refuse("--taget=native", "did you mean '--target=native'?");
  expectCompileError("no-such-model", "deepseek-v2-lite");
  expectCompileError("/absent/directory", "'/absent/directory' is neither");
  expectCompileError("''", "'' is neither");
  expectError(DSV2_COMPILE " " + checkpoint.path(), "add -o model.dsv2");
}

TEST_F(BadOptionsTest, Values) {
  refuse("--target=z80", "invalid target 'z80'; expected native");
  refuse("--weights=best", "invalid --weights 'best'");
  refuse("--weights=random:x", "invalid --weights 'random:x'");
  refuse("--weights=random:-1", "invalid --weights 'random:-1'");
  refuse("--quantize=int3", "invalid --quantize 'int3'");
  refuse("--quantize=", "invalid --quantize ''");
  refuse("--quantize=format=int3", "'int3'");
  refuse("--quantize='format=int4 tail=int8'", "tail");
  refuse("--cache=int4",
         "invalid --cache 'int4'; expected bf16, int8, fp8 or f32");
  refuse("--cache=fp8", "expected bf16 or int8 there, fp8 is for sm_90a");
  refuse("--cache=f32", "--cache=f32 is for --target=reference");
  refuse("--quantize=fp8:experts", "has no kernels for 'native'");
  refuse("--quantize=int3:experts", "there is no format 'int3'");
  refuse("--quantize=int4:expert", "there is no class 'expert'");
  refuse("--quantize=int4:router", "the classes experts, shared, dense");
  refuse("--quantize=int4,int8", "two formats for the rest");
  refuse("--quantize=int4:head,int8:head", "the class 'head' twice");
  refuse("--target=sm_90a --cache=int8", "for sm_90a; expected bf16");
  refuse("--target=sm_90a --attention=expanded", "no kernel for sm_90a");
  refuse("--target=sm_90a --ptxas=/absent", "/absent");
  refuse("--context-chunk=0", "expected 1 to 1048576");
  refuse("--compile-to=moon", "moon");
  refuse("--compile-threads=x", "'x'");
  expectCompileError("deepseek-v2-lite", "add --weights=random:SEED");
  expectCompileError("deepseek-v2-lite --weights=checkpoint",
                     "is no checkpoint");
}

TEST_F(BadOptionsTest, Limits) {
  for (const char *flag :
       {"--max-context=", "--max-batch-tokens=", "--max-sequences="}) {
    refuse(std::string(flag) + "0", "expected 1 to");
    refuse(std::string(flag) + "-3", "expected 1 to");
    refuse(std::string(flag) + "1000000000", "expected 1 to");
    refuse(std::string(flag) + "x", "'x'");
    refuse(std::string(flag) + "99999999999999999999", "99999999999999999999");
  }
}

TEST_F(BadOptionsTest, Passes) {
  refuse("--load-pass-plugin=/absent.so", "'/absent.so'");
  refuse("--load-pass-plugin=" + checkpoint / "config.json", "config.json");
  refuse("--extra-passes=no-such-pass", "'no-such-pass'");
  refuse("--extra-passes='canonicalize{'", "missing closing");
  refuse("--extra-passes='canonicalize{x=1}'", "x");
}
