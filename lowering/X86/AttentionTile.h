//===- AttentionTile.h - Expanding one tile of the context ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Turns the cached rows of one page-aligned block of tokens into the keys and
// values of one head, in the layouts that the dot products of attention want:
//
//   keys    [nope / 2][token] pairs of consecutive columns
//   rotated [rope / 2][token] the same, of the cached rotated keys
//   values  [token / 2][value] pairs of consecutive tokens
//
// A pair is two bf16 in an i32. Tokens that do not exist count as zero.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ATTENTIONTILE_H
#define DSV2_LOWERING_X86_ATTENTIONTILE_H

#include "lowering/X86/AttentionExpanded.h"

#include <functional>

namespace mlir::dsv2::x86 {

/// Emits acc[i][j] += sum over pairs p < depth of a(p, i) * b(p, j), where a
/// gives an i32 scalar (a pair of bf16) and b a vector of pairs.
struct DotTile {
  int64_t rows, vectors;
  std::function<Value(Value pair, int64_t row)> a;
  std::function<Value(Value pair, int64_t vector)> b;

  SmallVector<Value> emit(RowEmitter &k, int64_t depth,
                          SmallVector<Value> accumulators) const;
  SmallVector<Value> zeros(RowEmitter &k) const {
    return SmallVector<Value>(rows * vectors, k.splat(0.0f));
  }
};

class ExpandedTile {
public:
  ExpandedTile(RowEmitter &k, const ExpandedAttentionSpec &spec, Value cache,
               Value keyWeights, Value valueWeights, Value pageTable);

  /// Prepares the weights of a head.
  void loadHead(Value head);
  /// Expands positions [position, position + valid) of `sequence`.
  void expand(Value sequence, Value position, Value valid);

  const int64_t tokens;      ///< of a tile
  const int64_t valuePadded; ///< columns of `values`
  Value keys, values;
  Value columns; ///< [(latent + rope) / 2][tokens] pairs
  int64_t rotatedRow() const { return plane.latent / 2; }

private:
  void transpose(Value base, Value valid);
  void expandKeys();
  void expandValues();

  RowEmitter &k;
  const ExpandedAttentionSpec &spec;
  const CachePlane &plane;
  int64_t latentPadded;
  Value cache, keyWeights, valueWeights, pageTable;
  Value keyRows; ///< [nope][latentPadded / 2] pairs: W_UK, not transposed
  Value valueStart;
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ATTENTIONTILE_H
