//===- AttentionLatentCombine.h - Merging splits ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Attention leaves for each row (a head of a token) whose context is divided a
// partial result of every split, and the log2 of its sum. They amount to
//
//   weight[s] = 2^(log[s] - the largest)
//   row       = sum over s of weight[s] * partial[s] / sum over s of weight[s]
//
// added by increasing s. Kernels that merge have the same bits, since this is
// the only code that does.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_ATTENTIONLATENTCOMBINE_H
#define DSV2_LOWERING_NVPTX_ATTENTIONLATENTCOMBINE_H

#include "lowering/NVPTX/AttentionWork.h"
#include "lowering/NVPTX/Kernel.h"

namespace mlir::dsv2::nvptx {

/// Rows of attention whose contexts may be divided.
struct SplitRows {
  int64_t heads, latent;
  int64_t splits; ///< room for partial results of a row
  ContextSplits division;

  /// Bytes of shared memory for the weights of a row.
  int64_t weightBytes() const { return (splits + 31) / 32 * 32 * 4; }
};

/// Bindings from `first` on: partials f32 [T][heads][splits][latent],
/// partialSums f32 [T][heads][splits], positions i32 [T], tokenSequence i32
/// [T], contextLengths i32 [B].
class SplitCombine {
public:
  static constexpr unsigned bindings = 5;

  SplitCombine(KernelBuilder &k, const SplitRows &rows, unsigned first)
      : k(k), rows(rows), first(first) {}

  /// The splits that `token` sees something of; 0 when its context is not
  /// divided, and attention has written its rows.
  Value usedSplits(Value token);
  /// The logs of a row (token * heads + head), for storeWeights(). Those behind
  /// the used ones are anything.
  SmallVector<Value> loadLogs(Value row);
  /// Called by a whole warp: the weights of the row that has these logs, then
  /// zeros, to `weights` in shared memory.
  void storeWeights(ArrayRef<Value> logs, Value used, Value weights);
  /// `columns` (2 or 4) of a row from `column` on, as pairs of bf16. `used` is
  /// not 0. Loads of `atOnce` splits (a multiple of 4, at most 32) are on their
  /// way together.
  SmallVector<Value> merge(Value row, Value used, Value weights, Value column,
                           int64_t columns, int64_t atOnce);

private:
  Value number(unsigned binding, Value index);

  KernelBuilder &k;
  const SplitRows &rows;
  unsigned first;
};

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_ATTENTIONLATENTCOMBINE_H
