//===- CodegenTest.cpp - Compiling modules of GPU kernels -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/AssembledKernel.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

/// out[t] = sum over lanes of x[t * 32 + lane]
KernelInfo emitRowSum(ModuleOp module) {
  Launch launch;
  launch.workgroups = {.count = 1, .tile = 4, .dim = Dim::tokens};
  KernelBuilder b(module, "row_sum", 2, launch);
  Value row = b.add(b.mul(b.workgroup(), 4), b.warp());
  b.ifThen(b.less(row, b.dim(Dim::tokens)), [&] {
    Value x =
        b.load(b.getF32Type(), b.element(b.binding(0), b.getF32Type(),
                                         b.add(b.mul(row, 32), b.lane())));
    Value sum = b.warpSum(x);
    b.ifThen(b.equal(b.lane(), 0), [&] {
      b.store(sum, b.element(b.binding(1), b.getF32Type(), row));
    });
  });
  return b.finish();
}

TEST(NVPTXCodegenTest, GuardsAndWaits) {
  AssembledKernel kernel(emitRowSum);
  kernel.expectPtx({".target sm_90a", ".visible .entry row_sum", ".maxntid 128",
                    "ld.global.b32", "griddepcontrol.wait", "shfl.sync.bfly"});
  kernel.expectClean({{"SHFL", 5}, {"STG", 1}});
}

TEST(NVPTXCodegenTest, DescribesTheLaunch) {
  AssembledKernel kernel(emitRowSum);
  std::optional<KernelInfo> info = launchOf(kernel.info().func);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->launch.threads, 128);
  EXPECT_EQ(info->launch.workgroups.tile, 4);
  EXPECT_EQ(info->launch.workgroups.dim, Dim::tokens);
  EXPECT_EQ(info->sharedBytes, 0);
}

TEST(NVPTXCodegenTest, TensorMapsAndSharedMemory) {
  AssembledKernel kernel([](ModuleOp module) {
    TensorMap map;
    map.sizes = {64, 512};
    map.strides = {128};
    map.box = {64, 64};
    Launch launch;
    launch.workgroups = {.count = 8};
    KernelBuilder b(module, "mapped", 1, launch, map);
    Value first = b.shared(100, 16), second = b.shared(1024, 1024);
    b.store(b.thread(), b.element(first, b.getI32Type(), b.i32(0)));
    b.barrier();
    b.store(b.load(b.getI32Type(), first), second);
    b.ptx("prefetch.tensormap [$0];", "l", {}, b.tensorMap(0));
    return b.finish();
  });
  kernel.expectPtx({".extern .shared .align 1024 .b8 dsv2_shared[]",
                    ".param .align 64 .b8", "prefetch.tensormap"});
  kernel.expectClean();
  std::optional<KernelInfo> info = launchOf(kernel.info().func);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->sharedBytes, 2048);
  ASSERT_EQ(info->tensorMaps.size(), 1u);
  EXPECT_EQ(info->tensorMaps[0].sizes, (SmallVector<int64_t, 5>{64, 512}));
  EXPECT_EQ(info->tensorMaps[0].swizzle, Swizzle::bytes128);
}

TEST(NVPTXCodegenTest, NarrowFormatsAndStreams) {
  AssembledKernel kernel([](ModuleOp module) {
    Launch launch;
    launch.workgroups = {.blocksPerSM = 2};
    KernelBuilder b(module, "formats", 2, launch);
    b.forEachWorkgroup([&](Value group) {
      Value words = b.loadStream(
          b.vectorOf(4, b.getI32Type()),
          b.element(b.binding(0), b.vectorOf(4, b.getI32Type()), group));
      Value low = b.lowBf16(b.extract(words, 0));
      Value high = b.highBf16(b.extract(words, 1));
      auto [first, second] =
          b.unpackE4m3(b.packE4m3(b.silu(low), b.rsqrt(b.fabs(high))));
      Value packed = b.packBf16(b.fma(first, second, low), b.lg2(high));
      b.store(packed, b.element(b.binding(1), b.getI32Type(), group));
    });
    return b.finish();
  });
  kernel.expectPtx({"ld.global.L1::no_allocate.v4.b32", "ex2.approx.ftz",
                    "cvt.rn.satfinite.e4m3x2.f32", "cvt.rn.f16x2.e4m3x2",
                    "cvt.rn.bf16x2.f32"});
  kernel.expectClean();
}

class NVPTXErrorsTest : public testing::Test {
protected:
  std::string errorOf(StringRef body) {
    MLIRContext context;
    loadKernelDialects(context);
    std::string messages;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      messages += diagnostic.str() + "\n";
      return success();
    });
    std::string text = ("llvm.func @f(%x: !llvm.ptr<1>) attributes "
                        "{nvvm.kernel, dsv2.launch = {}} {\n" +
                        body + "\nllvm.return\n}\n")
                           .str();
    auto module = parseSourceString<ModuleOp>(text, &context);
    if (!module)
      return messages;
    EXPECT_TRUE(failed(compileKernels(*module)));
    return messages;
  }
};

TEST_F(NVPTXErrorsTest, OperationOfAnotherArchitecture) {
  std::string error =
      errorOf("%c = arith.constant 1 : i32\n"
              "%a = llvm.addrspacecast %x : !llvm.ptr<1> to !llvm.ptr\n"
              "nvvm.tcgen05.alloc %a, %c : !llvm.ptr, i32");
  EXPECT_NE(error.find("sm_90a"), std::string::npos) << error;
}

TEST_F(NVPTXErrorsTest, IntrinsicThatWouldAbort) {
  std::string error = errorOf("%c = arith.constant 1.0 : f32\n"
                              "%m = arith.constant -1 : i32\n"
                              "%r = nvvm.redux.sync fmax %c, %m : f32 -> f32\n"
                              "llvm.store %r, %x : f32, !llvm.ptr<1>");
  EXPECT_NE(error.find("redux.sync.fmax"), std::string::npos) << error;
}

TEST(PtxasTest, ReadsReports) {
  Assembly assembly;
  parseReport("ptxas info    : 0 bytes gmem\n"
              "ptxas info    : Compiling entry function 'f' for 'sm_90a'\n"
              "ptxas info    : Function properties for f\n"
              "    8 bytes stack frame, 4 bytes spill stores, 16 bytes spill "
              "loads\n"
              "ptxas info    : Used 168 registers, used 2 barriers, 8 bytes "
              "cumulative stack size, 1024 bytes smem\n"
              "ptxas info    : (C7510) Potential Performance Loss: wgmma\n",
              assembly);
  EXPECT_EQ(assembly.resources.registers, 168);
  EXPECT_EQ(assembly.resources.barriers, 2);
  EXPECT_EQ(assembly.resources.sharedBytes, 1024);
  EXPECT_EQ(assembly.resources.stackBytes, 8);
  EXPECT_EQ(assembly.resources.spillStores, 4);
  EXPECT_EQ(assembly.resources.spillLoads, 16);
  ASSERT_EQ(assembly.warnings.size(), 1u);
  EXPECT_EQ(blocksPerSM(assembly.resources, 384, 200 * 1024), 1);
  EXPECT_EQ(blocksPerSM(assembly.resources, 128, 0), 3);
}

TEST(PtxasTest, SaysWhatItRefuses) {
  SKIP_WITHOUT_PTXAS();
  std::string error;
  EXPECT_TRUE(failed(assemble(defaultPtxas(), targetChip, "nonsense", error)));
  EXPECT_NE(error.find("ptxas to assemble the kernel, found:"),
            std::string::npos)
      << error;
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

} // namespace
