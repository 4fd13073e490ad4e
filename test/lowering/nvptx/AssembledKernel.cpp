//===- AssembledKernel.cpp - Checking a GPU kernel without a GPU ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/AssembledKernel.h"

#include "test/lowering/nvptx/SassOpcodes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <gtest/gtest.h>

namespace dsv2::test {

using namespace mlir;

void loadKernelDialects(MLIRContext &context) {
  context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect,
                      LLVM::LLVMDialect, math::MathDialect, NVVM::NVVMDialect,
                      scf::SCFDialect>();
}

AssembledKernel::AssembledKernel(const Emit &emit) {
  loadKernelDialects(context);
  module = ModuleOp::create(UnknownLoc::get(&context));
  kernel = emit(*module);
  auto result = mlir::dsv2::nvptx::compileKernels(*module);
  if (failed(result) || result->size() != 1) {
    ADD_FAILURE() << "expects one kernel that compiles";
    return;
  }
  compiled = std::move(result->front());
}

std::string AssembledKernel::ir() const {
  std::string text;
  llvm::raw_string_ostream(text) << *module;
  return text;
}

std::map<std::string, int> AssembledKernel::opcodes() const {
  if (!compiled.assembly)
    return {};
  return countSassOpcodes(compiled.assembly->cubin);
}

void AssembledKernel::expectPtx(const std::vector<std::string> &texts) const {
  size_t from = 0;
  for (const std::string &text : texts) {
    size_t found = compiled.ptx.find(text, from);
    if (found == std::string::npos) {
      ADD_FAILURE() << "expects '" << text << "' after byte " << from << " of\n"
                    << compiled.ptx;
      return;
    }
    from = found + text.size();
  }
}

void AssembledKernel::expectClean(
    const std::map<std::string, int> &atLeast) const {
  if (!compiled.assembly)
    return;
  const auto &resources = compiled.assembly->resources;
  EXPECT_GT(resources.registers, 0) << compiled.name;
  EXPECT_EQ(resources.spillStores + resources.spillLoads, 0)
      << compiled.name << " uses " << resources.registers << " registers";
  for (const std::string &warning : compiled.assembly->warnings)
    ADD_FAILURE() << compiled.name << ": " << warning;
  std::map<std::string, int> counts = opcodes();
  for (const auto &[name, count] : atLeast)
    EXPECT_GE(counts[name], count) << name << " in " << compiled.name;
}

} // namespace dsv2::test
