//===- NVPTXProducts.cpp - Matrix products on GPU kernels -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTXPlan/NVPTXProvider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::TensorView;

/// Reads the format of a weight; false when no kernel has it.
static bool setWeight(const TensorView &weight, NVPTXProvider::Product &to) {
  to.weight = weight.binding(Access::In);
  auto packed = dyn_cast_or_null<PanelsAttr>(weight.encoding);
  if (packed && packed.getRows() == 1) {
    if (isa_and_nonnull<BlockInt8Attr>(packed.getFormat()))
      to.format = WeightFormat::int8;
    else if (isa_and_nonnull<BlockInt4Attr>(packed.getFormat()))
      to.format = WeightFormat::int4;
    else
      return false;
    return true;
  }
  to.spec.bf16Weight = weight.elementType.isBF16();
  return !weight.encoding && (to.spec.bf16Weight || weight.elementType.isF32());
}

static void setInput(const TensorView &input, NVPTXProvider::Product &to) {
  RowPlace place = rowPlace(input);
  to.input = input.binding(Access::In);
  to.spec.bf16Input = place.isBf16;
  to.spec.inputStride = place.rowStride;
  to.spec.inputHeadStride = place.headStride;
  to.spec.dim = static_cast<Dim>(input.rows.dim);
}

FailureOr<bool> NVPTXProvider::linear(LinearOp op, Operation *at, Value result,
                                      Value residual, Builder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(result);
  Product product;
  if (!setWeight(weight, product) || output.elementType.isBF16() ||
      input.rows.multiple != 1)
    return false;
  setInput(input, product);
  product.spec.rows = weight.shape[0];
  product.spec.depth = weight.shape[1];
  product.spec.outputStride = output.rowStride();
  product.maxRows = input.rows.dim == plan::Dim::Tokens
                        ? builder.programTokens()
                        : builder.limits().maxOf(input.rows.dim);
  if (residual) {
    TensorView addend = builder.view(residual);
    product.spec.residual = true;
    product.spec.residualStride = addend.rowStride();
    product.residual = addend.binding(Access::In);
  }
  product.output = output.binding(Access::Out);
  return multiply(at, product, builder);
}

FailureOr<bool> NVPTXProvider::headProject(HeadProjectOp op, Builder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(op.getResult());
  Product product;
  if (!setWeight(weight, product) || input.rows.multiple != 1)
    return false;
  setInput(input, product);
  product.spec.heads = weight.shape[0];
  product.spec.rows = weight.shape[1];
  product.spec.depth = weight.shape[2];
  product.spec.bf16Output = output.elementType.isBF16();
  product.spec.outputStride = output.strides[0];
  product.spec.outputHeadStride = output.strides[1];
  product.maxRows = builder.programTokens();
  product.output = output.binding(Access::Out);
  return multiply(op, product, builder);
}

FailureOr<bool> NVPTXProvider::groupedLinear(GroupedLinearOp op,
                                             Builder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(op.getResult());
  Product product;
  if (!setWeight(weight, product) || !output.isDense())
    return false;
  setInput(input, product);
  product.spec.dim = Dim::tokens;
  product.spec.experts = weight.shape[0];
  product.spec.rows = weight.shape[1];
  product.spec.depth = weight.shape[2];
  product.spec.slotsPerToken = output.rows.multiple;
  product.spec.gather = op.getSlotToken() != nullptr;
  product.spec.outputStride = output.rowStride();
  // A token chooses an expert once.
  product.maxRows = builder.programTokens();
  auto read = [&](Value value) {
    return builder.view(value).binding(Access::In);
  };
  product.offsets = read(op.getOffsets());
  product.active = read(op.getActive());
  product.activeCount = read(op.getCount());
  if (product.spec.gather)
    product.slotToken = read(op.getSlotToken());
  product.output = output.binding(Access::Out);
  return multiply(op, product, builder);
}

FailureOr<bool> NVPTXProvider::multiply(Operation *at, Product product,
                                        Builder &builder) {
  FailureOr<bool> done = gemv(at, product, builder);
  if (failed(done) || *done)
    return done;
  if (product.format != WeightFormat::bf16 &&
      failed(dequantize(at, product, builder)))
    return failure();
  done = gemm(at, product, builder);
  if (failed(done) || *done)
    return done;
  return dotProduct(at, product, builder);
}
