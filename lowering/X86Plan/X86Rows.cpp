//===- X86Rows.cpp - Row operations on x86 kernels ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/RowMap.h"
#include "lowering/X86/RowNorm.h"
#include "lowering/X86/RowRope.h"
#include "lowering/X86Plan/X86Provider.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::x86;
using plan::Access;
using plan::BindingAttr;
using plan::bitsOf;
using plan::TensorView;

FailureOr<bool> X86Provider::embed(EmbedOp op, Builder &builder) {
  TensorView table = builder.view(op.getTable());
  if (table.elementType.isF16())
    return false;
  EmbedSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.vocab = table.shape[0];
  spec.depth = table.shape[1];
  spec.bf16Table = table.elementType.isBF16();
  std::string name = ("embed_" + Twine(spec.bf16Table ? "bf16" : "f32") + "_" +
                      Twine(spec.vocab) + "x" + Twine(spec.depth))
                         .str();
  return dispatchKernel(op, builder,
                        {name,
                         {builder.view(op.getTokens()).binding(Access::In),
                          table.binding(Access::In),
                          builder.view(op.getResult()).binding(Access::Out)}},
                        emitEmbed, spec);
}

FailureOr<bool> X86Provider::rmsNorm(RMSNormOp op, Builder &builder) {
  std::optional<RowFormat> format =
      rowFormat(cast<RankedTensorType>(op.getType()));
  TensorView gamma = builder.view(op.getGamma());
  if (!format || !gamma.elementType.isF32())
    return false;
  auto select = op.getInput().getDefiningOp<SelectRowsOp>();
  bool gather = select && isFusedIntoUser(select);
  TensorView input =
      builder.view(gather ? Value(select.getInput()) : Value(op.getInput()));
  if (input.rows.multiple != 1 || input.rows.dim != plan::Dim::Tokens)
    return false;

  RmsNormSpec spec;
  spec.rows = builder.limits().maxBatchTokens;
  spec.depth = gamma.shape[0];
  spec.stride = input.rowStride();
  spec.epsilon = static_cast<float>(op.getEps().convertToDouble());
  spec.gather = gather;
  spec.format = *format;
  SmallVector<BindingAttr> bindings = {input.binding(Access::In),
                                       gamma.binding(Access::In)};
  if (gather)
    bindings.push_back(builder.batch(BatchField::LogitRows));
  bindings.push_back(builder.view(op.getResult()).binding(Access::Out));

  std::string name =
      ("rms_norm_" + nameOf(*format) + "_" + Twine(spec.depth) +
       (spec.stride != spec.depth ? "_stride" + Twine(spec.stride) : "") +
       (gather ? "_gather" : "") + "_eps" + bitsOf(spec.epsilon))
          .str();
  return dispatchKernel(op, builder, {name, bindings}, emitRmsNorm, spec);
}

FailureOr<bool> X86Provider::packRows(PackRowsOp op, Builder &builder) {
  TensorView input = builder.view(op.getInput());
  std::optional<RowFormat> format =
      rowFormat(cast<RankedTensorType>(op.getType()));
  std::optional<plan::TokenRows> rows = plan::rowsOf(input);
  if (!format || !rows)
    return false;
  PackRowsSpec spec;
  spec.tokens = builder.limits().maxOf(input.rows.dim);
  spec.dim = static_cast<Dim>(input.rows.dim);
  spec.depth = input.shape.back();
  spec.format = *format;
  spec.heads = rows->heads;
  spec.tokenStride = rows->tokenStride;
  spec.headStride = rows->headStride;
  std::string name =
      ("pack_rows_" + nameOf(*format) + "_" + Twine(spec.heads) + "x" +
       Twine(spec.depth) + "_stride" + Twine(spec.tokenStride) + "_" +
       Twine(spec.headStride) + (spec.dim == Dim::logitRows ? "_logits" : ""))
          .str();
  return dispatchKernel(op, builder,
                        {name,
                         {input.binding(Access::In),
                          builder.view(op.getResult()).binding(Access::Out)}},
                        emitPackRows, spec);
}

FailureOr<bool> X86Provider::swiglu(SwigluOp op, Builder &builder) {
  TensorView gate = builder.view(op.getGate()), up = builder.view(op.getUp());
  std::optional<RowFormat> format =
      rowFormat(cast<RankedTensorType>(op.getType()));
  if (!format || gate.strides != up.strides || gate.strides.back() != 1 ||
      gate.rows.dim != plan::Dim::Tokens)
    return false;
  auto slice = op.getGate().getDefiningOp<tensor::ExtractSliceOp>();
  Value product = slice ? slice.getSource() : Value();
  TokenRange range;
  if (product && gatedBy(product) == op)
    range = rangeOf(product, /*swiglu=*/false, builder);
  SwiGluSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.rowsPerToken = gate.rows.multiple;
  spec.depth = gate.shape.back();
  spec.stride = gate.rowStride();
  spec.format = *format;
  std::string name =
      ("swiglu_" + nameOf(*format) + "_" + Twine(spec.rowsPerToken) + "x" +
       Twine(spec.depth) + "_stride" + Twine(spec.stride))
          .str();
  if (failed(
          dispatchKernel(op, builder,
                         {name,
                          {gate.binding(Access::In), up.binding(Access::In),
                           builder.view(op.getResult()).binding(Access::Out)},
                          range},
                         emitSwiGlu, spec)))
    return failure();
  if (!range.last)
    return true;
  ProductUse use = {op, op.getResult(), {}, format};
  if (auto linearOp = product.getDefiningOp<LinearOp>())
    return linear(linearOp, use, builder);
  return groupedLinear(product.getDefiningOp<GroupedLinearOp>(), use, builder);
}

FailureOr<bool> X86Provider::rope(RopeOp op, Builder &builder) {
  TensorView input = builder.view(op.getInput());
  if (input.strides.back() != 1)
    return false;
  TensorView output = queryView(op.getResult(), builder);
  auto slices = [](const TensorView &view) {
    bool byHead = view.shape.size() == 3;
    return HeadSlices{view.strides[0], byHead ? view.strides[1] : 0};
  };
  RopeSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.heads = input.shape.size() == 3 ? input.shape[1] : 1;
  spec.rope = input.shape.back();
  spec.positions = builder.limits().maxContext;
  spec.input = slices(input);
  spec.output = slices(output);
  spec.bf16Output = output.elementType.isBF16();
  std::string name =
      ("rope_" + Twine(spec.bf16Output ? "bf16" : "f32") + "_" +
       Twine(spec.heads) + "x" + Twine(spec.rope) + "_from" +
       Twine(spec.input.tokenStride) + "_" + Twine(spec.input.headStride) +
       "_to" + Twine(spec.output.tokenStride) + "_" +
       Twine(spec.output.headStride))
          .str();
  return dispatchKernel(
      op, builder,
      {name,
       {input.binding(Access::In), builder.batch(BatchField::Positions),
        builder.ropeTable(op.getRope(), spec.rope),
        output.binding(Access::Out)}},
      emitRope, spec);
}

FailureOr<bool> X86Provider::sumRows(arith::AddFOp op, Builder &builder) {
  TensorView lhs = builder.view(op.getLhs()), rhs = builder.view(op.getRhs());
  if (lhs.shape.size() != 2 || !lhs.isDense() || !rhs.isDense() ||
      lhs.rows != plan::RowCount{plan::Dim::Tokens, 1} || lhs.rows != rhs.rows)
    return false;
  SumRowsSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.depth = lhs.shape[1];
  std::string name = ("add_" + Twine(spec.depth)).str();
  return dispatchKernel(op, builder,
                        {name,
                         {lhs.binding(Access::In), rhs.binding(Access::In),
                          builder.view(op.getResult()).binding(Access::Out)}},
                        emitSumRows, spec);
}
