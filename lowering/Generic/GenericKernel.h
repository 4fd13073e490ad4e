//===- GenericKernel.h - A kernel for any operation -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Makes a kernel (lowering/X86/Kernel.h) of one operation on tensors from its
// decomposition (lowering/DSV2ToLinalg): slow, right, and for every operation.
// It is what --target=reference runs and what an operation falls back to that
// has no kernel of its own.
//
// A workgroup computes one row of the results where rows are independent, so
// that a row has the same bits whatever the other rows are; other operations
// are one workgroup. Sums over dimensions of known size may be reassociated
// (always in the same way); sums over the context are taken in its order.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_GENERIC_GENERICKERNEL_H
#define DSV2_LOWERING_GENERIC_GENERICKERNEL_H

#include "dialect/DSV2Dialect.h"
#include "lowering/X86/Kernel.h"

#include <optional>

namespace mlir::dsv2 {

/// A number of rows that may vary from step to step: factor * dim + offset.
/// For Dim::one it is a constant.
struct RowCount {
  x86::Dim dim = x86::Dim::one;
  int64_t factor = 1;
  int64_t offset = 0;

  bool operator==(const RowCount &) const = default;
};

/// Where a tensor operand or result lies.
struct TensorBuffer {
  /// Of the tensor's rank and element type, with static shape and strides and
  /// offset 0. It may have more rows (the maximum) and longer rows than the
  /// tensor; the rest of a result's rows becomes zero.
  MemRefType type;
  /// The value of the tensor's first dimension, where that is dynamic.
  RowCount rows;
};

/// The largest sizes of a step, which batch fields and cache planes have.
struct KernelLimits {
  int64_t tokens;    ///< T
  int64_t sequences; ///< B
  int64_t context;   ///< S
  int64_t logitRows; ///< R
  int64_t cacheRows; ///< rows of a layer's plane
  int64_t pages;     ///< pages of one sequence
};

/// What a binding of a kernel is.
struct KernelArgument {
  enum class Kind { operand, result, batchField, cachePlane };
  Kind kind;
  /// The number of the operand or result. A plane is that of the operation's
  /// layer, in the cache that the operand is.
  unsigned index = 0;
  BatchField field = BatchField::Tokens; ///< of a batchField
  /// A plane that is written is also read: most of it is kept.
  bool reads = true;
  bool writes = false;
};

struct GenericKernel {
  func::FuncOp func;
  /// In the order of the bindings. An operand that the result does not depend
  /// on, such as the shape of another, has no binding.
  SmallVector<KernelArgument> arguments;
  x86::Workgroups workgroups;
};

/// Emits the kernel `name` of `op`. `operands` and `results` have an entry for
/// each operand and result; those of batches, caches, sizes, constants and
/// tensor.empty are ignored. Constants become part of the kernel. Emits a
/// diagnostic at `op` on failure.
FailureOr<GenericKernel> emitGenericKernel(Operation *op,
                                           ArrayRef<TensorBuffer> operands,
                                           ArrayRef<TensorBuffer> results,
                                           const KernelLimits &limits,
                                           ModuleOp kernels, StringRef name);

/// How many rows a batch field has, and what its buffer is.
RowCount batchFieldRows(BatchField field);
MemRefType batchFieldType(BatchField field, const KernelLimits &limits,
                          MLIRContext *context);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_GENERIC_GENERICKERNEL_H
