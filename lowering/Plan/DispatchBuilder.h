//===- DispatchBuilder.h - From model IR to dispatches ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Walks the functions of a model and makes a plan.program of each: a buffer for
// every tensor, a dispatch for every operation that computes, barriers where
// one dispatch depends on another. Kernels come from providers, asked in turn.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_DISPATCHBUILDER_H
#define DSV2_LOWERING_PLAN_DISPATCHBUILDER_H

#include "lowering/Plan/TensorView.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::dsv2::plan {

/// A kernel and the bytes it works on here.
struct KernelUse {
  FlatSymbolRefAttr kernel;
  WorkgroupsAttr workgroups;
  SmallVector<BindingAttr> bindings;
  /// The steps it runs in: all, when absent.
  std::optional<int64_t> minTokens, maxTokens;
  /// For each chunk of the context (DispatchBuilder::setChunks).
  bool chunked = false;
  /// The place in the model; empty: that of the operation.
  std::string label = {};
};

class DispatchBuilder;

/// Where kernels come from: a family of emitters for one target.
class KernelProvider {
public:
  virtual ~KernelProvider() = default;

  /// Emits the kernels `op` needs and adds their dispatches to `builder`, or
  /// leaves the operation to another provider (false). Fails after a
  /// diagnostic.
  virtual FailureOr<bool> dispatch(Operation *op, DispatchBuilder &builder) = 0;

  /// Whether `op` is computed by the dispatch of what reads it, and its result
  /// has no place.
  virtual bool isFusedIntoUser(Operation *op) { return false; }

  /// Adds what follows the last operation of a program that computes `logits`.
  virtual LogicalResult finish(Value logits, DispatchBuilder &builder) {
    return success();
  }
};

class DispatchBuilder {
public:
  DispatchBuilder(ModuleOp kernels, const StepLimits &limits,
                  ArrayRef<KernelProvider *> providers)
      : kernels(kernels), stepLimits(limits), providers(providers) {}

  /// Builds the program of `function` before it.
  FailureOr<ProgramOp> build(func::FuncOp function);
  /// Replaces each function of `model` by its program.
  LogicalResult buildAll(ModuleOp model);

  // ---- For providers ----------------------------------------------------

  const StepLimits &limits() const { return stepLimits; }
  ModuleOp kernelModule() { return kernels; }

  /// The place of an operand, or of a result (a new buffer the first time).
  TensorView view(Value value);
  /// Decides the place of a value before anything asks for it.
  void setView(Value value, const TensorView &view) { views[value] = view; }
  bool isPlaced(Value value) const { return views.contains(value); }
  /// The most tokens of a step of this program.
  int64_t programTokens() const { return programLimits.maxBatchTokens; }
  /// Chunks of the context, which are the same for all of the program.
  void setChunks(int64_t step, int64_t rows);
  /// An array of the batch.
  BindingAttr batch(BatchField field);
  /// The plane of a layer.
  BindingAttr cache(int64_t layer, Access access);
  /// The sines and cosines of `rope` for vectors of `dim` elements and
  /// maxContext positions.
  BindingAttr ropeTable(RopeAttr rope, int64_t dim);
  /// A buffer no value stands for.
  BindingAttr scratch(StringRef name, int64_t bytes, Access access);

  /// The kernel called `name`, emitted by `emit` the first time it is used. The
  /// name says everything the code depends on.
  FailureOr<func::FuncOp> kernel(StringRef name,
                                 function_ref<FailureOr<func::FuncOp>()> emit);

  void dispatch(Operation *op, const KernelUse &use);

private:
  LogicalResult place(Operation *op);
  TensorView newBuffer(Value value);
  TensorView batchView(BatchField field);
  RowCount rowsOf(Value value);
  std::string labelOf(Operation *op);
  std::string uniqueName(StringRef base);
  void addBarrierIfNeeded(ArrayRef<BindingAttr> bindings);

  ModuleOp kernels;
  StepLimits stepLimits;
  ArrayRef<KernelProvider *> providers;

  // State of the program being built.
  ProgramOp program;
  StepLimits programLimits; ///< what buffers are sized for
  Value logits;
  DenseMap<Value, TensorView> views;
  llvm::StringMap<unsigned> names;
  std::string section; ///< "layers.3", from the last weight that was used
  /// Places read and written since the last barrier.
  DenseSet<Attribute> reads, writes;
};

} // namespace mlir::dsv2::plan

#endif // DSV2_LOWERING_PLAN_DISPATCHBUILDER_H
