//===- Kernel.h - The form of an x86-64 kernel ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every kernel is a function
//
//   func.func @name(%b0: memref<..>, %b1: memref<..>, ...,
//                   %T: index, %B: index, %S: index, %R: index, %wg: index)
//     attributes {dsv2.kernel}
//
// in scf, arith, memref, vector and math. Bindings have static shapes (the
// largest the plan allows) and offset 0. T is the number of tokens of the step,
// B its sequences, S its context tokens and R its logit rows; %wg is the
// workgroup. Codegen.h exports it as the C symbol
//
//   void name(void *const *bindings, const int64_t *dims, int64_t workgroup)
//
// with dims = {T, B, S, R}. Workgroups of one dispatch run in any order and at
// the same time, so they write disjoint places.
//
// The order in which an output element is accumulated depends on the shapes
// the kernel was compiled for and on nothing else: not on T, the other
// sequences, the division into workgroups or the threads. A sequence therefore
// gets the same bits alone and in a batch.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_X86_KERNEL_H
#define DSV2_LOWERING_X86_KERNEL_H

#include "lowering/X86/VectorEmitter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::dsv2::x86 {

/// The attribute that marks a kernel.
inline constexpr llvm::StringLiteral kernelAttrName = "dsv2.kernel";

/// The sizes that vary from step to step, valued as dsv2.schema.Dim.
enum class Dim : uint8_t { one, tokens, sequences, context, logitRows };

/// How many workgroups a dispatch has:
///   count * ceil(dim / tile) [* the first int32 of a binding]
struct Workgroups {
  int64_t count = 1;
  int64_t tile = 1;
  Dim dim = Dim::one;
  int indirectBinding = -1;
};

/// A kernel and what the plan needs to dispatch it.
struct KernelInfo {
  func::FuncOp func;
  Workgroups workgroups;
};

/// Builds one kernel: creates the function at the end of `module`, leaves the
/// insertion point in its body and names its arguments.
class KernelBuilder : public VectorEmitter {
public:
  KernelBuilder(ModuleOp module, StringRef name, ArrayRef<MemRefType> bindings,
                const InstructionSet &set);

  Value binding(unsigned index) { return func.getArgument(index); }
  /// The runtime size of `dim`; 1 for Dim::one.
  Value dim(Dim dim);
  Value workgroup();

  /// Memory private to the workgroup, aligned to 64 bytes. Kernels keep within
  /// 640 KiB in all, which the threads' stacks allow for.
  Value scratch(ArrayRef<int64_t> shape, Type element);

  /// Ends the body.
  KernelInfo finish(Workgroups workgroups);

private:
  func::FuncOp func;
  unsigned bindingCount;
};

} // namespace mlir::dsv2::x86

#endif // DSV2_LOWERING_X86_KERNEL_H
