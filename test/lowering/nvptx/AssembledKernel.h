//===- AssembledKernel.h - Checking a GPU kernel without a GPU --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_ASSEMBLEDKERNEL_H
#define DSV2_TEST_LOWERING_NVPTX_ASSEMBLEDKERNEL_H

#include "lowering/NVPTX/Codegen.h"
#include "lowering/NVPTX/Kernel.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dsv2::test {

/// Loads the dialects that emitters write.
void loadKernelDialects(mlir::MLIRContext &context);

/// A kernel emitted and compiled to PTX, and assembled when there is a ptxas.
/// A failure to do so fails the test.
class AssembledKernel {
public:
  using Emit =
      std::function<mlir::dsv2::nvptx::KernelInfo(mlir::ModuleOp module)>;
  explicit AssembledKernel(const Emit &emit);

  const mlir::dsv2::nvptx::KernelInfo &info() const { return kernel; }
  /// The kernel in the dialects it was emitted in.
  std::string ir() const;
  const std::string &ptx() const { return compiled.ptx; }
  /// Absent where there is no ptxas.
  const std::optional<mlir::dsv2::nvptx::Assembly> &assembly() const {
    return compiled.assembly;
  }
  /// How many SASS instructions of each name the kernel has ("HGMMA",
  /// "UTMALDG"); those without a name here are hexadecimal. Empty where there
  /// is no ptxas.
  std::map<std::string, int> opcodes() const;

  /// Each text occurs in the PTX after the one before it.
  void expectPtx(const std::vector<std::string> &texts) const;
  /// Assembled, nothing spilled, no note of lost performance, and at least as
  /// many SASS instructions as named. Without ptxas, nothing is checked.
  void expectClean(const std::map<std::string, int> &atLeast = {}) const;

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::dsv2::nvptx::KernelInfo kernel;
  mlir::dsv2::nvptx::CompiledKernel compiled;
};

/// Skips a test that needs ptxas where there is none.
#define SKIP_WITHOUT_PTXAS()                                                   \
  if (mlir::dsv2::nvptx::defaultPtxas().empty())                               \
  GTEST_SKIP() << "no ptxas"

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_NVPTX_ASSEMBLEDKERNEL_H
