//===- NVPTXProducts.cpp - Matrix products on GPU kernels -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RowMap.h"
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
  to.swiglu = packed && packed.getInterleave() > 0;
  if (packed && packed.getRows() == 1 && packed.getFormat()) {
    if (isa_and_nonnull<BlockInt8Attr>(packed.getFormat()))
      to.format = WeightFormat::int8;
    else if (isa_and_nonnull<BlockInt4Attr>(packed.getFormat()))
      to.format = WeightFormat::int4;
    else if (isa_and_nonnull<BlockFp8Attr>(packed.getFormat()))
      to.format = WeightFormat::fp8;
    else
      return false;
    // The scales follow all matrices.
    if (to.format == WeightFormat::fp8)
      to.weightScales = behind(to.weight, llvm::product_of(weight.shape));
    return true;
  }
  to.spec.bf16Weight = weight.elementType.isBF16();
  return (!weight.encoding || to.swiglu) &&
         (to.spec.bf16Weight || weight.elementType.isF32());
}

FailureOr<bool> NVPTXProvider::gatedProduct(SwigluOp op, Operation *product,
                                            Builder &builder) {
  Value result = op.getResult();
  if (auto linearOp = dyn_cast<LinearOp>(product))
    return linear(linearOp, op, result, Value(), builder);
  return groupedLinear(cast<GroupedLinearOp>(product), op, result, builder);
}

void NVPTXProvider::setOutput(Value result, Product &to, Builder &builder) {
  TensorView output = builder.view(result);
  to.spec.outputStride = output.rowStride();
  to.spec.bf16Output = !output.elementType.isF32();
  bool rounds = rowFormat(output.elementType) == RowFormat::fp8;
  to.output =
      rounds ? builder.scratch("swiglu", 2 * llvm::product_of(output.shape),
                               Access::Out)
             : output.binding(Access::Out);
}

LogicalResult NVPTXProvider::packRounded(Operation *at, Value result,
                                         const Product &product,
                                         Builder &builder) {
  TensorView output = builder.view(result);
  if (rowFormat(output.elementType) != RowFormat::fp8)
    return success();
  PackRowsSpec spec;
  spec.heads = output.rows.multiple; // rows of a token lie like heads
  spec.depth = output.shape.back();
  spec.tokenStride = spec.heads * spec.depth;
  spec.headStride = spec.depth;
  spec.bf16Input = true;
  spec.format = RowFormat::fp8;
  SmallVector<plan::BindingAttr> bindings = {readable(product.output)};
  llvm::append_range(bindings, rowBindings(output, Access::Out));
  std::string name = ("pack_rows_fp8_" + Twine(spec.heads) + "x" +
                      Twine(spec.depth) + "_stride" + Twine(spec.tokenStride) +
                      "_" + Twine(spec.headStride) + "_frombf16")
                         .str();
  return dispatchKernel(at, builder, {name, bindings}, emitPackRows, spec);
}

static void setInput(const TensorView &input, NVPTXProvider::Product &to) {
  RowPlace place = rowPlace(input);
  to.input = input.binding(Access::In);
  to.fp8Input = rowFormat(input.elementType) == RowFormat::fp8;
  if (to.fp8Input)
    to.inputScales = rowBindings(input, Access::In)[1];
  to.spec.bf16Input = place.isBf16;
  to.spec.inputStride = place.rowStride;
  to.spec.inputHeadStride = place.headStride;
  to.spec.dim = static_cast<Dim>(input.rows.dim);
}

/// Sets what the product reads: `value`, or what it is the norm of.
static TensorView setNormalizedInput(Value value, NVPTXProvider::Product &to,
                                     plan::DispatchBuilder &builder) {
  if (RMSNormOp norm = normOfInput(value)) {
    value = norm.getInput();
    to.gamma = builder.view(norm.getGamma()).binding(Access::In);
    to.epsilon = static_cast<float>(norm.getEps().convertToDouble());
  }
  TensorView input = builder.view(value);
  setInput(input, to);
  return input;
}

FailureOr<bool> NVPTXProvider::linear(LinearOp op, Operation *at, Value result,
                                      Value residual, Builder &builder) {
  Product product;
  TensorView input = setNormalizedInput(op.getInput(), product, builder);
  TensorView weight = builder.view(op.getWeight());
  if (!setWeight(weight, product) || input.rows.multiple != 1)
    return false;
  product.spec.rows = weight.shape[0];
  product.spec.depth = weight.shape[1];
  setOutput(result, product, builder);
  product.maxRows = input.rows.dim == plan::Dim::Tokens
                        ? builder.programTokens()
                        : builder.limits().maxOf(input.rows.dim);
  if (residual) {
    TensorView addend = builder.view(residual);
    product.spec.residual = true;
    product.spec.residualStride = addend.rowStride();
    product.residual = addend.binding(Access::In);
  }
  FailureOr<bool> done = multiply(at, product, builder);
  if (succeeded(done) && *done &&
      failed(packRounded(at, result, product, builder)))
    return failure();
  return done;
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
  if (auto divided = dividedInputs.find(op); divided != dividedInputs.end()) {
    product.splitRows = divided->second.rows;
    product.splits = divided->second.bindings;
    dividedInputs.erase(divided);
  }
  return multiply(op, product, builder);
}

FailureOr<bool> NVPTXProvider::groupedLinear(GroupedLinearOp op, Operation *at,
                                             Value result, Builder &builder) {
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(result);
  Product product;
  setNormalizedInput(op.getInput(), product, builder);
  if (!setWeight(weight, product) || !output.isDense())
    return false;
  product.spec.dim = Dim::tokens;
  product.spec.experts = weight.shape[0];
  product.spec.rows = weight.shape[1];
  product.spec.depth = weight.shape[2];
  product.spec.slotsPerToken = output.rows.multiple;
  product.spec.gather = op.getSlotToken() != nullptr;
  setOutput(result, product, builder);
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
  FailureOr<bool> done = multiply(at, product, builder);
  if (succeeded(done) && *done &&
      failed(packRounded(at, result, product, builder)))
    return failure();
  return done;
}

FailureOr<bool> NVPTXProvider::multiply(Operation *at, Product product,
                                        Builder &builder) {
  FailureOr<bool> done = routerProduct(at, product, builder);
  if (failed(done) || *done)
    return done;
  done = gemv(at, product, builder);
  if (failed(done) || *done)
    return done;
  if (product.splitRows || product.gamma)
    return at->emitOpError("expects a product that merges splits, or that "
                           "normalizes its input");
  if (hasGroups(product.format) && failed(dequantize(at, product, builder)))
    return failure();
  done = gemm(at, product, builder);
  if (failed(done) || *done)
    return done;
  if (product.format != WeightFormat::bf16 || product.swiglu)
    return at->emitOpError("expects a product that has a kernel");
  return dotProduct(at, product, builder);
}
