//===- NVPTXProductKernels.cpp - Kernels of matrix products ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Dequantize.h"
#include "lowering/NVPTX/Gemm.h"
#include "lowering/NVPTX/Gemv.h"
#include "lowering/NVPTX/RouterProduct.h"
#include "lowering/NVPTX/RowMap.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::BindingAttr;

/// Steps of up to so many tokens have a kernel of their own: for one, all warps
/// of a block prepare the row; for a few, all rows are handled at once.
static constexpr int64_t kFewTokens[] = {1, 8};

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

/// How contexts are divided whose splits the product merges.
static std::string mergeOf(const GemvSpec &spec) {
  if (!spec.splitRows)
    return "";
  const ContextSplits &division = spec.splitRows->division;
  return ("_merge" + Twine(division.tokens) + "x" + Twine(division.most) +
          "of" + Twine(division.maxContext))
      .str();
}

/// Whether no kernel of a step writes what products of few tokens read before
/// the previous launch has ended.
static bool isReadBeforeWaiting(const NVPTXProvider::Product &product) {
  return llvm::all_of(
      ArrayRef{product.weight, product.weightScales, product.gamma},
      [](BindingAttr binding) {
        return !binding || binding.getKind() == plan::BindingKind::Weight;
      });
}

FailureOr<bool> NVPTXProvider::routerProduct(Operation *at,
                                             const Product &product,
                                             Builder &builder) {
  const DotProductSpec &from = product.spec;
  if (hasManyTokens(at) || from.bf16Weight || from.bf16Input ||
      from.bf16Output || from.residual || from.heads != 1 || from.experts ||
      from.dim != Dim::tokens || from.outputStride != from.rows ||
      from.depth % 4 || from.inputStride % 4 ||
      from.depth > RouterProductSpec::maxDepth || !isReadBeforeWaiting(product))
    return false;
  RouterProductSpec spec;
  spec.rows = from.rows;
  spec.depth = from.depth;
  spec.stride = from.inputStride;
  spec.norm = static_cast<bool>(product.gamma);
  spec.epsilon = product.epsilon;
  SmallVector<BindingAttr> bindings = {product.input, product.weight};
  if (spec.norm)
    bindings.push_back(product.gamma);
  bindings.push_back(product.output);
  auto emit = [&](int64_t tileRows, TokenRange range) {
    spec.tileRows = tileRows;
    std::string name = "router_" + sizesOf(from) + placesOf(product) +
                       unless(tileRows, 1, "tile");
    return dispatchKernel(at, builder, {name, bindings, range},
                          emitRouterProduct, spec);
  };
  if (failed(emit(1, {std::nullopt, 1})) ||
      (product.maxRows > 1 && failed(emit(4, {2, std::nullopt}))))
    return failure();
  return true;
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
  if (from.experts) // one token has work for so many
    spec.usualMatrices = from.slotsPerToken;
  spec.dim = from.dim;
  spec.inputStride = from.inputStride;
  spec.inputHeadStride = from.inputHeadStride;
  spec.outputStride = from.outputStride;
  spec.outputHeadStride = from.outputHeadStride;
  spec.residualStride = from.residualStride;
  spec.maxRows = product.maxRows;
  std::string reason;
  if (hasManyTokens(at) || product.fp8Input || !from.bf16Weight ||
      !isReadBeforeWaiting(product) || failed(checkGemv(spec, reason)))
    return false;

  SmallVector<BindingAttr> bindings = {product.input, product.weight};
  if (product.weightScales)
    bindings.push_back(product.weightScales);
  if (product.gamma)
    bindings.push_back(product.gamma);
  size_t splitsAt = bindings.size();
  if (from.experts)
    bindings.append({product.offsets, product.active, product.activeCount});
  if (from.gather)
    bindings.push_back(product.slotToken);
  if (from.residual)
    bindings.push_back(product.residual);
  bindings.push_back(product.output);

  auto emit = [&](int64_t maxRows, TokenRange range) {
    spec.maxRows = maxRows;
    SmallVector<BindingAttr> bound(bindings);
    if (product.splitRows && maxRows <= mergedTokens) {
      spec.splitRows = product.splitRows;
      bound.insert(bound.begin() + splitsAt, product.splits.begin(),
                   product.splits.end());
    } else {
      spec.splitRows.reset();
    }
    std::string name =
        ("gemv_" + formatName(spec.format) + "_" +
         (from.bf16Input ? "bf16" : "f32") + "_" +
         (from.bf16Output ? "bf16" : "f32") + "_" + sizesOf(from) +
         placesOf(product) + mergeOf(spec) +
         unless(from.slotsPerToken, from.experts ? 8 : 1, "usual") + "_max" +
         Twine(maxRows))
            .str();
    return dispatchKernel(at, builder, {name, bound, range}, emitGemv, spec);
  };
  // The bits do not depend on how many rows a kernel handles at once.
  TokenRange range;
  for (int64_t few : kFewTokens) {
    if (product.maxRows <= few)
      break;
    range.last = few;
    if (failed(emit(few, range)))
      return failure();
    range = {few + 1, std::nullopt};
  }
  if (failed(emit(product.maxRows, range)))
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
  if (failed(dispatchKernel(at, builder, {name, {product.weight, values}},
                            emitDequantize, spec)))
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
    used = dispatchKernel(at, builder,
                          {"gather_slots_fp8_" + sizes,
                           {product.input, product.inputScales,
                            product.slotToken, quants, scales}},
                          emitGatherFp8, GatherFp8Spec{slots, depth});
    product.input = readable(quants);
    product.inputScales = behind(product.input, elements);
  } else {
    BindingAttr rows = builder.scratch("slots", elements * 2, Access::Out);
    used = dispatchKernel(
        at, builder,
        {"gather_slots_" + sizes, {product.input, product.slotToken, rows}},
        [&](ModuleOp module, StringRef symbol) {
          return emitGatherSlots(module, symbol, slots, depth);
        });
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
  return dispatchKernel(at, builder, {name, bindings, range}, emitGemm, spec);
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
  return dispatchKernel(at, builder, {name, bindings}, emitDotProduct, spec);
}
