//===- GenericKernel.cpp - A kernel for any operation ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Generic/GenericKernel.h"
#include "dialect/CacheRow.h"
#include "lowering/DSV2ToLinalg/Passes.h"
#include "lowering/Generic/LowerToBuffers.h"
#include "lowering/Generic/RowPartition.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::dsv2 {

RowCount batchFieldRows(BatchField field) {
  using x86::Dim;
  switch (field) {
  case BatchField::Tokens:
  case BatchField::Positions:
  case BatchField::TokenSequence:
  case BatchField::CacheRows:
    return {Dim::tokens};
  case BatchField::ContextLengths:
  case BatchField::PageTable:
    return {Dim::sequences};
  case BatchField::QueryOffsets:
  case BatchField::ContextOffsets:
    return {Dim::sequences, 1, 1};
  case BatchField::ContextRows:
  case BatchField::ContextSequence:
  case BatchField::ContextPosition:
    return {Dim::context};
  case BatchField::LogitRows:
    return {Dim::logitRows};
  }
  llvm_unreachable("not a batch field");
}

MemRefType batchFieldType(BatchField field, const KernelLimits &limits,
                          MLIRContext *context) {
  RowCount rows = batchFieldRows(field);
  const int64_t sizes[] = {1, limits.tokens, limits.sequences, limits.context,
                           limits.logitRows};
  SmallVector<int64_t> shape = {
      sizes[static_cast<unsigned>(rows.dim)] * rows.factor + rows.offset};
  if (field == BatchField::PageTable)
    shape.push_back(limits.pages);
  return MemRefType::get(shape, IntegerType::get(context, 32));
}

namespace {

using Kind = KernelArgument::Kind;

class Emitter {
public:
  Emitter(Operation *op, ArrayRef<TensorBuffer> operands,
          ArrayRef<TensorBuffer> results, const KernelLimits &limits,
          ModuleOp kernels, StringRef name)
      : source(op), operands(operands), results(results), limits(limits),
        b(op->getLoc(), op->getContext()),
        partition(findRowPartition(op, operands, results)) {
    b.setInsertionPointToEnd(kernels.getBody());
    // T, B, S, R and the workgroup; bindings are inserted before them.
    SmallVector<Type> sizes(5, b.getIndexType());
    func = func::FuncOp::create(b, name, b.getFunctionType(sizes, {}));
    func->setAttr(x86::kernelAttrName, b.getUnitAttr());
    b.setInsertionPointToStart(func.addEntryBlock());
  }

  FailureOr<GenericKernel> emit() {
    FailureOr<GenericKernel> kernel = emitBody();
    if (failed(kernel))
      func.erase();
    return kernel;
  }

private:
  Value addBinding(MemRefType type, KernelArgument argument) {
    unsigned index = arguments.size();
    arguments.push_back(argument);
    if (failed(func.insertArgument(index, type, {}, b.getLoc())))
      llvm_unreachable("functions of kernels take any argument");
    return func.getArgument(index);
  }

  Value dim(x86::Dim dim) {
    return func.getArgument(arguments.size() + static_cast<unsigned>(dim) - 1);
  }

  /// The number of rows of a step.
  OpFoldResult rowCount(RowCount rows) {
    if (rows.dim == x86::Dim::one)
      return b.getIndexAttr(rows.factor + rows.offset);
    Value count = dim(rows.dim);
    if (rows.factor != 1)
      count = arith::MulIOp::create(
          b, count, arith::ConstantIndexOp::create(b, rows.factor));
    if (rows.offset != 0)
      count = arith::AddIOp::create(
          b, count, arith::ConstantIndexOp::create(b, rows.offset));
    return count;
  }

  /// The part of `buffer` that is a tensor of `type`, or its one row that the
  /// workgroup computes.
  Value view(Value buffer, RankedTensorType type, RowCount rows, bool sliced) {
    auto bufferType = cast<MemRefType>(buffer.getType());
    SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> sizes, strides(type.getRank(), b.getIndexAttr(1));
    for (int64_t size : type.getShape())
      sizes.push_back(b.getIndexAttr(size));
    if (sliced) {
      offsets[0] = func.getArguments().back();
      sizes[0] = b.getIndexAttr(1);
    } else if (type.getRank() > 0 && type.isDynamicDim(0)) {
      sizes[0] = rowCount(rows);
    }
    for (auto [dim, size] : llvm::enumerate(type.getShape()))
      if (dim > 0 && ShapedType::isDynamic(size))
        sizes[dim] = b.getIndexAttr(bufferType.getDimSize(dim));
    return memref::SubViewOp::create(b, buffer, offsets, sizes, strides);
  }

  /// A tensor of `type` that holds what `buffer` does.
  Value read(Value buffer, Type type, bool writable = false) {
    auto bufferType = cast<MemRefType>(buffer.getType());
    auto tensorType = RankedTensorType::get(bufferType.getShape(),
                                            bufferType.getElementType());
    Value tensor = bufferization::ToTensorOp::create(
        b, tensorType, buffer, /*restrict=*/true, writable);
    return tensorType == type ? tensor
                              : tensor::CastOp::create(b, type, tensor);
  }

  void write(Value tensor, Value buffer) {
    bufferization::MaterializeInDestinationOp::create(
        b, TypeRange(), tensor, buffer, /*restrict=*/true, /*writable=*/true);
  }

  LogicalResult checkBuffer(Type type, const TensorBuffer &buffer,
                            const Twine &what);
  FailureOr<Value> emitOperand(OpOperand &operand);
  FailureOr<Operation *> cloneSource();
  LogicalResult storeResults(Operation *clone);
  void storeResult(OpResult result, Value buffer);
  LogicalResult decompose();
  void bindBatchFields();
  void bindPlane();
  FailureOr<GenericKernel> emitBody();

  Operation *source;
  ArrayRef<TensorBuffer> operands, results;
  const KernelLimits &limits;
  ImplicitLocOpBuilder b;
  std::optional<RowPartition> partition;
  func::FuncOp func;
  SmallVector<KernelArgument> arguments;
  Value plane; ///< once it is bound
};

LogicalResult Emitter::checkBuffer(Type type, const TensorBuffer &buffer,
                                   const Twine &what) {
  auto tensor = cast<RankedTensorType>(type);
  bool fits = buffer.type && buffer.type.hasStaticShape() &&
              buffer.type.getRank() == tensor.getRank() &&
              buffer.type.getElementType() == tensor.getElementType();
  for (int64_t dim = 0; fits && dim < tensor.getRank(); ++dim)
    fits = tensor.isDynamicDim(dim) ||
           tensor.getDimSize(dim) <= buffer.type.getDimSize(dim);
  if (fits)
    return success();
  return source->emitError("expects a static buffer that holds ")
         << what << " of type " << type << ", found " << buffer.type;
}

FailureOr<Value> Emitter::emitOperand(OpOperand &operand) {
  unsigned index = operand.getOperandNumber();
  Value value = operand.get();
  Type type = value.getType();
  if (isa<BatchType, LatentCacheType>(type))
    return UnrealizedConversionCastOp::create(b, type, ValueRange())
        .getResult(0);
  if (Operation *def = value.getDefiningOp();
      def && matchPattern(value, m_Constant()))
    return b.clone(*def)->getResult(0);

  // A size can only be that of the result: nothing else is dynamic.
  bool sliced = partition.has_value();
  if (isa<IndexType>(type)) {
    if (results.empty())
      return source->emitError("expects results where there are sizes");
    return getValueOrCreateConstantIndexOp(
        b, b.getLoc(),
        sliced ? OpFoldResult(b.getIndexAttr(1)) : rowCount(results[0].rows));
  }
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return source->emitError("expects tensors, found the operand type ")
           << type;
  if (value.getDefiningOp<tensor::EmptyOp>()) {
    SmallVector<Value> sizes;
    if (tensor.getNumDynamicDims() > 0)
      sizes.push_back(getValueOrCreateConstantIndexOp(
          b, b.getLoc(), rowCount(results[0].rows)));
    return tensor::EmptyOp::create(b, tensor, sizes).getResult();
  }

  const TensorBuffer &buffer = operands[index];
  if (failed(checkBuffer(type, buffer, "operand " + Twine(index))))
    return failure();
  Value binding = addBinding(buffer.type, {Kind::operand, index});
  bool cut = sliced && llvm::is_contained(partition->operands, index);
  return read(view(binding, tensor, buffer.rows, cut), type);
}

FailureOr<Operation *> Emitter::cloneSource() {
  IRMapping mapping;
  for (OpOperand &operand : source->getOpOperands()) {
    if (mapping.contains(operand.get()))
      continue;
    FailureOr<Value> value = emitOperand(operand);
    if (failed(value))
      return failure();
    mapping.map(operand.get(), *value);
  }
  return b.clone(*source, mapping);
}

void Emitter::storeResult(OpResult result, Value buffer) {
  auto type = cast<RankedTensorType>(result.getType());
  const TensorBuffer &layout = results[result.getResultNumber()];
  bool sliced = partition.has_value();
  Value part = view(buffer, type, layout.rows, sliced);
  auto plain = RankedTensorType::get(
      cast<MemRefType>(part.getType()).getShape(), type.getElementType());
  Value tensor = result;
  if (plain != type)
    tensor = tensor::CastOp::create(b, plain, tensor);
  write(tensor, part);

  // Zeros after the elements of each row.
  int64_t last = type.getRank() - 1;
  if (last <= 0 || type.isDynamicDim(last) ||
      type.getDimSize(last) == layout.type.getDimSize(last))
    return;
  auto subview = part.getDefiningOp<memref::SubViewOp>();
  SmallVector<OpFoldResult> offsets = subview.getMixedOffsets();
  SmallVector<OpFoldResult> sizes = subview.getMixedSizes();
  offsets[last] = b.getIndexAttr(type.getDimSize(last));
  sizes[last] =
      b.getIndexAttr(layout.type.getDimSize(last) - type.getDimSize(last));
  Value rest = memref::SubViewOp::create(b, buffer, offsets, sizes,
                                         subview.getMixedStrides());
  Value zero =
      arith::ConstantOp::create(b, b.getZeroAttr(type.getElementType()));
  linalg::FillOp::create(b, zero, rest);
}

LogicalResult Emitter::storeResults(Operation *clone) {
  for (OpResult result : clone->getResults()) {
    unsigned index = result.getResultNumber();
    if (auto cache = dyn_cast<LatentCacheType>(result.getType())) {
      // Reading the plane back keeps the update alive.
      RankedTensorType rows = CacheRow(cache).planeType();
      auto layer = clone->getAttrOfType<IntegerAttr>("layer");
      if (!layer)
        return source->emitError("expects one layer of the cache to change");
      bindPlane();
      Value updated = CacheRowsOp::create(b, rows, result, layer);
      Value whole = tensor::CastOp::create(
          b,
          RankedTensorType::get(cast<MemRefType>(plane.getType()).getShape(),
                                rows.getElementType()),
          updated);
      write(whole, plane);
      continue;
    }
    if (!isa<RankedTensorType>(result.getType()))
      return source->emitError("expects tensors, found the result type ")
             << result.getType();
    if (failed(checkBuffer(result.getType(), results[index],
                           "result " + Twine(index))))
      return failure();
    KernelArgument argument{Kind::result, index};
    argument.reads = false;
    argument.writes = true;
    storeResult(result, addBinding(results[index].type, argument));
  }
  return success();
}

LogicalResult Emitter::decompose() {
  RewritePatternSet patterns(b.getContext());
  populateDSV2ToLinalgPatterns(patterns);
  linalg::populateElementwiseToLinalgConversionPatterns(patterns);
  if (failed(applyPatternsGreedily(func, std::move(patterns))))
    return source->emitError("expects a decomposition that ends");
  WalkResult left = func.walk([&](Operation *op) {
    if (!isa_and_nonnull<DSV2Dialect>(op->getDialect()) ||
        isa<BatchGetOp, CacheRowsOp, CacheUpdateOp>(op))
      return WalkResult::advance();
    InFlightDiagnostic error = source->emitError("has no reference kernel");
    if (Type type = findOpaqueFormat(op))
      error << ": expects f32 or bf16 rows and plain weights, found " << type;
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}

void Emitter::bindBatchFields() {
  llvm::SmallDenseMap<BatchField, Value> bindings;
  SmallVector<BatchGetOp> gets;
  func.walk([&](BatchGetOp op) { gets.push_back(op); });
  for (BatchGetOp get : gets) {
    BatchField field = get.getField();
    Value &binding = bindings[field];
    if (!binding)
      binding = addBinding(batchFieldType(field, limits, b.getContext()),
                           {Kind::batchField, 0, field});
    b.setInsertionPoint(get);
    RowCount rows = batchFieldRows(field);
    bool sliced = partition && partition->rows == rows;
    get.replaceAllUsesWith(
        read(view(binding, get.getType(), rows, sliced), get.getType()));
    get.erase();
  }
}

void Emitter::bindPlane() {
  if (plane)
    return;
  for (OpOperand &operand : source->getOpOperands()) {
    auto type = dyn_cast<LatentCacheType>(operand.get().getType());
    if (!type)
      continue;
    KernelArgument argument{Kind::cachePlane, operand.getOperandNumber()};
    argument.writes = llvm::is_contained(source->getResultTypes(), type);
    CacheRow row(type);
    plane = addBinding(MemRefType::get({limits.cacheRows, row.width()},
                                       row.planeType().getElementType()),
                       argument);
    return;
  }
}

FailureOr<GenericKernel> Emitter::emitBody() {
  FailureOr<Operation *> clone = cloneSource();
  if (failed(clone) || failed(storeResults(*clone)))
    return failure();
  func::ReturnOp::create(b);
  if (failed(decompose()))
    return failure();

  bindBatchFields();
  SmallVector<CacheRowsOp> planes;
  func.walk([&](CacheRowsOp op) { planes.push_back(op); });
  for (CacheRowsOp rows : planes) {
    Value tensor;
    if (auto update = rows.getCache().getDefiningOp<CacheUpdateOp>()) {
      tensor = update.getRows();
    } else {
      bindPlane();
      b.setInsertionPoint(rows);
      tensor = read(plane, rows.getType(), /*writable=*/true);
    }
    rows.replaceAllUsesWith(tensor);
    rows.erase();
  }
  if (failed(lowerToBuffers(func)))
    return failure();

  x86::Workgroups workgroups;
  if (partition)
    workgroups = {partition->rows.factor, 1, partition->rows.dim};
  return GenericKernel{func, std::move(arguments), workgroups};
}

} // namespace

FailureOr<GenericKernel> emitGenericKernel(Operation *op,
                                           ArrayRef<TensorBuffer> operands,
                                           ArrayRef<TensorBuffer> results,
                                           const KernelLimits &limits,
                                           ModuleOp kernels, StringRef name) {
  loadGenericKernelDialects(*op->getContext());
  return Emitter(op, operands, results, limits, kernels, name).emit();
}

} // namespace mlir::dsv2
