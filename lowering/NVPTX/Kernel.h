//===- Kernel.h - The form of a GPU kernel ----------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every kernel is a function
//
//   llvm.func @name(%b0: !llvm.ptr<1>, %b1: !llvm.ptr<1>, ...,
//                   %dims: !llvm.ptr<1>,
//                   %m0: !llvm.ptr {llvm.byval, nvvm.grid_constant}, ...)
//     attributes {nvvm.kernel, nvvm.maxntid = [threads], dsv2.launch = {..}}
//
// in scf, arith, llvm and nvvm. Bindings are addresses; %dims points to the
// int32 sizes {T, B, S, R, F} of the step: T tokens, B sequences, S context
// tokens and R logit rows. A launch for a chunk of the context has the S rows
// of the chunk, from row F on; F is 0 otherwise. They lie in memory, and not in
// the parameters, so that a recorded graph of launches serves every step of its
// size class. %m0 and so on are tensor maps for TMA, which the runtime encodes
// when it loads the kernel.
//
// A block is a workgroup. A launch may have more blocks than `Workgroups` says,
// since the grid is that of the largest step of a class: KernelBuilder lets the
// others end, except in clusters, whose kernels must do so themselves.
//
// A launch may begin before the previous one has ended (programmatic dependent
// launch). Every block waits for the previous launch before it reads or writes
// anything that changes during a step; weights and %dims do not. KernelBuilder
// waits first thing, unless Launch::waitsItself.
//
// The order in which an output element is accumulated depends on the shapes
// the kernel was compiled for and on nothing else: not on T, the other
// sequences, the division into blocks or the device. A sequence therefore gets
// the same bits alone and in a batch. Rows of a buffer past the step's size
// hold anything, NaN included, and must not reach rows within it.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_KERNEL_H
#define DSV2_LOWERING_NVPTX_KERNEL_H

#include "lowering/NVPTX/PtxBuilder.h"

#include "mlir/IR/BuiltinOps.h"

namespace mlir::dsv2::nvptx {

/// The attribute that marks a kernel and says how to launch it.
inline constexpr llvm::StringLiteral launchAttrName = "dsv2.launch";

/// The external symbol that dynamic shared memory begins at.
inline constexpr llvm::StringLiteral sharedMemoryName = "dsv2_shared";

/// Dynamic shared memory a block of sm_90 may have.
inline constexpr int64_t maxSharedBytes = 227 * 1024;

/// The sizes that vary from step to step, valued as dsv2.schema.Dim.
enum class Dim : uint8_t { one, tokens, sequences, context, logitRows };

/// How many workgroups a dispatch has: count * ceil(dim / tile).
struct Workgroups {
  int64_t count = 1;
  int64_t tile = 1;
  Dim dim = Dim::one;
  /// When not 0, a launch has at most this many blocks for each SM of the
  /// device, and each block loops over workgroups.
  int64_t blocksPerSM = 0;
};

/// The element type of a tensor map, valued as dsv2.schema.ElementType.
enum class MapElement : uint8_t { f32, f16, bf16, i32, i8, u8 };

/// How TMA permutes the 16-byte pieces of a box's rows in shared memory.
enum class Swizzle : uint8_t { none, bytes32, bytes64, bytes128 };

/// What the runtime gives to cuTensorMapEncodeTiled. Dimensions are listed
/// innermost first.
struct TensorMap {
  unsigned binding = 0; ///< whose address it begins at
  MapElement element = MapElement::bf16;
  SmallVector<int64_t, 5> sizes;   ///< in elements
  SmallVector<int64_t, 4> strides; ///< in bytes, of dimensions 1 and up
  SmallVector<int64_t, 5> box;     ///< in elements
  Swizzle swizzle = Swizzle::bytes128;
};

/// How a kernel is launched.
struct Launch {
  Workgroups workgroups;
  int64_t threads = 128; ///< of a block
  int64_t cluster = 1;   ///< blocks of a cluster; grids are multiples of it
  /// Blocks that shall fit on an SM at once: bounds the registers. 0: no bound.
  int64_t minBlocksPerSM = 0;
  /// The kernel calls waitForPrevious() itself, in every block.
  bool waitsItself = false;
};

/// A kernel and what the plan needs to dispatch it.
struct KernelInfo {
  LLVM::LLVMFuncOp func;
  Launch launch;
  int64_t sharedBytes = 0; ///< dynamic
  SmallVector<TensorMap> tensorMaps;
};

/// Builds one kernel: creates the function at the end of `module`, leaves the
/// insertion point in its body and names its arguments.
class KernelBuilder : public PtxBuilder {
public:
  KernelBuilder(ModuleOp module, StringRef name, unsigned bindings,
                const Launch &launch, ArrayRef<TensorMap> tensorMaps = {});

  /// The address of a binding, in global memory.
  Value binding(unsigned index) { return info.func.getArgument(index); }
  /// The generic address of a tensor map.
  Value tensorMap(unsigned index) {
    return info.func.getArgument(bindingCount + 1 + index);
  }
  /// The runtime size of `dim` as i32; 1 for Dim::one.
  Value dim(Dim dim);
  /// The first row of the context that this launch is for.
  Value firstContextRow();
  /// The number of the block, i32.
  Value workgroup() { return blockIndex; }
  /// count * ceil(dim / tile).
  Value workgroupCount();
  /// body(w) for each workgroup of this block: one, or a loop when
  /// Workgroups::blocksPerSM.
  void forEachWorkgroup(llvm::function_ref<void(Value workgroup)> body);

  /// `bytes` of the block's dynamic shared memory; regions do not overlap.
  Value shared(int64_t bytes, int64_t alignment = 16);
  int64_t sharedBytes() const { return info.sharedBytes; }

  /// Ends the body and records how to launch the kernel.
  KernelInfo finish();

private:
  /// Builds in the entry block, where values dominate all others.
  template <typename Build>
  Value inEntry(Build build);

  KernelInfo info;
  unsigned bindingCount;
  Block *entry = nullptr;
  Value blockIndex, sharedBase;
  Value dims[5], firstRow;
};

/// How to launch `func` as its attribute says; nullopt when it is no kernel.
std::optional<KernelInfo> launchOf(LLVM::LLVMFuncOp func);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_KERNEL_H
