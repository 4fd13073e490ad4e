//===- BestLogits.h - The best logits of each row ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Sampling needs few of the logits. Two kernels find them in one reading: the
// first takes the largest of each group of consecutive columns, the second the
// groups whose largest are the best, and sorts what lies in those. Whatever is
// among the best `most` is in one of the best `most` groups.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_BESTLOGITS_H
#define DSV2_LOWERING_NVPTX_BESTLOGITS_H

#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

struct BestLogitsSpec {
  int64_t depth = 0; ///< columns: of the vocabulary
  int64_t most = 64; ///< how many to list; a power of two

  int64_t groupColumns() const;
  int64_t groups() const;
  /// Of the list of a row (runtime/base/LogitCandidate.h).
  int64_t rowBytes() const;
};

/// Bindings: logits f32 [R][depth], maxima i32 [R][groups] as orderedKey(), with
/// zeros of both signs as one.
KernelInfo emitGroupMaxima(ModuleOp module, StringRef name,
                           const BestLogitsSpec &spec);

inline constexpr llvm::StringLiteral bestLogitsKernelName = "best_logits";

/// Bindings: logits, maxima, lists [R]. A block takes a row. A list is empty
/// where more than 2048 logits of the best groups are as good as the worst of
/// them, as where all are equal.
KernelInfo emitBestLogits(ModuleOp module, StringRef name,
                          const BestLogitsSpec &spec);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_BESTLOGITS_H
