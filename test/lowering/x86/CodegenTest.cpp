//===- CodegenTest.cpp - Compiling modules of kernels ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/Codegen.h"
#include "lowering/X86/Linear.h"
#include "test/lowering/x86/RunKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::x86;

namespace {

class CodegenTest : public testing::Test {
protected:
  CodegenTest() {
    context.loadDialect<
        arith::ArithDialect, func::FuncDialect, linalg::LinalgDialect,
        LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect,
        scf::SCFDialect, vector::VectorDialect, x86vector::X86VectorDialect>();
    handler.emplace(&context, [this](Diagnostic &diagnostic) {
      messages += diagnostic.str() + "\n";
      return success();
    });
    set = hostSets().front();
  }

  OwningOpRef<ModuleOp> parse(StringRef text) {
    auto module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << messages;
    return module;
  }

  MLIRContext context;
  std::optional<ScopedDiagnosticHandler> handler;
  std::string messages;
  InstructionSet set;
};

/// Leftovers of a generic lowering: linalg, an allocation, libm functions.
constexpr StringLiteral genericKernel = R"(
  #row = affine_map<(d0) -> (d0)>
  func.func @generic(%x: memref<20xf32>, %y: memref<20xf32>, %T: index,
                     %B: index, %S: index, %R: index, %wg: index)
      attributes {dsv2.kernel} {
    %t = memref.alloc() : memref<20xf32>
    linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]}
        ins(%x : memref<20xf32>) outs(%t : memref<20xf32>) {
    ^bb0(%a: f32, %b: f32):
      %e = math.exp %a : f32
      %l = math.log1p %e : f32
      %s = math.sin %l : f32
      %r = math.rsqrt %e : f32
      %p = arith.addf %s, %r : f32
      linalg.yield %p : f32
    }
    memref.copy %t, %y : memref<20xf32> to memref<20xf32>
    memref.dealloc %t : memref<20xf32>
    return
  })";

TEST_F(CodegenTest, GenericKernel) {
  for (const InstructionSet &each : hostSets()) {
    Kernel kernel(each, [&](ModuleOp module, const InstructionSet &) {
      module.getContext()->loadDialect<linalg::LinalgDialect>();
      auto parsed =
          parseSourceString<ModuleOp>(genericKernel, module.getContext());
      auto func = cast<func::FuncOp>(parsed->lookupSymbol("generic")->clone());
      module.push_back(func);
      return KernelInfo{func, {}};
    });
    std::vector<float> x(20), y(20);
    for (int i = 0; i < 20; ++i)
      x[i] = i * 0.3f - 3.0f;
    kernel({x.data(), y.data()}, {});
    for (int i = 0; i < 20; ++i) {
      double e = std::exp(static_cast<double>(x[i]));
      EXPECT_NEAR(y[i], std::sin(std::log1p(e)) + 1 / std::sqrt(e), 2e-5);
    }
  }
}

TEST_F(CodegenTest, ReportsSizesAndDumps) {
  auto module = parse(genericKernel);
  LinearSpec spec = {
      .rows = 64, .depth = 64, .format = WeightFormat::bf16, .maxTokens = 4};
  emitLinear(*module, "linear", set, spec);
  std::string before;
  llvm::raw_string_ostream(before) << *module;
  auto library = compileKernels(*module, set, {.partitions = 3, .dump = true});
  ASSERT_TRUE(succeeded(library)) << messages;
  std::string after;
  llvm::raw_string_ostream(after) << *module;
  EXPECT_EQ(before, after);
  ASSERT_EQ(library->codeBytes.size(), 2u);
  EXPECT_EQ(library->codeBytes[0].first, "generic");
  EXPECT_EQ(library->codeBytes[1].first, "linear");
  EXPECT_GT(library->codeBytes[0].second, 0u);
  EXPECT_GT(library->codeBytes[1].second, 0u);
  EXPECT_NE(library->llvmIR.find("define void @linear("), std::string::npos);
  EXPECT_NE(library->assembly.find("linear:"), std::string::npos);
}

TEST_F(CodegenTest, SameObjectWhateverTheThreads) {
  auto module = parse(genericKernel);
  auto first = compileKernels(*module, set);
  context.disableMultithreading();
  auto second = compileKernels(*module, set);
  ASSERT_TRUE(succeeded(first) && succeeded(second)) << messages;
  EXPECT_EQ(first->object, second->object);
}

TEST_F(CodegenTest, RefusesIntrinsicsOfAnotherInstructionSet) {
  auto module = parse(R"(
    func.func @wrong(%x: memref<16xi32>, %T: index, %B: index, %S: index,
                     %R: index, %wg: index) attributes {dsv2.kernel} {
      %c0 = arith.constant 0 : index
      %v = vector.load %x[%c0] : memref<16xi32>, vector<16xi32>
      %b = vector.bitcast %v : vector<16xi32> to vector<64xi8>
      %d = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%v, %b, %b)
          : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
      vector.store %d, %x[%c0] : memref<16xi32>, vector<16xi32>
      return
    })");
  const InstructionSet &avx2 = allInstructionSets().back();
  EXPECT_TRUE(failed(compileKernels(*module, avx2)));
  EXPECT_NE(messages.find("llvm.x86.avx512.vpdpbusd.512"), std::string::npos)
      << messages;
}

TEST_F(CodegenTest, RefusesAnotherSignature) {
  auto module = parse(R"(
    func.func @wrong(%x: memref<16xi32>, %T: index) attributes {dsv2.kernel} {
      return
    })");
  EXPECT_TRUE(failed(compileKernels(*module, set)));
  EXPECT_NE(messages.find("five indices"), std::string::npos) << messages;
}

TEST_F(CodegenTest, NamesTheLinkerThatIsMissing) {
  auto module = parse(genericKernel);
  EXPECT_TRUE(
      failed(compileKernels(*module, set, {.linker = "/nowhere/ld.lld"})));
  EXPECT_NE(messages.find("/nowhere/ld.lld"), std::string::npos) << messages;
}

TEST(TargetTest, Parse) {
  std::string error;
  auto names = [&](StringRef target) {
    std::vector<std::string> result;
    auto sets = parseTarget(target, error);
    if (succeeded(sets))
      for (const InstructionSet &one : *sets)
        result.push_back(one.name.str());
    return result;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("x86-64-v3"),
            Names({"amx", "avx512-bf16-vnni", "avx512", "avx2"}));
  EXPECT_EQ(names("x86-64-v4"), Names({"amx", "avx512-bf16-vnni", "avx512"}));
  EXPECT_EQ(names("avx512"), Names({"avx512"}));
  EXPECT_EQ(names("native").size(), 1u);
  EXPECT_EQ(names("sparc"), Names());
  EXPECT_EQ(error, "invalid target 'sparc'; expected native, x86-64-v3, "
                   "x86-64-v4, amx, avx512-bf16-vnni, avx512, avx2, sm_90a or "
                   "reference");
}

} // namespace
