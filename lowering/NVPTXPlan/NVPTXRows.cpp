//===- NVPTXRows.cpp - Row operations on GPU kernels ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/BestLogits.h"
#include "lowering/NVPTX/RowMap.h"
#include "lowering/NVPTX/RowNorm.h"
#include "lowering/NVPTX/RowRope.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"
#include "runtime/base/LogitCandidate.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

FailureOr<bool> NVPTXProvider::embed(EmbedOp op, Builder &builder) {
  TensorView table = builder.view(op.getTable());
  if (table.elementType.isF16() || table.shape[1] % 4 != 0)
    return false;
  EmbedSpec spec;
  spec.depth = table.shape[1];
  spec.bf16Table = table.elementType.isBF16();
  std::string name = ("embed_" + Twine(spec.bf16Table ? "bf16" : "f32") + "_" +
                      Twine(spec.depth))
                         .str();
  return dispatchKernel(op, builder,
                        {name,
                         {builder.view(op.getTokens()).binding(Access::In),
                          table.binding(Access::In),
                          builder.view(op.getResult()).binding(Access::Out)}},
                        emitEmbed, spec);
}

FailureOr<bool> NVPTXProvider::rmsNorm(RMSNormOp op, Builder &builder) {
  std::optional<RowFormat> format = rowFormat(op.getType());
  TensorView gamma = builder.view(op.getGamma());
  auto select = op.getInput().getDefiningOp<SelectRowsOp>();
  bool gather = select && isFusedIntoUser(select);
  TensorView input =
      builder.view(gather ? Value(select.getInput()) : Value(op.getInput()));
  if (!format || !gamma.elementType.isF32() || input.rows.multiple != 1 ||
      input.rows.dim != plan::Dim::Tokens)
    return false;

  RmsNormSpec spec;
  spec.depth = gamma.shape[0];
  spec.stride = input.rowStride();
  spec.epsilon = static_cast<float>(op.getEps().convertToDouble());
  spec.gather = gather;
  spec.bf16Input = input.elementType.isBF16();
  spec.format = *format;
  if (spec.depth % 4 != 0 || spec.stride % 4 != 0)
    return false;
  SmallVector<BindingAttr> bindings = {input.binding(Access::In),
                                       gamma.binding(Access::In)};
  if (gather)
    bindings.push_back(builder.batch(BatchField::LogitRows));
  llvm::append_range(bindings,
                     rowBindings(builder.view(op.getResult()), Access::Out));

  std::string name =
      ("rms_norm_" + nameOf(*format) + "_" + Twine(spec.depth) +
       (spec.stride != spec.depth ? "_stride" + Twine(spec.stride) : "") +
       (gather ? "_gather" : "") + (spec.bf16Input ? "_frombf16" : "") +
       "_eps" + bitsOf(spec.epsilon))
          .str();
  return dispatchKernel(op, builder, {name, bindings}, emitRmsNorm, spec);
}

FailureOr<bool> NVPTXProvider::packRows(PackRowsOp op, Builder &builder) {
  TensorView input = builder.view(op.getInput());
  std::optional<RowFormat> format = rowFormat(op.getType());
  std::optional<plan::TokenRows> rows = plan::rowsOf(input);
  if (!format || !rows || input.shape.back() % 4 != 0)
    return false;
  if (*format == RowFormat::bf16 && input.elementType.isBF16() &&
      input.isDense()) { // it has been packed by whoever wrote it
    builder.setView(op.getResult(), input);
    return true;
  }
  PackRowsSpec spec;
  spec.dim = static_cast<Dim>(input.rows.dim);
  spec.depth = input.shape.back();
  spec.bf16Input = input.elementType.isBF16();
  spec.format = *format;
  spec.heads = rows->heads;
  spec.tokenStride = rows->tokenStride;
  spec.headStride = rows->headStride;
  std::string name =
      ("pack_rows_" + nameOf(*format) + "_" + Twine(spec.heads) + "x" +
       Twine(spec.depth) + "_stride" + Twine(spec.tokenStride) + "_" +
       Twine(spec.headStride) + (spec.bf16Input ? "_frombf16" : "") +
       (spec.dim == Dim::logitRows ? "_logits" : ""))
          .str();
  SmallVector<BindingAttr> bindings = {input.binding(Access::In)};
  llvm::append_range(bindings,
                     rowBindings(builder.view(op.getResult()), Access::Out));
  return dispatchKernel(op, builder, {name, bindings}, emitPackRows, spec);
}

FailureOr<bool> NVPTXProvider::swiglu(SwigluOp op, Builder &builder) {
  TensorView gate = builder.view(op.getGate()), up = builder.view(op.getUp());
  std::optional<RowFormat> format = rowFormat(op.getType());
  if (!format || gate.strides != up.strides || gate.strides.back() != 1 ||
      gate.rows.dim != plan::Dim::Tokens || gate.shape.back() % 4 != 0 ||
      gate.elementType != up.elementType)
    return false;
  SwiGluSpec spec;
  spec.rowsPerToken = gate.rows.multiple;
  spec.depth = gate.shape.back();
  spec.stride = gate.rowStride();
  spec.bf16Input = gate.elementType.isBF16();
  spec.format = *format;
  std::string name =
      ("swiglu_" + nameOf(*format) + "_" + Twine(spec.rowsPerToken) + "x" +
       Twine(spec.depth) + "_stride" + Twine(spec.stride) +
       (spec.bf16Input ? "_frombf16" : ""))
          .str();
  SmallVector<BindingAttr> bindings = {gate.binding(Access::In),
                                       up.binding(Access::In)};
  llvm::append_range(bindings,
                     rowBindings(builder.view(op.getResult()), Access::Out));
  return dispatchKernel(op, builder, {name, bindings}, emitSwiGlu, spec);
}

std::optional<RopeSpec> nvptx::rotationOf(RopeOp op,
                                          plan::DispatchBuilder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView output = builder.view(op.getResult());
  if (input.strides.back() != 1 || input.shape.back() % 4 != 0)
    return std::nullopt;
  auto slices = [](const TensorView &view) {
    bool byHead = view.shape.size() == 3;
    return HeadSlices{view.strides[0], byHead ? view.strides[1] : 0};
  };
  RopeSpec spec;
  spec.heads = input.shape.size() == 3 ? input.shape[1] : 1;
  spec.rope = input.shape.back();
  spec.input = slices(input);
  spec.output = slices(output);
  spec.bf16Input = input.elementType.isBF16();
  spec.bf16Output = output.elementType.isBF16();
  return spec;
}

std::string nvptx::nameOf(const RopeSpec &spec) {
  return ("rope_" + Twine(spec.bf16Output ? "bf16" : "f32") + "_" +
          Twine(spec.heads) + "x" + Twine(spec.rope) + "_from" +
          Twine(spec.input.tokenStride) + "_" + Twine(spec.input.headStride) +
          "_to" + Twine(spec.output.tokenStride) + "_" +
          Twine(spec.output.headStride) + (spec.bf16Input ? "_frombf16" : ""))
      .str();
}

FailureOr<bool> NVPTXProvider::rope(RopeOp op, Builder &builder) {
  std::optional<RopeSpec> spec = rotationOf(op, builder);
  if (!spec)
    return false;
  return dispatchKernel(op, builder,
                        {nameOf(*spec),
                         {builder.view(op.getInput()).binding(Access::In),
                          builder.batch(BatchField::Positions),
                          builder.ropeTable(op.getRope(), spec->rope),
                          builder.view(op.getResult()).binding(Access::Out)}},
                        emitRope, *spec);
}

FailureOr<bool> NVPTXProvider::sumRows(arith::AddFOp op, Builder &builder) {
  TensorView lhs = builder.view(op.getLhs()), rhs = builder.view(op.getRhs());
  if (lhs.shape.size() != 2 || !lhs.isDense() || !rhs.isDense() ||
      lhs.rows != plan::RowCount{plan::Dim::Tokens, 1} ||
      lhs.rows != rhs.rows || lhs.shape[1] % 4 != 0)
    return false;
  SumRowsSpec spec;
  spec.depth = lhs.shape[1];
  std::string name = ("add_" + Twine(spec.depth)).str();
  return dispatchKernel(op, builder,
                        {name,
                         {lhs.binding(Access::In), rhs.binding(Access::In),
                          builder.view(op.getResult()).binding(Access::Out)}},
                        emitSumRows, spec);
}

LogicalResult NVPTXProvider::finish(Value logits, Builder &builder) {
  TensorView view = builder.view(logits);
  if (!view.elementType.isF32() || !view.isDense() || view.shape.size() != 2 ||
      view.rows != plan::RowCount{plan::Dim::LogitRows, 1})
    return success();
  BestLogitsSpec spec;
  spec.depth = view.shape[1];
  int64_t rows = builder.limits().maxLogitRows;
  BindingAttr read = view.binding(Access::In);
  BindingAttr maxima =
      builder.scratch("maxima", rows * spec.groups() * 4, Access::Out);
  BindingAttr lists = behind(
      view.binding(Access::Out),
      static_cast<int64_t>(::dsv2::LogitCandidates::offset(rows, spec.depth)));
  Operation *op = logits.getDefiningOp();
  KernelCall first = {"group_maxima_" + std::to_string(spec.depth),
                      {read, maxima},
                      {},
                      "group_maxima"};
  KernelCall second = {bestLogitsKernelName.str(),
                       {read, readable(maxima), lists},
                       {},
                       "best_logits"};
  if (failed(dispatchKernel(op, builder, first, emitGroupMaxima, spec)) ||
      failed(dispatchKernel(op, builder, second, emitBestLogits, spec)))
    return failure();
  return success();
}
