//===- OpKernel.h - Running the generic kernel of one operation -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_GENERIC_OPKERNEL_H
#define DSV2_TEST_LOWERING_GENERIC_OPKERNEL_H

#include "lowering/Generic/GenericKernel.h"
#include "test/lowering/x86/RaggedBatch.h"

#include <map>
#include <memory>

namespace dsv2::test {

using mlir::dsv2::BatchField;
using mlir::dsv2::KernelArgument;
using mlir::dsv2::KernelLimits;
using mlir::dsv2::RowCount;
using mlir::dsv2::x86::Dim;

inline constexpr KernelLimits testLimits = {.tokens = 40,
                                            .sequences = 5,
                                            .context = 130,
                                            .logitRows = 6,
                                            .cacheRows = 512,
                                            .pages = 16};

/// The arrays of a batch that a kernel may ask for.
using BatchArrays = std::map<BatchField, std::vector<int32_t>>;
BatchArrays arraysOf(const RaggedBatch &batch);

/// What the dynamic leading dimension of an operand or result counts, where it
/// is not tokens.
struct RowCounts {
  std::map<unsigned, RowCount> operands, results;
};

/// The operation in the body of a function, which is given as text, compiled.
class OpKernel {
public:
  explicit OpKernel(const std::string &function, RowCounts rows = {},
                    int64_t rowPadding = 0);

  /// Runs a step; `operands` and `results` are indexed as those of the
  /// operation, and those without memory are null.
  void operator()(std::vector<const void *> operands,
                  std::vector<void *> results, Dims dims,
                  BatchArrays batch = {}, void *plane = nullptr) const;
  int64_t workgroups(Dims dims) const { return kernel->workgroupCount(dims); }

private:
  std::vector<KernelArgument> arguments;
  std::unique_ptr<Kernel> kernel;
};

/// The diagnostic that says why the operation has no kernel.
std::string whyNoKernel(const std::string &function);

/// Expects |found - expected| <= tolerance * max(1, |expected|) for all.
void expectNear(const std::vector<float> &found,
                const std::vector<double> &expected, double tolerance);

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_GENERIC_OPKERNEL_H
