//===- GenericProvider.cpp - Model operations on generic kernels ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86Plan/GenericProvider.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::dsv2;
using plan::Access;
using plan::BindingAttr;
using plan::DispatchBuilder;
using plan::TensorView;

/// The buffer of a placed tensor as the emitter wants it: its bytes start at
/// the binding, so the layout has offset 0.
static TensorBuffer bufferOf(Value value, DispatchBuilder &builder) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return {};
  TensorView view = builder.view(value);
  auto layout = StridedLayoutAttr::get(value.getContext(), 0, view.strides);
  TensorBuffer buffer;
  buffer.type = view.isDense()
                    ? MemRefType::get(view.shape, view.elementType)
                    : MemRefType::get(view.shape, view.elementType, layout);
  buffer.rows.dim = static_cast<x86::Dim>(view.rows.dim);
  buffer.rows.factor = view.rows.multiple;
  return buffer;
}

static KernelLimits limitsOf(Operation *op, const DispatchBuilder &builder) {
  const plan::StepLimits &step = builder.limits();
  KernelLimits limits;
  limits.tokens = step.maxBatchTokens;
  limits.sequences = step.maxSequences;
  limits.context = step.maxSequences * step.maxContext;
  limits.logitRows = step.maxLogitRows;
  limits.pages = 1;
  limits.cacheRows = limits.context;
  for (Value operand : op->getOperands())
    if (auto cache = dyn_cast<LatentCacheType>(operand.getType())) {
      limits.pages = llvm::divideCeil(step.maxContext, cache.getPage());
      limits.cacheRows = limits.pages * cache.getPage() * step.maxSequences;
    }
  return limits;
}

/// Everything the code of an operation's kernel depends on; the layer is part
/// of the binding.
static std::string keyOf(Operation *op, ArrayRef<TensorBuffer> operands,
                         ArrayRef<TensorBuffer> results) {
  std::string key;
  llvm::raw_string_ostream os(key);
  os << op->getName();
  for (NamedAttribute attribute : op->getAttrs())
    if (attribute.getName() != "layer")
      os << " " << attribute.getName().getValue() << "="
         << attribute.getValue();
  for (Value operand : op->getOperands()) {
    os << " " << operand.getType();
    // Constants are part of the code.
    Attribute constant;
    if (matchPattern(operand, m_Constant(&constant)))
      os << "=" << constant;
  }
  for (ArrayRef<TensorBuffer> buffers : {operands, results})
    for (const TensorBuffer &buffer : buffers)
      os << " " << buffer.type << ":" << static_cast<int>(buffer.rows.dim)
         << "*" << buffer.rows.factor;
  return key;
}

FailureOr<bool> GenericProvider::dispatch(Operation *op,
                                          DispatchBuilder &builder) {
  SmallVector<TensorBuffer> operands, results;
  for (Value operand : op->getOperands())
    operands.push_back(bufferOf(operand, builder));
  for (Value result : op->getResults())
    results.push_back(bufferOf(result, builder));

  std::string key = keyOf(op, operands, results);
  auto known = emitted.find(key);
  if (known == emitted.end()) {
    std::string base = op->getName().stripDialect().str();
    unsigned number = names[base]++;
    Emitted entry;
    entry.name = number == 0 ? base : base + "_" + std::to_string(number);
    FailureOr<GenericKernel> kernel =
        emitGenericKernel(op, operands, results, limitsOf(op, builder),
                          builder.kernelModule(), entry.name);
    if (failed(kernel))
      return failure();
    entry.kernel = *kernel;
    known = emitted.try_emplace(key, std::move(entry)).first;
  }

  const GenericKernel &kernel = known->second.kernel;
  plan::KernelUse use;
  use.kernel = FlatSymbolRefAttr::get(op->getContext(), known->second.name);
  use.workgroups = plan::WorkgroupsAttr::get(
      op->getContext(), kernel.workgroups.count,
      static_cast<plan::Dim>(kernel.workgroups.dim), kernel.workgroups.tile,
      kernel.workgroups.indirectBinding);
  for (const KernelArgument &argument : kernel.arguments) {
    Access access = !argument.writes  ? Access::In
                    : !argument.reads ? Access::Out
                                      : Access::InOut;
    switch (argument.kind) {
    case KernelArgument::Kind::operand:
      use.bindings.push_back(
          builder.view(op->getOperand(argument.index)).binding(access));
      break;
    case KernelArgument::Kind::result:
      use.bindings.push_back(
          builder.view(op->getResult(argument.index)).binding(Access::Out));
      break;
    case KernelArgument::Kind::batchField:
      use.bindings.push_back(builder.batch(argument.field));
      break;
    case KernelArgument::Kind::cachePlane:
      use.bindings.push_back(builder.cache(
          op->getAttrOfType<IntegerAttr>("layer").getInt(), access));
      break;
    }
  }
  builder.dispatch(op, use);
  return true;
}
