//===- CaseWriter.h - Compiles kernels to measure on a GPU ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_INTEGRATION_GPU_CASEWRITER_H
#define DSV2_TEST_INTEGRATION_GPU_CASEWRITER_H

#include "lowering/NVPTX/AttentionLatent.h"
#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTX/Gemm.h"
#include "test/integration/gpu/SpeedCase.h"
#include "test/lowering/nvptx/AssembledKernel.h"

#include <map>

namespace dsv2::test {

/// A share of a reference that is asked for.
struct Goal {
  SpeedCase::Against against;
  double share;
};

/// Writes cases with their kernels to a folder. Sizes are those of SpeedCase.
class CaseWriter {
public:
  /// The folder must exist.
  explicit CaseWriter(std::string folder);

  void latentAttention(int64_t heads, int64_t batch, int64_t length,
                       int64_t split, mlir::dsv2::nvptx::CacheFormat format,
                       Goal goal);
  void expandedAttention(int64_t heads, int64_t tokens);
  void gemm(int64_t m, int64_t n, int64_t k,
            mlir::dsv2::nvptx::GemmFormat format, bool pairs);
  void groupedGemm(int64_t experts, int64_t rows, int64_t n, int64_t k,
                   mlir::dsv2::nvptx::GemmFormat format);
  void gemv(const char *what, int64_t n, int64_t k,
            ::dsv2::nvptx::WeightFormat format, int64_t tokens,
            int64_t experts = 0);
  /// Whether everything was compiled and written.
  bool finish();

private:
  /// Compiles a kernel, once for each name, and launches it in `speed` on
  /// `bindings`.
  void launch(SpeedCase &speed, const std::string &name,
              std::vector<uint32_t> bindings,
              llvm::function_ref<mlir::dsv2::nvptx::KernelInfo(mlir::ModuleOp,
                                                               llvm::StringRef)>
                  emit);
  void write(const mlir::dsv2::nvptx::CompiledKernel &kernel);

  mlir::MLIRContext context;
  const std::string folder;
  std::vector<SpeedCase> cases;
  std::map<std::string, SpeedLaunch> known;
  bool failed = false;
};

} // namespace dsv2::test

#endif // DSV2_TEST_INTEGRATION_GPU_CASEWRITER_H
