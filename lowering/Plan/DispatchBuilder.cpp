//===- DispatchBuilder.cpp - From model IR to dispatches ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Plan/DispatchBuilder.h"
#include "lowering/Plan/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::plan;

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// Whether the number of rows (the first dimension) varies from step to step.
static bool hasDynamicRows(RankedTensorType type) {
  return type.getRank() > 0 && type.isDynamicDim(0);
}

/// Rows of values that are not simply as many as their first operand's.
RowCount DispatchBuilder::rowsOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!hasDynamicRows(type))
    return {};
  // What is computed by the dispatch of another operation has no place.
  auto knownRows = [&](Value from) {
    return isPlaced(from) ? view(from).rows : rowsOf(from);
  };
  Operation *op = value.getDefiningOp();
  if (!op)
    return {Dim::Tokens, 1};
  return TypeSwitch<Operation *, RowCount>(op)
      .Case([](SelectRowsOp) { return RowCount{Dim::LogitRows, 1}; })
      .Case([](CacheGatherOp) { return RowCount{Dim::Context, 1}; })
      .Case([&](GroupTokensOp group) {
        int64_t topK =
            cast<RankedTensorType>(group.getExperts().getType()).getDimSize(1);
        return RowCount{Dim::Tokens, value == group.getSlotToken() ? topK : 1};
      })
      .Case([&](GroupedLinearOp linear) {
        Value rows =
            linear.getSlotToken() ? linear.getSlotToken() : linear.getInput();
        return knownRows(rows);
      })
      .Case([&](CombineExpertsOp combine) {
        return knownRows(combine.getWeights());
      })
      .Default([&](Operation *other) {
        for (Value operand : other->getOperands())
          if (auto operandType = dyn_cast<RankedTensorType>(operand.getType());
              operandType && hasDynamicRows(operandType))
            return knownRows(operand);
        return RowCount{Dim::Tokens, 1};
      });
}

/// Bytes of `rows` rows of a tensor with a rows encoding, or of a plain one.
static int64_t rowsBytes(ArrayRef<int64_t> shape, Type element,
                         Attribute encoding) {
  int64_t last = shape.empty() ? 1 : shape.back(), outer = 1;
  for (int64_t size : shape.drop_back(shape.empty() ? 0 : 1))
    outer *= size;
  if (auto rows = dyn_cast_or_null<RowsAttr>(encoding)) {
    int64_t padded = llvm::alignTo(last, rows.getGroup());
    int64_t row = padded * elementBytes(element);
    if (element.isInteger(8))
      row = llvm::alignTo(padded + padded / rows.getGroup() * 8, 64);
    else if (isa<Float8E4M3FNType>(element))
      row += padded / rows.getGroup() * 4;
    return outer * row;
  }
  return outer * last * elementBytes(element);
}

static SmallVector<int64_t> denseStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[i];
  return strides;
}

std::string DispatchBuilder::uniqueName(StringRef base) {
  unsigned &count = names[base];
  std::string name =
      count == 0 ? base.str() : (base + "." + Twine(count)).str();
  ++count;
  return name;
}

TensorView DispatchBuilder::newBuffer(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  TensorView view;
  view.elementType = type.getElementType();
  view.encoding = type.getEncoding();
  view.rows = rowsOf(value);
  view.shape.assign(type.getShape().begin(), type.getShape().end());
  if (hasDynamicRows(type))
    view.shape[0] = programLimits.maxOf(view.rows.dim) * view.rows.multiple;
  view.strides = denseStrides(view.shape);
  if (value == logits) {
    view.kind = BindingKind::Logits;
    return view;
  }
  std::string name = uniqueName(labelOf(value.getDefiningOp()));
  int64_t bytes = rowsBytes(view.shape, view.elementType, view.encoding);
  OpBuilder b(program.getContext());
  b.setInsertionPointToEnd(&program.getBody().front());
  BufferOp::create(b, program.getLoc(), name, bytes, IntegerAttr());
  view.symbol = FlatSymbolRefAttr::get(program.getContext(), name);
  return view;
}

TensorView DispatchBuilder::view(Value value) {
  auto known = views.find(value);
  if (known != views.end())
    return known->second;
  TensorView view = newBuffer(value);
  views[value] = view;
  return view;
}

TensorView DispatchBuilder::batchView(BatchField field) {
  TensorView view;
  view.kind = BindingKind::Batch;
  view.index = static_cast<int64_t>(field);
  view.elementType = IntegerType::get(program.getContext(), 32);
  view.shape = {stepLimits.maxBatchTokens};
  view.strides = {1};
  view.rows = {Dim::Tokens, 1};
  return view;
}

BindingAttr DispatchBuilder::batch(BatchField field) {
  return BindingAttr::get(program.getContext(), Access::In, BindingKind::Batch,
                          FlatSymbolRefAttr(), static_cast<int64_t>(field), 0);
}

BindingAttr DispatchBuilder::cache(int64_t layer, Access access) {
  return BindingAttr::get(program.getContext(), access, BindingKind::Cache,
                          FlatSymbolRefAttr(), layer, 0);
}

BindingAttr DispatchBuilder::scratch(StringRef name, int64_t bytes,
                                     Access access) {
  OpBuilder b(program.getContext());
  b.setInsertionPointToEnd(&program.getBody().front());
  std::string unique =
      uniqueName(section.empty() ? name.str() : section + "." + name.str());
  BufferOp::create(b, program.getLoc(), unique, bytes, IntegerAttr());
  return BindingAttr::get(program.getContext(), access, BindingKind::Buffer,
                          FlatSymbolRefAttr::get(program.getContext(), unique),
                          0, 0);
}

BindingAttr DispatchBuilder::ropeTable(RopeAttr rope, int64_t dim) {
  auto module = program->getParentOfType<ModuleOp>();
  RopeTableOp table;
  for (RopeTableOp other : module.getOps<RopeTableOp>())
    if (other.getRope() == rope && static_cast<int64_t>(other.getDim()) == dim)
      table = other;
  if (!table) {
    OpBuilder b(program);
    std::string name = "rope_table";
    for (unsigned i = 1; module.lookupSymbol(name); ++i)
      name = "rope_table." + std::to_string(i);
    table = RopeTableOp::create(b, program.getLoc(), name, rope, dim,
                                stepLimits.maxContext);
  }
  return BindingAttr::get(program.getContext(), Access::In,
                          BindingKind::Constant, FlatSymbolRefAttr::get(table),
                          0, 0);
}

//===----------------------------------------------------------------------===//
// Kernels and dispatches
//===----------------------------------------------------------------------===//

FailureOr<func::FuncOp>
DispatchBuilder::kernel(StringRef name,
                        function_ref<FailureOr<func::FuncOp>()> emit) {
  if (auto known = kernels.lookupSymbol<func::FuncOp>(name))
    return known;
  return emit();
}

/// The weight an operation reads, as "layers.3.q"; the name of the operation
/// with its section otherwise.
std::string DispatchBuilder::labelOf(Operation *op) {
  for (Value operand : op->getOperands())
    if (auto weight = operand.getDefiningOp<GetWeightOp>()) {
      StringRef name = weight.getWeight();
      SmallVector<StringRef> parts;
      name.split(parts, '.');
      section = parts.size() > 2 ? (parts[0] + "." + parts[1]).str() : "";
      return name.str();
    }
  std::string name = op->getName().stripDialect().str();
  return section.empty() ? name : section + "." + name;
}

Attribute plan::placeOf(BindingAttr binding) {
  MLIRContext *context = binding.getContext();
  switch (binding.getKind()) {
  case BindingKind::Buffer:
    return binding.getSymbol();
  case BindingKind::Cache:
    return IntegerAttr::get(IntegerType::get(context, 64), binding.getIndex());
  case BindingKind::Logits:
    return UnitAttr::get(context);
  default:
    return {}; // never written
  }
}

void DispatchBuilder::addBarrierIfNeeded(ArrayRef<BindingAttr> bindings) {
  bool conflict = llvm::any_of(bindings, [&](BindingAttr binding) {
    Attribute place = placeOf(binding);
    if (!place)
      return false;
    if (writes.contains(place))
      return true;
    return binding.getAccess() != Access::In && reads.contains(place);
  });
  if (conflict) {
    OpBuilder b(program.getContext());
    b.setInsertionPointToEnd(&program.getBody().front());
    BarrierOp::create(b, program.getLoc());
    reads.clear();
    writes.clear();
  }
  for (BindingAttr binding : bindings)
    if (Attribute place = placeOf(binding)) {
      if (binding.getAccess() != Access::Out)
        reads.insert(place);
      if (binding.getAccess() != Access::In)
        writes.insert(place);
    }
}

void DispatchBuilder::dispatch(Operation *op, const KernelUse &use) {
  addBarrierIfNeeded(use.bindings);
  OpBuilder b(program.getContext());
  b.setInsertionPointToEnd(&program.getBody().front());
  SmallVector<Attribute> bindings(use.bindings.begin(), use.bindings.end());
  auto bound = [&](std::optional<int64_t> tokens) {
    return tokens ? b.getI64IntegerAttr(*tokens) : IntegerAttr();
  };
  std::string label = use.label.empty() ? labelOf(op) : use.label;
  DispatchOp::create(b, op->getLoc(), use.kernel, b.getStringAttr(label),
                     use.workgroups, b.getArrayAttr(bindings),
                     bound(use.minTokens), bound(use.maxTokens),
                     use.chunked ? b.getUnitAttr() : UnitAttr());
}

void DispatchBuilder::setChunks(int64_t step, int64_t rows) {
  program.setChunkStep(step);
  program.setChunkRows(rows);
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

/// Weights, arrays of the batch, slices and reshapes only name places.
static bool namesPlace(Operation *op) {
  return isa<GetWeightOp, BatchGetOp, tensor::ExtractSliceOp,
             tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op);
}

LogicalResult DispatchBuilder::place(Operation *op) {
  if (auto get = dyn_cast<GetWeightOp>(op)) {
    auto type = cast<RankedTensorType>(get.getType());
    TensorView view;
    view.kind = BindingKind::Weight;
    view.symbol = get.getWeightAttr();
    view.shape.assign(type.getShape().begin(), type.getShape().end());
    view.strides = denseStrides(view.shape);
    view.elementType = type.getElementType();
    view.encoding = type.getEncoding();
    views[get] = view;
    return success();
  }
  if (auto get = dyn_cast<BatchGetOp>(op)) {
    if (get.getField() > BatchField::CacheRows)
      return op->emitOpError("expects an array with one element for each new "
                             "token, but found ")
             << stringifyBatchField(get.getField());
    views[get] = batchView(get.getField());
    return success();
  }
  FailureOr<TensorView> through = viewThrough(op, view(op->getOperand(0)));
  if (failed(through))
    return op->emitOpError("expects a slice or reshape that needs no copy");
  views[op->getResult(0)] = *through;
  return success();
}

/// A model takes token ids, the batch and the cache, and returns logits first.
static LogicalResult checkSignature(func::FuncOp function) {
  if (!function.getBody().hasOneBlock())
    return function.emitOpError("expects a body of one block, but found ")
           << function.getBody().getBlocks().size();
  for (Type type : function.getArgumentTypes())
    if (auto tensor = dyn_cast<RankedTensorType>(type);
        tensor &&
        (tensor.getRank() != 1 || !tensor.getElementType().isInteger(32)))
      return function.emitOpError("expects token ids, tensor<?xi32>, as its "
                                  "only tensor argument, but found ")
             << type;
  Operation *result = function.getBody().front().getTerminator();
  Value logits = result->getNumOperands() ? result->getOperand(0) : Value();
  if (!logits || !isa<RankedTensorType>(logits.getType()) ||
      !logits.getDefiningOp() || namesPlace(logits.getDefiningOp()))
    return function.emitOpError(
        "expects to return computed logits as its first result");
  return success();
}

/// Places are sized by their rows; other dimensions are known.
static LogicalResult checkShapes(Operation *op) {
  for (Value value : op->getResults())
    if (auto type = dyn_cast<RankedTensorType>(value.getType()))
      if (llvm::is_contained(type.getShape().drop_front(type.getRank() > 0),
                             ShapedType::kDynamic))
        return op->emitOpError("expects only its first dimension to be "
                               "dynamic, but found ")
               << type;
  return success();
}

LogicalResult DispatchBuilder::buildAll(ModuleOp model) {
  SmallVector<func::FuncOp> functions(model.getOps<func::FuncOp>());
  for (func::FuncOp function : functions) {
    if (failed(build(function)))
      return failure();
    function.erase();
  }
  return success();
}

FailureOr<ProgramOp> DispatchBuilder::build(func::FuncOp function) {
  if (failed(checkSignature(function)))
    return failure();
  views.clear();
  names.clear();
  section.clear();
  reads.clear();
  writes.clear();

  OpBuilder b(function);
  program = ProgramOp::create(
      b, function.getLoc(), function.getName(),
      function->getAttrOfType<IntegerAttr>("dsv2.max_query_tokens"),
      StringAttr(), IntegerAttr(), IntegerAttr());
  program.getBody().emplaceBlock();
  programLimits = stepLimits;
  if (std::optional<uint64_t> queryTokens = program.getMaxQueryTokens())
    programLimits.maxBatchTokens = std::min<uint64_t>(
        stepLimits.maxBatchTokens, llvm::SaturatingMultiply<uint64_t>(
                                       stepLimits.maxSequences, *queryTokens));
  Block &body = function.getBody().front();
  logits = body.getTerminator()->getOperand(0);
  for (BlockArgument argument : body.getArguments())
    if (isa<RankedTensorType>(argument.getType()))
      views[argument] = batchView(BatchField::Tokens);

  auto isFused = [&](Operation *op) {
    return op && llvm::any_of(providers, [&](KernelProvider *provider) {
             return provider->isFusedIntoUser(op);
           });
  };
  for (Operation &op : body.without_terminator()) {
    if (isa<tensor::DimOp, arith::ConstantOp, tensor::EmptyOp>(op))
      continue;
    if (failed(checkShapes(&op)))
      return failure();
    if (namesPlace(&op)) {
      // Parts of what has no place have none.
      if (op.getNumOperands() && isFused(op.getOperand(0).getDefiningOp()))
        continue;
      if (failed(place(&op)))
        return failure();
      continue;
    }
    if (isa<LatentAttentionOp>(op))
      program.setAttention("latent");
    else if (isa<AttentionOp, ExpandedAttentionOp>(op))
      program.setAttention("expanded");
    if (isFused(&op))
      continue;
    bool found = false;
    for (KernelProvider *provider : providers) {
      FailureOr<bool> dispatched = provider->dispatch(&op, *this);
      if (failed(dispatched))
        return failure();
      if ((found = *dispatched))
        break;
    }
    if (!found)
      return op.emitOpError("expects a kernel for this target, but there is "
                            "none; run the passes that prepare the target");
  }
  for (KernelProvider *provider : providers)
    if (failed(provider->finish(logits, *this)))
      return failure();
  return program;
}
