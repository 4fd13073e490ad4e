//===- CachePlane.h - One layer of the latent cache -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// How the rows of the paged cache lie in memory. f32 and bf16 rows follow each
// other: the latent, then the rotated key. int8 rows are interleaved in blocks
// of 64 tokens (all tokens of a smaller page), as i32 [row][token]:
//
//   quads   [latent / 4]   4 consecutive quants of the latent, plus 128, as u8
//   pairs   [rope / 2]     2 consecutive bf16 of the rotated key
//   scales  [latent / 128] f32, one for each group of 128 quants
//
// so that a vector holds the same columns of as many tokens as it has lanes,
// which is what dot products of bytes want, and a block is one stream.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_CACHEPLANE_H
#define DSV2_LOWERING_X86_CACHEPLANE_H

#include "lowering/X86/RowEmitter.h"

namespace mlir::dsv2::x86 {

enum class CacheFormat : uint8_t { f32, bf16, int8 };

/// Consecutive quants of a latent that share a scale.
inline constexpr int64_t latentGroup = 128;

struct CachePlane {
  int64_t latent; ///< even
  int64_t rope;   ///< even
  int64_t rows;
  int64_t stride = 0;       ///< elements; 0 means latent + rope; not of int8
  int64_t pageSize = 64;    ///< a power of two, at least 16
  int64_t pagesPerSequence; ///< columns of the page table
  CacheFormat format = CacheFormat::bf16;

  int64_t quads() const { return (latent + 3) / 4; }
  int64_t pairs() const { return rope / 2; }
  int64_t groups() const { return (latent + latentGroup - 1) / latentGroup; }
  /// Of a block of int8 rows: where the kinds of rows start.
  int64_t pairRow() const { return quads(); }
  int64_t scaleRow() const { return quads() + pairs(); }

  /// Elements of a row; i32 when int8.
  int64_t rowStride() const {
    if (format == CacheFormat::int8)
      return scaleRow() + groups();
    return stride ? stride : latent + rope;
  }
  int64_t blockTokens() const { return pageSize < 64 ? pageSize : 64; }
  int64_t blocksPerSequence() const {
    return pagesPerSequence * (pageSize / blockTokens());
  }

  MemRefType type(MLIRContext *context) const {
    Builder b(context);
    Type element = format == CacheFormat::f32    ? Type(b.getF32Type())
                   : format == CacheFormat::bf16 ? Type(b.getBF16Type())
                                                 : Type(b.getI32Type());
    return flatType(element, rows * rowStride());
  }

  /// The first element of the block that starts at `position`.
  Value blockBase(RowEmitter &k, Value pageTable, Value sequence,
                  Value position) const;
};

/// Transposes a square of vectors, of which `width` lanes at a time move
/// together: as many vectors as they have such units.
void transposeLanes(RowEmitter &k, MutableArrayRef<Value> rows,
                    int64_t width = 1);

/// Rounds a latent to int8. `load` gives vectors of f32, zero beyond the
/// latent; the quants plus 128 go to `bytes` (u8, padded to whole quads of a
/// group) and the scale of group g to storeScale(g, scale).
void quantizeLatent(
    RowEmitter &k, const CachePlane &plane,
    llvm::function_ref<Value(int64_t offset, int64_t valid)> load, Value bytes,
    Value start,
    llvm::function_ref<void(int64_t group, Value scale)> storeScale);

/// The int8 form of a bf16 plane: every block that the context of a sequence
/// reaches, at the place it has in a plane of that format. Bindings: cache,
/// contextLengths i32 [B], pageTable i32 [B][pagesPerSequence], tiles. A
/// workgroup converts one block.
struct CacheTilesSpec {
  int64_t sequences;
  CachePlane cache; ///< bf16

  CachePlane tiles() const {
    CachePlane plane = cache;
    plane.format = CacheFormat::int8;
    plane.stride = 0;
    return plane;
  }
};
KernelInfo emitCacheTiles(ModuleOp module, StringRef name,
                          const InstructionSet &set,
                          const CacheTilesSpec &spec);

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_CACHEPLANE_H
