//===- AttentionTile.h - Expanding one tile of the context ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Turns the cached rows of one page-aligned block of tokens into the keys and
// values of one head, in the layouts that the dot products of attention want:
//
//   keys    [nope / 2][token] pairs of consecutive columns; or, with an int8
//           cache, [nope / 4][token] quads of u8 around 128, and their scales
//   rotated [rope / 2][token] the same, of the cached rotated keys
//   values  [token / 2][value] pairs of consecutive tokens
//
// A pair is two bf16 in an i32. Tokens that do not exist count as zero.
//
// The expansion multiplies bf16 latents with bf16 weights, or int8 latents
// (CachePlane.h) with weights that it rounds to int8, a scale for each row of a
// head: half the time, with errors like those of int8 weights.
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

/// The same of int8: sums over quads from <= q < to of a(q, i) * b(q, j), of
/// which one is unsigned and the other signed.
struct QuadTile {
  int64_t rows, vectors;
  bool isScalarSigned;
  std::function<Value(Value quad, int64_t row)> a;
  std::function<Value(Value quad, int64_t vector)> b;

  SmallVector<Value> emit(RowEmitter &k, Value from, Value to,
                          SmallVector<Value> accumulators) const;
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
  Value scales; ///< [token]: of keys, when int8
  /// Where the rotated keys of the tile lie.
  Value rotated, rotatedStart;

  static constexpr int64_t zeroPoint = 128;
  bool isInt8() const { return plane.format == CacheFormat::int8; }

private:
  void transpose(Value base, Value valid);
  void expandKeys();
  void expandValues();
  // AttentionTileInt8.cpp
  void allocateInt8();
  void quantizeKeyWeights(Value start);
  void quantizeValueWeights(Value start);
  void loadScales(Value valid);
  void expandKeysInt8();
  void quantizeKeys();
  void expandValuesInt8();
  /// Sums over a group of quads that `init` starts at, scaled by `scale` and
  /// added up over groups.
  SmallVector<Value> sumGroups(
      int64_t sums, llvm::function_ref<Value(Value group, int64_t i)> init,
      llvm::function_ref<SmallVector<Value>(Value from, Value to,
                                            SmallVector<Value> accumulators)>
          product,
      llvm::function_ref<Value(Value group, int64_t i)> scale);

  RowEmitter &k;
  const ExpandedAttentionSpec &spec;
  const CachePlane &plane;
  int64_t latentPadded;
  Value cache, keyWeights, valueWeights, pageTable;
  Value columns; ///< [(latent + rope) / 2][tokens] pairs
  Value keyRows; ///< [nope][latentPadded / 2] pairs: W_UK, not transposed
  Value valueStart;

  // Of int8. Offsets undo the zero point of the latents.
  Value tile;         ///< first element of the tile in `cache`
  Value keyQuants;    ///< i8 [nope][latentPadded]
  Value keyScales;    ///< [nope]
  Value keyOffsets;   ///< i32 [nope][groups]
  Value valueQuants;  ///< i32 quads [valuePadded / 32][latentPadded / 4][32]
  Value valueScales;  ///< [valuePadded]
  Value valueOffsets; ///< i32 [groups][valuePadded]
  Value tokenScales;  ///< [groups][tokens]
  Value keyPairs;     ///< [nope / 2][tokens]: keys before they are rounded
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ATTENTIONTILE_H
