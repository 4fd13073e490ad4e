//===- NVPTXProductKernels.cpp - Kernels of matrix products ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Dequantize.h"
#include "lowering/NVPTX/Gemm.h"
#include "lowering/NVPTX/Gemv.h"
#include "lowering/NVPTX/RowMap.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::BindingAttr;

/// Steps of up to so many tokens have a kernel that handles all rows at once,
/// and so can read weights before the previous kernel has ended.
static constexpr int64_t kFewTokens = 8;

/// "_name" followed by `value`, when it is not `usual`.
static std::string unless(int64_t value, int64_t usual, StringRef name) {
  if (value == usual)
    return "";
  return ("_" + name + Twine(value)).str();
}

static StringRef formatName(WeightFormat format) {
  switch (format) {
  case WeightFormat::bf16:
    return "bf16";
  case WeightFormat::fp8:
    return "fp8";
  case WeightFormat::int8:
    return "int8";
  case WeightFormat::int4:
    return "int4";
  }
  llvm_unreachable("all formats are listed");
}

/// "16x512x128", "64ex2816x2048": heads or experts, rows and depth.
static std::string sizesOf(const DotProductSpec &spec) {
  return (Twine(spec.experts ? spec.experts : spec.heads) +
          (spec.experts ? "ex" : "x") + Twine(spec.rows) + "x" +
          Twine(spec.depth))
      .str();
}

/// Columns of the result.
static int64_t columnsOf(const NVPTXProvider::Product &product) {
  return product.swiglu ? product.spec.rows / 2 : product.spec.rows;
}

/// Where rows and heads lie, as far as they are not dense.
static std::string placesOf(const NVPTXProvider::Product &product) {
  const DotProductSpec &spec = product.spec;
  int64_t columns = columnsOf(product);
  int64_t heads = spec.heads > 1 ? 1 : 0;
  return unless(spec.inputStride, spec.heads * spec.depth, "from") +
         unless(spec.inputHeadStride, heads * spec.depth, "head") +
         unless(spec.outputStride, spec.heads * columns, "to") +
         unless(spec.outputHeadStride, heads * columns, "head") +
         (product.gamma ? "_norm_eps" + bitsOf(product.epsilon) : "") +
         (product.swiglu ? "_swiglu" : "") + (spec.residual ? "_add" : "") +
         unless(spec.residualStride, spec.residual ? spec.outputStride : 0,
                "addfrom") +
         (spec.gather ? "_gather" : "") +
         (spec.dim == Dim::logitRows ? "_logits" : "") +
         (spec.dim == Dim::context ? "_context" : "");
}

FailureOr<bool> NVPTXProvider::gemv(Operation *at, const Product &product,
                                    Builder &builder) {
  const DotProductSpec &from = product.spec;
  GemvSpec spec;
  spec.rows = from.rows;
  spec.depth = from.depth;
  spec.format = product.format;
  spec.input = from.bf16Input ? GemvType::bf16 : GemvType::f32;
  spec.output = from.bf16Output ? GemvType::bf16 : GemvType::f32;
  spec.norm = static_cast<bool>(product.gamma);
  if (spec.norm)
    spec.epsilon = product.epsilon;
  spec.residual = from.residual;
  spec.swiglu = product.swiglu;
  spec.heads = from.heads;
  spec.experts = from.experts;
  spec.gather = from.gather;
  spec.dim = from.dim;
  spec.inputStride = from.inputStride;
  spec.inputHeadStride = from.inputHeadStride;
  spec.outputStride = from.outputStride;
  spec.outputHeadStride = from.outputHeadStride;
  spec.residualStride = from.residualStride;
  spec.maxRows = product.maxRows;
  std::string reason;
  if (hasManyTokens(at) || product.fp8Input || !from.bf16Weight ||
      failed(checkGemv(spec, reason)))
    return false;

  SmallVector<BindingAttr> bindings = {product.input, product.weight};
  if (product.weightScales)
    bindings.push_back(product.weightScales);
  if (product.gamma)
    bindings.push_back(product.gamma);
  if (from.experts)
    bindings.append({product.offsets, product.active, product.activeCount});
  if (from.gather)
    bindings.push_back(product.slotToken);
  if (from.residual)
    bindings.push_back(product.residual);
  bindings.push_back(product.output);

  auto emit = [&](int64_t maxRows, TokenRange range) {
    spec.maxRows = maxRows;
    std::string name =
        ("gemv_" + formatName(spec.format) + "_" +
         (from.bf16Input ? "bf16" : "f32") + "_" +
         (from.bf16Output ? "bf16" : "f32") + "_" + sizesOf(from) +
         placesOf(product) + "_max" + Twine(maxRows))
            .str();
    return use(
        at, builder, name,
        [&](ModuleOp module, StringRef symbol) {
          return emitGemv(module, symbol, spec);
        },
        bindings, range);
  };
  // The bits do not depend on how many rows a kernel handles at once.
  if (product.maxRows <= kFewTokens) {
    if (failed(emit(product.maxRows, {})))
      return failure();
    return true;
  }
  if (failed(emit(kFewTokens, {std::nullopt, kFewTokens})) ||
      failed(emit(product.maxRows, {kFewTokens + 1, std::nullopt})))
    return failure();
  return true;
}

LogicalResult NVPTXProvider::dequantize(Operation *at, Product &product,
                                        Builder &builder) {
  DequantizeSpec spec;
  spec.rows = product.spec.rows;
  spec.depth = product.spec.depth;
  spec.format = product.format;
  spec.matrices =
      product.spec.experts ? product.spec.experts : product.spec.heads;
  BindingAttr values = builder.scratch(
      "values", spec.matrices * spec.rows * spec.depth * 2, Access::Out);
  std::string name =
      ("dequantize_" + formatName(spec.format) + "_" + sizesOf(product.spec))
          .str();
  if (failed(use(at, builder, name,
                 [&](ModuleOp module, StringRef symbol) {
                   return emitDequantize(module, symbol, spec);
                 },
                 {product.weight, values})))
    return failure();
  product.weight = readable(values);
  product.format = WeightFormat::bf16;
  product.spec.bf16Weight = true;
  return success();
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

LogicalResult NVPTXProvider::gatherSlots(Operation *at, Product &product,
                                         Builder &builder) {
  int64_t slots = product.spec.slotsPerToken, depth = product.spec.depth;
  int64_t elements = product.maxRows * slots * depth;
  std::string sizes = (Twine(slots) + "x" + Twine(depth)).str();
  LogicalResult used = success();
  if (product.fp8Input) {
    BindingAttr quants = builder.scratch(
        "slots", elements + elements / scaleColumns * 4, Access::Out);
    BindingAttr scales = behind(quants, elements);
    used = use(at, builder, "gather_slots_fp8_" + sizes,
               [&](ModuleOp module, StringRef symbol) {
                 return emitGatherFp8(module, symbol, {slots, depth});
               },
               {product.input, product.inputScales, product.slotToken, quants,
                scales});
    product.input = readable(quants);
    product.inputScales = behind(product.input, elements);
  } else {
    BindingAttr rows = builder.scratch("slots", elements * 2, Access::Out);
    used = use(at, builder, "gather_slots_" + sizes,
               [&](ModuleOp module, StringRef symbol) {
                 return emitGatherSlots(module, symbol, slots, depth);
               },
               {product.input, product.slotToken, rows});
    product.input = readable(rows);
  }
  return used;
}

FailureOr<bool> NVPTXProvider::gemm(Operation *at, Product product,
                                    Builder &builder) {
  const DotProductSpec &from = product.spec;
  GemmSpec spec;
  spec.rows = from.rows;
  spec.depth = from.depth;
  spec.maxRows = product.maxRows * from.slotsPerToken;
  bool fp8 = product.format == WeightFormat::fp8;
  spec.format = fp8 ? GemmFormat::fp8 : GemmFormat::bf16;
  spec.output = from.bf16Output ? GemmOutput::bf16 : GemmOutput::f32;
  spec.residual = from.residual;
  spec.swiglu = product.swiglu;
  spec.heads = from.heads;
  spec.experts = from.experts;
  spec.dim = from.dim;
  if (from.inputStride != from.heads * from.depth)
    spec.inputStride = from.inputStride;
  if (from.outputStride != from.heads * columnsOf(product))
    spec.outputStride = from.outputStride;
  bool denseHeads = from.heads == 1 || (from.inputHeadStride == from.depth &&
                                        from.outputHeadStride == from.rows);
  bool sameResidual =
      !from.residual || from.residualStride == from.outputStride;
  std::string reason;
  bool isRounded = fp8 ? product.fp8Input : from.bf16Input && from.bf16Weight;
  // Rows of the context are many in any program.
  bool hasManyRows = hasManyTokens(at) || from.dim == Dim::context;
  if (!hasManyRows || !isRounded || !denseHeads || !sameResidual ||
      failed(checkGemm(spec, reason)))
    return false;

  // The tensor cores read the rows of an expert where they lie together.
  if (from.gather && spec.inputStride)
    return false;
  if (from.gather && failed(gatherSlots(at, product, builder)))
    return failure();
  SmallVector<BindingAttr> bindings = {product.input, product.weight};
  if (fp8)
    bindings.append({product.inputScales, product.weightScales});
  if (from.experts)
    bindings.push_back(product.offsets);
  if (from.residual)
    bindings.push_back(product.residual);
  bindings.push_back(product.output);
  product.spec.gather = false;
  TokenRange range;
  range.chunked = product.chunked;
  std::string name =
      ("gemm_" + formatName(product.format) + "_" +
       Twine(from.bf16Output ? "bf16" : "f32") + "_" + sizesOf(from) +
       placesOf(product) + "_max" + Twine(spec.maxRows))
          .str();
  if (failed(use(
          at, builder, name,
          [&](ModuleOp module, StringRef symbol) {
            return emitGemm(module, symbol, spec);
          },
          bindings, range)))
    return failure();
  return true;
}

FailureOr<bool> NVPTXProvider::dotProduct(Operation *at, const Product &product,
                                          Builder &builder) {
  const DotProductSpec &spec = product.spec;
  auto typeName = [](bool isBf16) { return isBf16 ? "bf16" : "f32"; };
  SmallVector<BindingAttr> bindings = {product.input, product.weight};
  if (spec.experts)
    bindings.push_back(product.offsets);
  if (spec.gather)
    bindings.push_back(product.slotToken);
  if (spec.residual)
    bindings.push_back(product.residual);
  bindings.push_back(product.output);
  std::string name =
      ("dot_" + Twine(typeName(spec.bf16Input)) + "_" +
       typeName(spec.bf16Weight) + "_" + typeName(spec.bf16Output) + "_" +
       sizesOf(spec) + placesOf(product) +
       unless(spec.slotsPerToken, 1, "slots"))
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
