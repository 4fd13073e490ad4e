//===- RowEmitter.h - What row and attention kernels share ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Additions to KernelBuilder for kernels that walk rows whose length is known
// when they are compiled: loops with a tail, partial vectors, packing into the
// activation formats. All buffers are flat memrefs and offsets count elements.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_ROWEMITTER_H
#define DSV2_LOWERING_X86_ROWEMITTER_H

#include "lowering/X86/Formats.h"
#include "lowering/X86/Kernel.h"

#include <algorithm>

namespace mlir::dsv2::x86 {

/// The memref of `rows` activation rows: f32 or bf16 elements, or bytes.
MemRefType rowBufferType(MLIRContext *context, RowFormat format, int64_t rows,
                         int64_t depth);
/// Elements of such a memref from one row to the next.
int64_t rowElements(RowFormat format, int64_t depth);
/// A flat memref.
MemRefType flatType(Type element, int64_t size);

class RowEmitter : public KernelBuilder {
public:
  using KernelBuilder::KernelBuilder;

  /// Of the vectors below, the first `valid` lanes exist: others read as zero
  /// and are not written.
  Value loadLanes(Value memref, Value offset, int64_t count, int64_t valid);
  void storeLanes(Value vector, Value memref, Value offset, int64_t valid);
  /// lanes() floats of a memref of f32 or bf16.
  Value loadRow(Value memref, Value offset, int64_t valid);
  /// The same into a memref of f32 or bf16, rounded once.
  void storeRow(Value vector, Value memref, Value offset, int64_t valid);
  /// An i32 element as an index.
  Value loadIndex(Value memref, Value offset);
  void prefetch(Value memref, Value offset);

  Value at(Value offset, int64_t constant) { return add(offset, constant); }
  Value shuffle(Value a, Value b, ArrayRef<int64_t> lanes);
  /// Signed comparisons of lanes.
  Value laneLess(Value a, Value b);
  Value laneEqual(Value a, Value b);
  /// 0, 1, 2, ... in i32 lanes.
  Value laneIds();
  Value broadcastInt(Value i32);
  Value addLanes(Value a, Value b); ///< of i32
  /// Combines the lanes of each of as many vectors as they have lanes; lane i
  /// of the result is that of vector i.
  Value reduceAcross(SmallVector<Value> vectors,
                     llvm::function_ref<Value(Value, Value)> combine);
  Value sqrt(Value x);
  Value roundEven(Value x);
  /// For softmax: 2^x within 8e-6 for x <= 0; x below -126 counts as -126.
  Value exp2Softmax(Value x);
  Value swiglu(Value gate, Value up); ///< silu(gate) * up
  /// bf16(low) in the low and bf16(high) in the high half of i32 lanes.
  Value pairBf16(Value low, Value high);

  using TailBody = llvm::function_ref<void(Value offset, int64_t valid)>;
  /// body(offset, step) over the whole steps of [0, size), then body(offset,
  /// rest) for what remains.
  void loopTail(int64_t size, int64_t step, TailBody body);
  /// The same within [from, from + width) only; both multiples of `step`.
  void loopSlice(Value from, int64_t width, int64_t size, int64_t step,
                 TailBody body);

  /// The valid lanes of vector `i` of a step of which `valid` elements exist.
  int64_t validLanes(int64_t valid, int64_t i) const {
    return std::clamp<int64_t>(valid - i * lanes(), 0, lanes());
  }

  /// Stores the 32 elements from `offset` of a row that starts at element
  /// `row` of `memref`; `vectors` are zero beyond the depth. f32 rows get the
  /// first `valid` elements, the others the whole group.
  void storeGroup(ArrayRef<Value> vectors, RowFormat format, Value memref,
                  Value row, Value offset, int64_t depth, int64_t valid);

private:
  void storeInt8Group(ArrayRef<Value> vectors, Value memref, Value row,
                      Value offset, int64_t depth);
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_ROWEMITTER_H
