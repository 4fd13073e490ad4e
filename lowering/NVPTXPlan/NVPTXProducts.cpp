//===- NVPTXProducts.cpp - Matrix products on GPU kernels -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Gemm.h"
#include "lowering/NVPTX/RowMap.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

/// "_name" followed by `value`, when it is not `usual`.
static std::string unless(int64_t value, int64_t usual, StringRef name) {
  if (value == usual)
    return "";
  return ("_" + name + Twine(value)).str();
}

/// Whether a weight is plain rows of f32 or bf16.
static bool isPlain(const TensorView &weight) {
  return !weight.encoding &&
         (weight.elementType.isF32() || weight.elementType.isBF16());
}

FailureOr<bool> NVPTXProvider::dotProduct(Operation *at,
                                          const DotProductSpec &spec,
                                          ArrayRef<BindingAttr> bindings,
                                          Builder &builder) {
  auto typeName = [](bool isBf16) { return isBf16 ? "bf16" : "f32"; };
  std::string name =
      ("dot_" + Twine(typeName(spec.bf16Input)) + "_" +
       typeName(spec.bf16Weight) + "_" + typeName(spec.bf16Output) + "_" +
       (spec.experts ? Twine(spec.experts) + "e" : Twine(spec.heads)) + "x" +
       Twine(spec.rows) + "x" + Twine(spec.depth) +
       unless(spec.inputStride, spec.depth, "from") +
       unless(spec.inputHeadStride, 0, "head") +
       unless(spec.outputStride, spec.rows, "to") +
       unless(spec.outputHeadStride, 0, "head") +
       unless(spec.slotsPerToken, 1, "slots") + (spec.gather ? "_gather" : "") +
       (spec.residual ? "_add" : "") +
       unless(spec.residualStride, spec.residual ? spec.rows : 0, "addfrom") +
       (spec.dim == Dim::logitRows ? "_logits" : ""))
          .str();
  if (failed(use(
          at, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitDotProduct(module, symbol, spec);
          },
          bindings)))
    return failure();
  return true;
}

/// Tries the kernel for many rows; false when it does not take the shapes.
FailureOr<bool> NVPTXProvider::gemm(Operation *at, const GemmSpec &spec,
                                    ArrayRef<BindingAttr> bindings,
                                    Builder &builder) {
  std::string reason;
  if (!hasManyTokens(at) || failed(checkGemm(spec, reason)))
    return false;
  std::string name =
      ("gemm_bf16_" + Twine(spec.output == GemmOutput::f32 ? "f32" : "bf16") +
       "_" + (spec.experts ? Twine(spec.experts) + "e" : Twine(spec.heads)) +
       "x" + Twine(spec.rows) + "x" + Twine(spec.depth) + "_max" +
       Twine(spec.maxRows) + unless(spec.inputStride, 0, "from") +
       unless(spec.outputStride, 0, "to") + (spec.residual ? "_add" : "") +
       (spec.dim == Dim::logitRows ? "_logits" : ""))
          .str();
  if (failed(use(
          at, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitGemm(module, symbol, spec);
          },
          bindings)))
    return failure();
  return true;
}

FailureOr<bool> NVPTXProvider::linear(LinearOp op, Operation *at, Value result,
                                      Value residual, Builder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(result);
  if (!isPlain(weight) || output.elementType.isBF16() ||
      input.rows.multiple != 1)
    return false;
  DotProductSpec spec;
  spec.rows = weight.shape[0];
  spec.depth = weight.shape[1];
  spec.bf16Input = rowPlace(input).isBf16;
  spec.bf16Weight = weight.elementType.isBF16();
  spec.dim = static_cast<Dim>(input.rows.dim);
  spec.inputStride = rowPlace(input).rowStride;
  spec.outputStride = output.rowStride();
  SmallVector<BindingAttr> bindings = {input.binding(Access::In),
                                       weight.binding(Access::In)};
  if (residual) {
    TensorView addend = builder.view(residual);
    spec.residual = true;
    spec.residualStride = addend.rowStride();
    bindings.push_back(addend.binding(Access::In));
  }
  bindings.push_back(output.binding(Access::Out));
  bool sameStride = !residual || spec.residualStride == spec.outputStride;
  if (spec.bf16Input && spec.bf16Weight && sameStride) {
    GemmSpec tiles;
    tiles.rows = spec.rows;
    tiles.depth = spec.depth;
    tiles.maxRows = builder.limits().maxOf(input.rows.dim);
    tiles.output = GemmOutput::f32;
    tiles.residual = spec.residual;
    tiles.dim = spec.dim;
    tiles.inputStride = spec.inputStride == spec.depth ? 0 : spec.inputStride;
    tiles.outputStride = spec.outputStride == spec.rows ? 0 : spec.outputStride;
    FailureOr<bool> done = gemm(at, tiles, bindings, builder);
    if (failed(done) || *done)
      return done;
  }
  return dotProduct(at, spec, bindings, builder);
}

FailureOr<bool> NVPTXProvider::headProject(HeadProjectOp op, Builder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(op.getResult());
  if (!isPlain(weight) || input.rows.multiple != 1)
    return false;
  DotProductSpec spec;
  spec.heads = weight.shape[0];
  spec.rows = weight.shape[1];
  spec.depth = weight.shape[2];
  spec.bf16Input = rowPlace(input).isBf16;
  spec.bf16Weight = weight.elementType.isBF16();
  spec.bf16Output = output.elementType.isBF16();
  spec.dim = static_cast<Dim>(input.rows.dim);
  spec.inputStride = rowPlace(input).rowStride;
  spec.inputHeadStride = rowPlace(input).headStride;
  spec.outputStride = output.strides[0];
  spec.outputHeadStride = output.strides[1];
  BindingAttr bindings[] = {input.binding(Access::In),
                            weight.binding(Access::In),
                            output.binding(Access::Out)};
  bool isDense = spec.inputHeadStride == spec.depth &&
                 spec.inputStride == spec.heads * spec.depth &&
                 spec.outputHeadStride == spec.rows &&
                 spec.outputStride == spec.heads * spec.rows;
  if (spec.bf16Input && spec.bf16Weight && isDense) {
    GemmSpec tiles;
    tiles.rows = spec.rows;
    tiles.depth = spec.depth;
    tiles.heads = spec.heads;
    tiles.maxRows = builder.limits().maxOf(input.rows.dim);
    tiles.output = spec.bf16Output ? GemmOutput::bf16 : GemmOutput::f32;
    tiles.dim = spec.dim;
    FailureOr<bool> done = gemm(op, tiles, bindings, builder);
    if (failed(done) || *done)
      return done;
  }
  return dotProduct(op, spec, bindings, builder);
}

FailureOr<bool> NVPTXProvider::groupedLinear(GroupedLinearOp op,
                                             Builder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(op.getResult());
  if (!isPlain(weight) || !output.isDense())
    return false;
  DotProductSpec spec;
  spec.experts = weight.shape[0];
  spec.rows = weight.shape[1];
  spec.depth = weight.shape[2];
  spec.bf16Input = rowPlace(input).isBf16;
  spec.bf16Weight = weight.elementType.isBF16();
  spec.slotsPerToken = output.rows.multiple;
  spec.gather = op.getSlotToken() != nullptr;
  spec.inputStride = rowPlace(input).rowStride;
  spec.outputStride = output.rowStride();
  FailureOr<bool> tiled = groupedGemm(op, builder);
  if (failed(tiled) || *tiled)
    return tiled;
  SmallVector<BindingAttr> bindings = {
      input.binding(Access::In), weight.binding(Access::In),
      builder.view(op.getOffsets()).binding(Access::In)};
  if (spec.gather)
    bindings.push_back(builder.view(op.getSlotToken()).binding(Access::In));
  bindings.push_back(output.binding(Access::Out));
  return dotProduct(op, spec, bindings, builder);
}

/// y[slot] = x[slotToken[slot]] in bf16.
static KernelInfo emitGatherSlots(ModuleOp module, StringRef name,
                                  int64_t slotsPerToken, int64_t depth) {
  MapShape shape;
  shape.rowsPerToken = slotsPerToken;
  shape.depth = depth;
  shape.format = RowFormat::bf16;
  return emitRowMap(module, name, 2, shape,
                    [=](RowEmitter &k, Value token, Value sub) -> ColumnBody {
                      Value slot = k.add(k.mul(token, slotsPerToken), sub);
                      Value from =
                          k.load(k.getI32Type(),
                                 k.element(k.binding(1), k.getI32Type(), slot));
                      Value row =
                          k.rowAt(k.binding(0), k.getBF16Type(), from, depth);
                      return [&k, row](Value column) {
                        return k.loadColumns(row, k.getBF16Type(), column);
                      };
                    });
}

/// The tensor cores read the rows of an expert where they lie together.
FailureOr<bool> NVPTXProvider::groupedGemm(GroupedLinearOp op,
                                           Builder &builder) {
  TensorView input = builder.view(op.getInput());
  TensorView weight = builder.view(op.getWeight());
  TensorView output = builder.view(op.getResult());
  GemmSpec tiles;
  tiles.rows = weight.shape[1];
  tiles.depth = weight.shape[2];
  tiles.experts = weight.shape[0];
  tiles.maxRows = builder.limits().maxBatchTokens * output.rows.multiple;
  tiles.output = GemmOutput::f32;
  std::string reason;
  if (!input.elementType.isBF16() || !weight.elementType.isBF16() ||
      input.rowStride() != tiles.depth || tiles.depth % 4 != 0 ||
      !hasManyTokens(op) || failed(checkGemm(tiles, reason)))
    return false;
  BindingAttr rows = input.binding(Access::In);
  if (op.getSlotToken()) {
    BindingAttr gathered =
        builder.scratch("slots", tiles.maxRows * tiles.depth * 2, Access::Out);
    int64_t slots = output.rows.multiple;
    std::string name =
        ("gather_slots_" + Twine(slots) + "x" + Twine(tiles.depth)).str();
    if (failed(use(op, builder, name,
                   [&](ModuleOp module, StringRef symbol) {
                     return emitGatherSlots(module, symbol, slots, tiles.depth);
                   },
                   {rows, builder.view(op.getSlotToken()).binding(Access::In),
                    gathered})))
      return failure();
    rows = BindingAttr::get(op.getContext(), Access::In, gathered.getKind(),
                            gathered.getSymbol(), 0, 0);
  }
  return gemm(op, tiles,
              {rows, weight.binding(Access::In),
               builder.view(op.getOffsets()).binding(Access::In),
               output.binding(Access::Out)},
              builder);
}
