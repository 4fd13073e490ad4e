//===- ModelBuilder.cpp - Model IR from a config
//-------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/builder/ModelBuilder.h"

#include "dialect/DSV2Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <cmath>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Config;
using ::dsv2::DataType;

namespace {

constexpr int64_t kDynamic = ShapedType::kDynamic;

/// Builds one function; holds what every layer needs.
class ModelBuilder {
public:
  ModelBuilder(MLIRContext *context, const Config &config,
               const BuilderOptions &options)
      : b(UnknownLoc::get(context), context), config(config), options(options),
        f32(b.getF32Type()) {}

  OwningOpRef<ModuleOp> build();

private:
  RankedTensorType activation(ArrayRef<int64_t> shape) {
    return RankedTensorType::get(shape, f32);
  }
  RankedTensorType rows(int64_t width) { return activation({kDynamic, width}); }

  ::dsv2::TensorInfo storedInfo(StringRef name, int64_t rank) const;
  RankedTensorType blockType(ArrayRef<int64_t> shape,
                             ::dsv2::GroupFormat groups);
  RankedTensorType weightType(const ::dsv2::TensorInfo &stored,
                              ArrayRef<int64_t> shape);
  /// Declares the weight `symbol` and returns its value.
  Value weight(const Twine &symbol, const Twine &name, ArrayRef<int64_t> shape);

  Value norm(Value input, Value gamma, double eps);
  Value linear(Value input, Value matrix);
  Value add(Value lhs, Value rhs) { return arith::AddFOp::create(b, lhs, rhs); }
  /// Columns [first, first + width) of the last dimension.
  Value columns(Value input, int64_t first, int64_t width);
  Value splitHeads(Value input, int64_t heads, int64_t width);
  Value mergeHeads(Value input, int64_t heads, int64_t width);
  RopeAttr rope();

  Value attention(int64_t layer, Value hidden);
  Value query(int64_t layer, Value hidden);
  Value feedForward(const Twine &symbol, const Twine &name, int64_t width,
                    Value hidden);
  Value experts(int64_t layer, Value hidden);

  ImplicitLocOpBuilder b;
  const Config &config;
  const BuilderOptions &options;
  Type f32;
  OpBuilder::InsertPoint weightPoint;
  Value tokenCount, batch, cache;
};

} // namespace

::dsv2::TensorInfo ModelBuilder::storedInfo(StringRef name,
                                            int64_t rank) const {
  auto [prefix, suffix] = name.split('*');
  std::string first =
      name.contains('*') ? (prefix + "0" + suffix).str() : name.str();
  if (options.stored)
    return options.stored(first);
  bool isFp8 = config.fp8 && rank > 1 && !name.contains("embed_tokens") &&
               !name.contains("lm_head") && !name.contains("mlp.gate.");
  ::dsv2::TensorInfo info;
  info.dtype = isFp8 ? DataType::f8e4m3 : config.dtype;
  return info;
}

RankedTensorType ModelBuilder::blockType(ArrayRef<int64_t> shape,
                                         ::dsv2::GroupFormat groups) {
  MLIRContext *context = b.getContext();
  constexpr int64_t size = ::dsv2::groupElements;
  if (groups == ::dsv2::GroupFormat::int4)
    return RankedTensorType::get(shape, b.getIntegerType(4),
                                 BlockInt4Attr::get(context, size));
  return RankedTensorType::get(shape, b.getI8Type(),
                               BlockInt8Attr::get(context, size));
}

RankedTensorType ModelBuilder::weightType(const ::dsv2::TensorInfo &stored,
                                          ArrayRef<int64_t> shape) {
  if (stored.hasGroups)
    return blockType(shape, stored.groups);
  switch (stored.dtype) {
  case DataType::f16:
    return RankedTensorType::get(shape, b.getF16Type());
  case DataType::bf16:
    return RankedTensorType::get(shape, b.getBF16Type());
  case DataType::f8e4m3: {
    ::dsv2::Fp8Blocks blocks = config.fp8.value_or(::dsv2::Fp8Blocks());
    return RankedTensorType::get(
        shape, Float8E4M3FNType::get(b.getContext()),
        BlockFp8Attr::get(b.getContext(), blocks.rows, blocks.cols));
  }
  default:
    return RankedTensorType::get(shape, f32);
  }
}

Value ModelBuilder::weight(const Twine &symbol, const Twine &name,
                           ArrayRef<int64_t> shape) {
  std::string tensor = name.str();
  ::dsv2::TensorInfo stored = storedInfo(tensor, shape.size());
  RankedTensorType type = weightType(stored, shape);
  auto functionPoint = b.saveInsertionPoint();
  b.restoreInsertionPoint(weightPoint);
  auto op = WeightOp::create(b, b.getStringAttr(symbol), TypeAttr::get(type),
                             b.getStringAttr(tensor));
  weightPoint = b.saveInsertionPoint();
  b.restoreInsertionPoint(functionPoint);
  Value value = GetWeightOp::create(b, type, FlatSymbolRefAttr::get(op));
  if (stored.groups == ::dsv2::GroupFormat::none || stored.hasGroups)
    return value;
  return QuantizeOp::create(b, blockType(shape, stored.groups), value);
}

Value ModelBuilder::norm(Value input, Value gamma, double eps) {
  return RMSNormOp::create(b, input.getType(), input, gamma,
                           b.getF64FloatAttr(eps));
}

Value ModelBuilder::linear(Value input, Value matrix) {
  auto type = cast<RankedTensorType>(matrix.getType());
  return LinearOp::create(b, rows(type.getDimSize(0)), input, matrix);
}

Value ModelBuilder::columns(Value input, int64_t first, int64_t width) {
  auto type = cast<RankedTensorType>(input.getType());
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(type.getRank(), b.getIndexAttr(1));
  SmallVector<OpFoldResult> sizes;
  for (int64_t size : type.getShape())
    sizes.push_back(ShapedType::isDynamic(size) ? OpFoldResult(tokenCount)
                                                : b.getIndexAttr(size));
  offsets.back() = b.getIndexAttr(first);
  sizes.back() = b.getIndexAttr(width);
  return tensor::ExtractSliceOp::create(b, input, offsets, sizes, strides);
}

Value ModelBuilder::splitHeads(Value input, int64_t heads, int64_t width) {
  SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
  SmallVector<OpFoldResult> shape = {tokenCount, b.getIndexAttr(heads),
                                     b.getIndexAttr(width)};
  return tensor::ExpandShapeOp::create(b, activation({kDynamic, heads, width}),
                                       input, groups, shape);
}

Value ModelBuilder::mergeHeads(Value input, int64_t heads, int64_t width) {
  SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
  return tensor::CollapseShapeOp::create(b, rows(heads * width), input, groups);
}

RopeAttr ModelBuilder::rope() {
  MLIRContext *context = b.getContext();
  YarnAttr yarn;
  if (config.yarn) {
    const ::dsv2::Yarn &y = *config.yarn;
    double mscale = y.mscale;
    // An explicit attention factor is the magnitude itself; state the mscale
    // that yields it.
    if (y.attentionFactor && y.factor > 1) {
      double logFactor = std::log(y.factor);
      double allDim = 0.1 * y.mscaleAllDim * logFactor + 1;
      mscale = (*y.attentionFactor * allDim - 1) / (0.1 * logFactor);
    }
    yarn = YarnAttr::get(context, APFloat(y.factor), y.originalMaxPosition,
                         APFloat(y.betaFast), APFloat(y.betaSlow),
                         APFloat(mscale), APFloat(y.mscaleAllDim), y.truncate);
  }
  return RopeAttr::get(context, APFloat(config.ropeTheta), yarn);
}

Value ModelBuilder::query(int64_t layer, Value hidden) {
  std::string symbol = ("layers." + Twine(layer) + ".").str();
  std::string name = ("model.layers." + Twine(layer) + ".self_attn.").str();
  int64_t width = config.heads * config.qkHeadDim();
  if (!config.qLoraRank)
    return linear(hidden, weight(symbol + "q", name + "q_proj.weight",
                                 {width, config.hidden}));
  int64_t rank = *config.qLoraRank;
  Value down = linear(hidden, weight(symbol + "q_a", name + "q_a_proj.weight",
                                     {rank, config.hidden}));
  Value gamma =
      weight(symbol + "q_a_norm", name + "q_a_layernorm.weight", {rank});
  return linear(
      norm(down, gamma, config.latentNormEps),
      weight(symbol + "q_b", name + "q_b_proj.weight", {width, rank}));
}

Value ModelBuilder::attention(int64_t layer, Value hidden) {
  std::string symbol = ("layers." + Twine(layer) + ".").str();
  std::string name = ("model.layers." + Twine(layer) + ".self_attn.").str();
  int64_t heads = config.heads, nope = config.qkNopeHeadDim;
  int64_t rotary = config.qkRopeHeadDim, latent = config.kvLoraRank;
  int64_t valueDim = config.vHeadDim;

  Value q = splitHeads(query(layer, hidden), heads, nope + rotary);
  Value qNope = columns(q, 0, nope);
  Value qPart = columns(q, nope, rotary);
  Value qRope = RopeOp::create(b, qPart.getType(), qPart, batch, rope());

  Value kv =
      linear(hidden, weight(symbol + "kv_a", name + "kv_a_proj_with_mqa.weight",
                            {latent + rotary, config.hidden}));
  Value gamma =
      weight(symbol + "kv_a_norm", name + "kv_a_layernorm.weight", {latent});
  Value c = norm(columns(kv, 0, latent), gamma, config.latentNormEps);
  Value kPart = columns(kv, latent, rotary);
  Value kRope = RopeOp::create(b, kPart.getType(), kPart, batch, rope());

  auto layerAttr = b.getI64IntegerAttr(layer);
  cache = CacheAppendOp::create(b, cache.getType(), cache, layerAttr, c, kRope,
                                batch);
  auto context = CacheGatherOp::create(b, TypeRange{rows(latent), rows(rotary)},
                                       cache, layerAttr, batch);

  // kv_b holds, for each head, the rows of its keys and then of its values.
  Value up = weight(symbol + "kv_b", name + "kv_b_proj.weight",
                    {heads * (nope + valueDim), latent});
  auto upType = cast<RankedTensorType>(up.getType());
  if (upType.getEncoding()) { // heads do not fall on blocks of scales
    upType = activation(upType.getShape());
    up = DequantizeOp::create(b, upType, up);
  }
  SmallVector<ReassociationIndices> groups = {{0, 1}, {2}};
  Value byHead = tensor::ExpandShapeOp::create(
      b, upType.clone({heads, nope + valueDim, latent}), up, groups);
  auto headRows = [&](int64_t first, int64_t count) -> Value {
    SmallVector<OpFoldResult> offsets = {
        b.getIndexAttr(0), b.getIndexAttr(first), b.getIndexAttr(0)};
    SmallVector<OpFoldResult> sizes = {
        b.getIndexAttr(heads), b.getIndexAttr(count), b.getIndexAttr(latent)};
    SmallVector<OpFoldResult> strides(3, b.getIndexAttr(1));
    return tensor::ExtractSliceOp::create(b, byHead, offsets, sizes, strides);
  };
  Value key = HeadProjectOp::create(b, activation({kDynamic, heads, nope}),
                                    context.getLatent(), headRows(0, nope));
  Value value =
      HeadProjectOp::create(b, activation({kDynamic, heads, valueDim}),
                            context.getLatent(), headRows(nope, valueDim));

  Value attended = AttentionOp::create(
      b, activation({kDynamic, heads, valueDim}), qNope, qRope, key,
      context.getKey(), value, b.getF64FloatAttr(softmaxScale(config)), batch);
  return linear(mergeHeads(attended, heads, valueDim),
                weight(symbol + "o", name + "o_proj.weight",
                       {config.hidden, heads * valueDim}));
}

Value ModelBuilder::feedForward(const Twine &symbol, const Twine &name,
                                int64_t width, Value hidden) {
  std::string s = symbol.str(), n = name.str();
  Value gate = linear(hidden, weight(s + "gate", n + "gate_proj.weight",
                                     {width, config.hidden}));
  Value up = linear(
      hidden, weight(s + "up", n + "up_proj.weight", {width, config.hidden}));
  Value active = SwigluOp::create(b, gate.getType(), gate, up);
  return linear(active, weight(s + "down", n + "down_proj.weight",
                               {config.hidden, width}));
}

Value ModelBuilder::experts(int64_t layer, Value hidden) {
  std::string symbol = ("layers." + Twine(layer) + ".").str();
  std::string name = ("model.layers." + Twine(layer) + ".mlp.").str();
  int64_t count = *config.routedExperts, topK = config.expertsPerToken;
  int64_t width = config.moeIntermediateSize;

  Value logits = linear(hidden, weight(symbol + "router", name + "gate.weight",
                                       {count, config.hidden}));
  Value bias;
  Selection selection = Selection::Greedy;
  if (config.selection == ::dsv2::Selection::noauxTc) {
    bias = weight(symbol + "router_bias", name + "gate.e_score_correction_bias",
                  {count});
    if (!cast<RankedTensorType>(bias.getType()).getElementType().isF32())
      bias = arith::ExtFOp::create(b, activation({count}), bias);
    selection = config.groups > 1 ? Selection::GroupTop2 : Selection::Greedy;
  } else if (config.selection == ::dsv2::Selection::groupLimitedMax &&
             config.groups > 1) {
    selection = Selection::GroupMax;
  }
  bool grouped = selection != Selection::Greedy;
  bool normalize = config.normTopkProb && topK > 1;
  bool scaled = config.routingRule == ::dsv2::RoutingRule::normalizeThenScale ||
                !normalize;
  auto scoring = config.scoring == ::dsv2::Scoring::sigmoid ? Scoring::Sigmoid
                                                            : Scoring::Softmax;
  auto route = RouteOp::create(
      b,
      TypeRange{rows(topK),
                RankedTensorType::get({kDynamic, topK}, b.getI32Type())},
      logits, bias, scoring, selection, topK, grouped ? config.topkGroup : 1,
      grouped ? config.groups : 1, /*shared=*/IntegerAttr(), normalize,
      APFloat(scaled ? config.routedScalingFactor : 1.0));

  Value gate =
      weight(symbol + "experts.gate", name + "experts.*.gate_proj.weight",
             {count, width, config.hidden});
  Value up = weight(symbol + "experts.up", name + "experts.*.up_proj.weight",
                    {count, width, config.hidden});
  Value down =
      weight(symbol + "experts.down", name + "experts.*.down_proj.weight",
             {count, config.hidden, width});
  Value routed =
      ExpertsOp::create(b, rows(config.hidden), hidden, route.getWeights(),
                        route.getExperts(), gate, up, down);
  if (config.sharedExperts == 0)
    return routed;
  return add(routed, feedForward(symbol + "shared.", name + "shared_experts.",
                                 width * config.sharedExperts, hidden));
}

OwningOpRef<ModuleOp> ModelBuilder::build() {
  MLIRContext *context = b.getContext();
  OwningOpRef<ModuleOp> module = ModuleOp::create(b.getLoc());
  if (!options.source.empty())
    (*module)->setAttr("dsv2.source", b.getStringAttr(options.source));
  b.setInsertionPointToEnd(module->getBody());

  Type element = options.cache == CacheElement::f32    ? Type(f32)
                 : options.cache == CacheElement::bf16 ? Type(b.getBF16Type())
                 : options.cache == CacheElement::int8
                     ? Type(b.getI8Type())
                     : Type(Float8E4M3FNType::get(context));
  auto cacheType =
      LatentCacheType::get(context, config.kvLoraRank, config.qkRopeHeadDim,
                           element, config.layers, options.pageSize);
  auto tokensType = RankedTensorType::get({kDynamic}, b.getI32Type());
  auto function = func::FuncOp::create(
      b, "forward",
      b.getFunctionType({tokensType, BatchType::get(context), cacheType},
                        {rows(config.vocab), cacheType}));
  Block *entry = function.addEntryBlock();
  b.setInsertionPoint(function);
  weightPoint = b.saveInsertionPoint();
  b.setInsertionPointToStart(entry);

  Value tokens = entry->getArgument(0);
  batch = entry->getArgument(1);
  cache = entry->getArgument(2);
  tokenCount = tensor::DimOp::create(b, tokens, 0);

  Value table = weight("embed", "model.embed_tokens.weight",
                       {config.vocab, config.hidden});
  Value x = EmbedOp::create(b, rows(config.hidden), tokens, table);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    std::string symbol = ("layers." + Twine(layer) + ".").str();
    std::string name = ("model.layers." + Twine(layer) + ".").str();
    Value inputNorm = weight(symbol + "input_norm",
                             name + "input_layernorm.weight", {config.hidden});
    x = add(x, attention(layer, norm(x, inputNorm, config.rmsNormEps)));
    Value postNorm =
        weight(symbol + "post_attention_norm",
               name + "post_attention_layernorm.weight", {config.hidden});
    Value hidden = norm(x, postNorm, config.rmsNormEps);
    x = add(x, isMoeLayer(config, layer)
                   ? experts(layer, hidden)
                   : feedForward(symbol, name + "mlp.", config.intermediateSize,
                                 hidden));
  }
  Value last = SelectRowsOp::create(b, x.getType(), x, batch);
  last = norm(last, weight("norm", "model.norm.weight", {config.hidden}),
              config.rmsNormEps);
  Value head = config.tieWordEmbeddings ? table
                                        : weight("lm_head", "lm_head.weight",
                                                 {config.vocab, config.hidden});
  func::ReturnOp::create(b, ValueRange{linear(last, head), cache});
  return module;
}

OwningOpRef<ModuleOp> mlir::dsv2::buildModel(MLIRContext *context,
                                             const Config &config,
                                             const BuilderOptions &options) {
  context->loadDialect<DSV2Dialect, arith::ArithDialect, func::FuncDialect,
                       tensor::TensorDialect>();
  return ModelBuilder(context, config, options).build();
}
