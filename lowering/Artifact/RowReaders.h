//===- RowReaders.h - Readers of rows ---------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// One reader for each operation that the expression of a weight may hold.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_ARTIFACT_ROWREADERS_H
#define DSV2_LOWERING_ARTIFACT_ROWREADERS_H

#include "lowering/Artifact/WeightEvaluator.h"
#include "lowering/X86/PackWeights.h"

namespace mlir::dsv2 {

using RowReaderPtr = std::shared_ptr<const RowReader>;

/// A checkpoint tensor, or a stack of them: `*` in the name is the index of
/// the first dimension.
RowReaderPtr makeSourceReader(ArrayRef<int64_t> shape, StringRef name,
                              const ::dsv2::TensorSource &source);

/// The same rows under another shape with the same last dimension.
RowReaderPtr makeReshapeReader(ArrayRef<int64_t> shape, RowReaderPtr input);

/// A box of the input.
RowReaderPtr makeSliceReader(ArrayRef<int64_t> shape, ArrayRef<int64_t> offsets,
                             RowReaderPtr input);

/// Concatenation along a dimension of rows.
RowReaderPtr makeConcatReader(ArrayRef<int64_t> shape, unsigned dim,
                              SmallVector<RowReaderPtr> inputs);

/// The last two dimensions exchanged.
RowReaderPtr makeTransposeReader(ArrayRef<int64_t> shape, RowReaderPtr input);

/// `run` rows of the first half of each matrix and as many of its second half,
/// in turn.
RowReaderPtr makeInterleavedReader(RowReaderPtr input, int64_t run);

/// Values rounded to a narrower floating-point type.
RowReaderPtr makeRoundReader(RowReaderPtr input, Type element);

/// Values rounded to int8 or int4 in groups.
RowReaderPtr makeQuantizedReader(RowReaderPtr input, x86::WeightFormat format);

/// Blocks of a row of `depth` elements of e4m3.
inline int64_t fp8Blocks(int64_t depth) {
  return (depth + ::dsv2::fp8BlockSize - 1) / ::dsv2::fp8BlockSize;
}

/// Values rounded to e4m3 in blocks of 128 x 128.
RowReaderPtr makeFp8Reader(RowReaderPtr input);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_ARTIFACT_ROWREADERS_H
