//===- OpKernel.cpp - Running the generic kernel of one operation ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/generic/OpKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

namespace dsv2::test {
namespace {

using namespace mlir;
using mlir::dsv2::TensorBuffer;

int64_t largest(RowCount rows) {
  const int64_t sizes[] = {1, testLimits.tokens, testLimits.sequences,
                           testLimits.context, testLimits.logitRows};
  return sizes[static_cast<int>(rows.dim)] * rows.factor + rows.offset;
}

/// Buffers for values of `types`; rows of results are `padding` longer.
SmallVector<TensorBuffer> buffersOf(TypeRange types,
                                    const std::map<unsigned, RowCount> &rows,
                                    int64_t padding) {
  SmallVector<TensorBuffer> buffers;
  for (auto [index, type] : llvm::enumerate(types)) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor) {
      buffers.emplace_back();
      continue;
    }
    RowCount count{Dim::tokens};
    if (auto it = rows.find(index); it != rows.end())
      count = it->second;
    SmallVector<int64_t> shape(tensor.getShape());
    if (tensor.isDynamicDim(0))
      shape[0] = largest(count);
    shape.back() += padding;
    buffers.push_back({MemRefType::get(shape, tensor.getElementType()), count});
  }
  return buffers;
}

/// The operation between the start and the return of the only function.
Operation *findOperation(ModuleOp module) {
  auto func = *module.getOps<func::FuncOp>().begin();
  return &func.getBody().front().front();
}

FailureOr<mlir::dsv2::GenericKernel> emit(Operation *op, const RowCounts &rows,
                                          int64_t rowPadding,
                                          ModuleOp kernels) {
  return emitGenericKernel(
      op, buffersOf(op->getOperandTypes(), rows.operands, 0),
      buffersOf(op->getResultTypes(), rows.results, rowPadding), testLimits,
      kernels, "generic");
}

void loadDialects(MLIRContext &context) {
  context.loadDialect<mlir::dsv2::DSV2Dialect, arith::ArithDialect,
                      func::FuncDialect, tensor::TensorDialect>();
}

} // namespace

std::string whyNoKernel(const std::string &function) {
  MLIRContext context;
  loadDialects(context);
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  auto parsed = parseSourceString<ModuleOp>(function, &context);
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(UnknownLoc::get(&context));
  EXPECT_TRUE(failed(emit(findOperation(*parsed), {}, 0, *kernels)));
  EXPECT_TRUE(kernels->getBody()->empty());
  return message;
}

BatchArrays arraysOf(const RaggedBatch &batch) {
  BatchArrays arrays;
  arrays[BatchField::Positions] = batch.positions;
  arrays[BatchField::TokenSequence] = batch.tokenSequence;
  arrays[BatchField::QueryOffsets] = batch.queryOffsets;
  arrays[BatchField::ContextLengths] = batch.contextLengths;
  for (size_t t = 0; t < batch.positions.size(); ++t)
    arrays[BatchField::CacheRows].push_back(
        batch.rowOf(batch.tokenSequence[t], batch.positions[t]));
  for (size_t b = 0; b < batch.contextLengths.size(); ++b)
    for (int32_t i = 0; i < batch.contextLengths[b]; ++i) {
      arrays[BatchField::ContextRows].push_back(batch.rowOf(b, i));
      arrays[BatchField::ContextSequence].push_back(b);
      arrays[BatchField::ContextPosition].push_back(i);
    }
  return arrays;
}

OpKernel::OpKernel(const std::string &function, RowCounts rows,
                   int64_t rowPadding) {
  auto emitKernel = [&](ModuleOp module, const InstructionSet &) -> KernelInfo {
    loadDialects(*module.getContext());
    auto parsed = parseSourceString<ModuleOp>(function, module.getContext());
    auto kernel = emit(findOperation(*parsed), rows, rowPadding, module);
    if (failed(kernel)) {
      ADD_FAILURE() << "no kernel for " << function;
      return {};
    }
    arguments.assign(kernel->arguments.begin(), kernel->arguments.end());
    return {kernel->func, kernel->workgroups};
  };
  kernel = std::make_unique<Kernel>(hostSets().front(), emitKernel);
}

void OpKernel::operator()(std::vector<const void *> operands,
                          std::vector<void *> results, Dims dims,
                          BatchArrays batch, void *plane) const {
  std::vector<void *> bindings;
  for (const KernelArgument &argument : arguments) {
    switch (argument.kind) {
    case KernelArgument::Kind::operand:
      bindings.push_back(const_cast<void *>(operands.at(argument.index)));
      break;
    case KernelArgument::Kind::result:
      bindings.push_back(results.at(argument.index));
      break;
    case KernelArgument::Kind::batchField:
      bindings.push_back(batch.at(argument.field).data());
      break;
    case KernelArgument::Kind::cachePlane:
      bindings.push_back(plane);
      break;
    }
  }
  (*kernel)(bindings, dims);
}

void expectNear(const std::vector<float> &found,
                const std::vector<double> &expected, double tolerance) {
  ASSERT_GE(found.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(found[i], expected[i],
                tolerance * std::max(1.0, std::abs(expected[i])))
        << "element " << i;
}

} // namespace dsv2::test
