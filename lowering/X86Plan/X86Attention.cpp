//===- X86Attention.cpp - The cache and attention on x86 kernels ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/CacheRow.h"
#include "lowering/X86/AttentionExpanded.h"
#include "lowering/X86/AttentionLatent.h"
#include "lowering/X86/RowRope.h"
#include "lowering/X86Plan/X86Provider.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::x86;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

/// Positions of a sequence that one workgroup attends to when a single token
/// is to keep several threads busy.
static constexpr int64_t kSplitTokens = 1024;
/// Steps of up to so many tokens divide the context among workgroups.
static constexpr int64_t kFewTokens = 8;

static CachePlane planeOf(LatentCacheType cache,
                          const plan::StepLimits &limits) {
  CachePlane plane;
  plane.latent = cache.getLatent();
  plane.rope = cache.getRope();
  plane.pageSize = cache.getPage();
  plane.pagesPerSequence = llvm::divideCeil(limits.maxContext, cache.getPage());
  plane.rows = limits.maxSequences * plane.pagesPerSequence * plane.pageSize;
  Type element = cache.getElementType();
  plane.format = element.isF32()    ? CacheFormat::f32
                 : element.isBF16() ? CacheFormat::bf16
                                    : CacheFormat::int8;
  return plane;
}

/// Name parts that say everything about the cache, and about the scale.
static std::string planeName(const CachePlane &plane) {
  StringRef format = plane.format == CacheFormat::f32    ? "f32"
                     : plane.format == CacheFormat::bf16 ? "bf16"
                                                         : "int8";
  return (Twine(plane.latent) + "+" + Twine(plane.rope) + "_" + format +
          "_page" + Twine(plane.pageSize))
      .str();
}
static std::string planeName(const CachePlane &plane, float scale) {
  return planeName(plane) + "_scale" + plan::bitsOf(scale);
}

FailureOr<bool> X86Provider::latentAppend(LatentAppendOp op, Builder &builder) {
  LatentCacheType cache = op.getCache().getType();
  TensorView kv = builder.view(op.getKv());
  TensorView gamma = builder.view(op.getGamma());
  if (!gamma.elementType.isF32() || kv.strides.back() != 1)
    return false;
  CacheAppendSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.cache = planeOf(cache, builder.limits());
  spec.positions = builder.limits().maxContext;
  spec.stride = kv.rowStride();
  spec.epsilon = static_cast<float>(op.getEps().convertToDouble());
  std::string name = ("latent_append_" + planeName(spec.cache) + "_stride" +
                      Twine(spec.stride) + "_eps" + plan::bitsOf(spec.epsilon))
                         .str();
  return dispatchKernel(op, builder,
                        {name,
                         {kv.binding(Access::In), gamma.binding(Access::In),
                          builder.batch(BatchField::Positions),
                          builder.ropeTable(op.getRope(), spec.cache.rope),
                          builder.batch(BatchField::CacheRows),
                          builder.cache(op.getLayer(), Access::Out)}},
                        emitCacheAppend, spec);
}

TensorView X86Provider::queryView(Value query, Builder &builder) {
  LatentAttentionOp attention;
  if (query.hasOneUse())
    attention = dyn_cast<LatentAttentionOp>(*query.getUsers().begin());
  if (!attention || builder.isPlaced(query) ||
      !getElementTypeOrSelf(query.getType()).isBF16())
    return builder.view(query);
  TensorView rows;
  rows.elementType = getElementTypeOrSelf(query.getType());
  rows.rows = {plan::Dim::Tokens, 1};
  auto latentType = cast<RankedTensorType>(attention.getQLatent().getType());
  auto ropeType = cast<RankedTensorType>(attention.getQRope().getType());
  int64_t heads = latentType.getDimSize(1), latent = latentType.getDimSize(2);
  int64_t width = latent + ropeType.getDimSize(2);
  int64_t tokens = builder.programTokens();
  BindingAttr buffer = builder.scratch(
      "query", tokens * heads * width * plan::elementBytes(rows.elementType),
      Access::Out);
  rows.symbol = buffer.getSymbol();
  rows.strides = {heads * width, width, 1};
  rows.shape = {tokens, heads, latent};
  builder.setView(attention.getQLatent(), rows);
  rows.shape.back() = width - latent;
  rows.offset = latent * plan::elementBytes(rows.elementType);
  builder.setView(attention.getQRope(), rows);
  return builder.view(query);
}

FailureOr<bool> X86Provider::latentAttention(LatentAttentionOp op,
                                             Builder &builder) {
  LatentCacheType cache = op.getCache().getType();
  TensorView query = builder.view(op.getQLatent());
  TensorView output = builder.view(op.getResult());
  std::optional<RowFormat> format =
      rowFormat(cast<RankedTensorType>(op.getResult().getType()));
  if (cache.getElementType().isF32() || !format ||
      query.symbol != builder.view(op.getQRope()).symbol)
    return false;

  LatentAttentionSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.sequences = builder.limits().maxSequences;
  spec.heads = query.shape[1];
  spec.cache = planeOf(cache, builder.limits());
  spec.scale = static_cast<float>(op.getScale().convertToDouble());
  spec.splitTokens = kSplitTokens;
  spec.maxContext = builder.limits().maxContext;
  spec.format = *format;
  std::string suffix =
      ("_" + Twine(spec.heads) + "x" + planeName(spec.cache, spec.scale) + "_" +
       nameOf(*format))
          .str();
  SmallVector<BindingAttr> bindings = {query.binding(Access::In),
                                       builder.cache(op.getLayer(), Access::In),
                                       builder.batch(BatchField::Positions),
                                       builder.batch(BatchField::TokenSequence),
                                       builder.batch(BatchField::PageTable)};

  // Few tokens: also divide the context among threads. The bits are the same.
  int64_t fewTokens = std::min(kFewTokens, builder.programTokens());
  bool divide = spec.splits() > 1;
  if (!divide || fewTokens < builder.programTokens()) {
    SmallVector<BindingAttr> whole = bindings;
    whole.push_back(output.binding(Access::Out));
    TokenRange range;
    if (divide)
      range.first = fewTokens + 1;
    if (failed(dispatchKernel(op, builder,
                              {"latent_attention" + suffix, whole, range},
                              emitLatentAttention, spec)))
      return failure();
  }
  if (!divide)
    return true;
  spec.tokens = fewTokens;
  TokenRange range;
  if (fewTokens < builder.programTokens())
    range.last = fewTokens;
  suffix += ("_" + Twine(fewTokens)).str();
  BindingAttr partials =
      builder.scratch("partials", latentPartialElements(spec) * 4, Access::Out);
  bindings.push_back(partials);
  if (failed(dispatchKernel(op, builder,
                            {"latent_splits" + suffix, bindings, range},
                            emitLatentSplits, spec)))
    return failure();
  BindingAttr read = plan::readable(partials);
  return dispatchKernel(op, builder,
                        {"latent_combine" + suffix,
                         {read, builder.batch(BatchField::Positions),
                          output.binding(Access::Out)},
                         range},
                        emitLatentCombine, spec);
}

FailureOr<BindingAttr> X86Provider::cacheTiles(Operation *op,
                                               const CacheTilesSpec &spec,
                                               BindingAttr cache,
                                               Builder &builder) {
  CachePlane tiles = spec.tiles();
  BindingAttr buffer =
      builder.scratch("tiles", tiles.rows * tiles.rowStride() * 4, Access::Out);
  if (failed(dispatchKernel(op, builder,
                            {"cache_tiles_" + planeName(spec.cache),
                             {cache, builder.batch(BatchField::ContextLengths),
                              builder.batch(BatchField::PageTable), buffer}},
                            emitCacheTiles, spec)))
    return failure();
  return plan::readable(buffer);
}

FailureOr<bool> X86Provider::expandedAttention(ExpandedAttentionOp op,
                                               Builder &builder) {
  LatentCacheType cache = op.getCache().getType();
  TensorView nope = builder.view(op.getQNope());
  TensorView rope = builder.view(op.getQRope());
  TensorView output = builder.view(op.getResult());
  std::optional<WeightFormat> key = weightFormat(op.getWUk());
  std::optional<WeightFormat> value = weightFormat(op.getWUv());
  if (cache.getElementType().isF32() || key != WeightFormat::bf16 ||
      value != WeightFormat::bf16 || !rope.elementType.isBF16() ||
      !nope.elementType.isBF16() || !output.elementType.isF32())
    return false;
  // The kernel reads the cache in pairs, and the latent comes first.
  if (cache.getLatent() % 2 != 0)
    return op.emitOpError("expects a latent of even size on x86-64, found ")
           << cache.getLatent() << "; compile with --target=reference";

  ExpandedAttentionSpec spec;
  spec.tokens = builder.limits().maxBatchTokens;
  spec.sequences = builder.limits().maxSequences;
  spec.maxQueries = builder.limits().maxBatchTokens;
  spec.heads = nope.shape[1];
  spec.nope = nope.shape[2];
  spec.value = output.shape[2];
  spec.cache = planeOf(cache, builder.limits());
  spec.scale = static_cast<float>(op.getScale().convertToDouble());
  int64_t nopeWidth = nope.encoding ? paddedDepth(spec.nope) : spec.nope;
  spec.queryNope = {spec.heads * nopeWidth, nopeWidth};
  spec.queryRope = {rope.strides[0], rope.strides[1]};
  spec.format = RowFormat::f32;
  BindingAttr plane = builder.cache(op.getLayer(), Access::In);
  if (spec.cache.format == CacheFormat::bf16 &&
      op->hasAttr(int8ExpansionAttrName)) {
    CacheTilesSpec tiles{spec.sequences, spec.cache};
    spec.cache = tiles.tiles();
    FailureOr<BindingAttr> converted = cacheTiles(op, tiles, plane, builder);
    if (failed(converted))
      return failure();
    plane = *converted;
  }
  std::string name =
      ("expanded_attention_" + Twine(spec.heads) + "x" + Twine(spec.nope) +
       "+" + Twine(spec.value) + "_" + planeName(spec.cache, spec.scale) +
       "_nope" + Twine(nopeWidth) + "_rope" + Twine(rope.strides[1]))
          .str();
  return dispatchKernel(
      op, builder,
      {name,
       {nope.binding(Access::In), rope.binding(Access::In), plane,
        builder.view(op.getWUk()).binding(Access::In),
        builder.view(op.getWUv()).binding(Access::In),
        builder.batch(BatchField::QueryOffsets),
        builder.batch(BatchField::ContextLengths),
        builder.batch(BatchField::PageTable), output.binding(Access::Out)}},
      emitExpandedAttention, spec);
}
