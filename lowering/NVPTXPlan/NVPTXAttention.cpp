//===- NVPTXAttention.cpp - The cache and attention on GPU kernels --------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionRows.h"
#include "lowering/NVPTX/RowRope.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

#include <limits>

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

/// The least positions of a sequence that one block attends to, so that a long
/// context keeps the device busy.
static constexpr int64_t kSplitTokens = 512;

/// Contexts are divided in as many splits as have room for partial results in
/// this, for the largest step, but in these at least and at most.
static constexpr int64_t kPartialBytes = int64_t(512) << 20;
static constexpr int64_t kLeastSplits = 8, kMostSplits = 128;

/// SMs of a Hopper GPU.
static constexpr int64_t kMultiprocessors = 132;

/// The most splits of a context. A model that is compiled for so many sequences
/// that they fill most of a GPU by themselves has no more than fill it: partial
/// results cost more than the cache of half a split where heads are many. With
/// fewer sequences a single long one should still keep all of it busy.
static int64_t mostSplits(LatentAttentionSpec spec) {
  int64_t items =
      spec.sequences * llvm::divideCeil(spec.heads, attentionTileRows);
  if (items >= kMultiprocessors * 3 / 4)
    return llvm::bit_ceil<uint64_t>(
        llvm::divideCeil(kMultiprocessors * 9 / 10, items));
  spec.maxSplits = 1;
  uint64_t fitting = std::max<int64_t>(kPartialBytes / spec.partialBytes(), 1);
  return std::clamp<int64_t>(llvm::bit_floor(fitting), kLeastSplits,
                             kMostSplits);
}

/// Physical rows are numbered by i32, however many a session has.
static int64_t maxCacheRows(LatentCacheType cache) {
  return std::numeric_limits<int32_t>::max() / cache.getPage() *
         cache.getPage();
}

/// How rows of the cache are stored; nullopt where no kernel writes them.
static std::optional<CacheFormat> cacheFormat(LatentCacheType cache) {
  if (cache.getElementType().isBF16())
    return CacheFormat::bf16;
  if (isa<Float8E4M3FNType>(cache.getElementType()) &&
      cache.getLatent() % scaleColumns == 0)
    return CacheFormat::fp8;
  return std::nullopt;
}

static StringRef cacheName(CacheFormat format) {
  return format == CacheFormat::fp8 ? "fp8" : "bf16";
}

CachePlane nvptx::planeOf(LatentCacheType cache,
                          const plan::StepLimits &limits) {
  CachePlane plane;
  plane.latent = cache.getLatent();
  plane.rope = cache.getRope();
  plane.rows = maxCacheRows(cache);
  plane.pageSize = cache.getPage();
  plane.pagesPerSequence = llvm::divideCeil(limits.maxContext, cache.getPage());
  plane.format = cacheFormat(cache).value_or(CacheFormat::bf16);
  return plane;
}

FailureOr<bool> NVPTXProvider::latentAppend(LatentAppendOp op,
                                            Builder &builder) {
  LatentCacheType cache = op.getCache().getType();
  TensorView kv = builder.view(op.getKv());
  TensorView gamma = builder.view(op.getGamma());
  std::optional<CacheFormat> format = cacheFormat(cache);
  if (!gamma.elementType.isF32() || !format || kv.strides.back() != 1 ||
      cache.getLatent() % 4 != 0 || cache.getRope() % 4 != 0 ||
      kv.rowStride() % 4 != 0)
    return false;
  CacheAppendSpec spec;
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.stride = kv.rowStride();
  spec.epsilon = static_cast<float>(op.getEps().convertToDouble());
  spec.bf16Input = kv.elementType.isBF16();
  spec.format = *format;
  SmallVector<BindingAttr> bindings = {
      kv.binding(Access::In),
      gamma.binding(Access::In),
      builder.batch(BatchField::Positions),
      builder.ropeTable(op.getRope(), spec.rope),
      builder.batch(BatchField::CacheRows),
      builder.cache(op.getLayer(), Access::Out)};
  if (RopeOp rotation = rotationWith(op)) {
    spec.queries = rotationOf(rotation, builder);
    if (!spec.queries)
      return rotation.emitOpError("expects queries that the kernel of the "
                                  "append can rotate");
    bindings.push_back(builder.view(rotation.getInput()).binding(Access::In));
    bindings.push_back(builder.view(rotation.getResult()).binding(Access::Out));
  }
  std::string name =
      ("latent_append_" + cacheName(spec.format) + "_" + Twine(spec.latent) +
       "_" + Twine(spec.rope) + "_stride" + Twine(spec.stride) +
       (spec.bf16Input ? "_frombf16" : "") + "_eps" + bitsOf(spec.epsilon) +
       (spec.queries ? "_" + nameOf(*spec.queries) : ""))
          .str();
  return dispatchKernel(op, builder, {name, bindings}, emitCacheAppend, spec);
}

FailureOr<bool> NVPTXProvider::latentAttention(LatentAttentionOp op,
                                               Builder &builder) {
  LatentCacheType cache = op.getCache().getType();
  TensorView latents = builder.view(op.getQLatent());
  TensorView rotated = builder.view(op.getQRope());
  TensorView output = builder.view(op.getResult());
  std::optional<CacheFormat> format = cacheFormat(cache);
  if (!format || !latents.elementType.isBF16() ||
      !rotated.elementType.isBF16() || !latents.isDense() ||
      !rotated.isDense() || !output.isDense())
    return false;
  LatentAttentionSpec spec;
  spec.tokens = builder.programTokens();
  spec.sequences = builder.limits().maxSequences;
  spec.heads = latents.shape[1];
  spec.cache = planeOf(cache, builder.limits());
  spec.scale = static_cast<float>(op.getScale().convertToDouble());
  spec.maxContext = builder.limits().maxContext;
  // Many tokens keep the device busy without dividing the context.
  spec.splitTokens =
      hasManyTokens(op) ? llvm::alignTo(spec.maxContext, 64) : kSplitTokens;
  spec.maxSplits = mostSplits(spec);
  std::string reason;
  if (output.elementType.isBF16() &&
      succeeded(checkLatentAttention(spec, reason)))
    return tiledAttention(op, spec, builder);
  if (format != CacheFormat::bf16)
    return op.emitOpError("expects a cache that kernels read: ") << reason;
  return rowAttention(op, builder);
}

FailureOr<bool> NVPTXProvider::tiledAttention(LatentAttentionOp op,
                                              const LatentAttentionSpec &spec,
                                              Builder &builder) {
  const CachePlane &plane = spec.cache;
  std::string suffix =
      ((plane.format == CacheFormat::fp8 ? "_fp8_" : "_") + Twine(spec.heads) +
       "x" + Twine(plane.latent) + "_" + Twine(plane.rope) + "_page" +
       Twine(plane.pageSize) + "x" + Twine(plane.pagesPerSequence) + "_split" +
       Twine(spec.splitTokens) + "x" + Twine(spec.maxSplits) + "of" +
       Twine(spec.maxContext) + "_max" + Twine(spec.tokens) + "x" +
       Twine(spec.sequences) + "_scale" + bitsOf(spec.scale))
          .str();
  // Nothing is written to the partial results of a single split.
  bool divided = spec.splits() > 1;
  BindingAttr partials = builder.scratch(
      "partials", divided ? spec.partialBytes() : 16, Access::Out);
  BindingAttr sums = builder.scratch(
      "partial_sums", divided ? spec.partialSumBytes() : 16, Access::Out);
  TensorView output = builder.view(op.getResult());
  if (failed(dispatchKernel(op, builder,
                            {"latent_attention" + suffix,
                             {builder.view(op.getQLatent()).binding(Access::In),
                              builder.view(op.getQRope()).binding(Access::In),
                              builder.cache(op.getLayer(), Access::In),
                              builder.batch(BatchField::QueryOffsets),
                              builder.batch(BatchField::ContextLengths),
                              builder.batch(BatchField::PageTable),
                              output.binding(Access::Out), partials, sums}},
                            emitLatentAttention, spec)))
    return failure();
  if (!divided)
    return true;
  KernelCall combine = {"latent_combine" + suffix,
                        {readable(partials), readable(sums),
                         builder.batch(BatchField::Positions),
                         builder.batch(BatchField::TokenSequence),
                         builder.batch(BatchField::ContextLengths)}};
  if (HeadProjectOp product = mergingProduct(op)) {
    dividedInputs[product] = {splitRowsOf(spec), combine.bindings};
    if (spec.tokens <= mergedTokens)
      return true;
    combine.range.first = mergedTokens + 1;
  }
  combine.bindings.push_back(output.binding(Access::InOut));
  return dispatchKernel(op, builder, combine, emitLatentCombine, spec);
}

FailureOr<bool> NVPTXProvider::rowAttention(LatentAttentionOp op,
                                            Builder &builder) {
  LatentCacheType cache = op.getCache().getType();
  TensorView latents = builder.view(op.getQLatent());
  TensorView output = builder.view(op.getResult());
  RowAttentionSpec spec;
  spec.heads = latents.shape[1];
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.pageSize = cache.getPage();
  spec.pagesPerSequence =
      llvm::divideCeil(builder.limits().maxContext, cache.getPage());
  spec.scale = static_cast<float>(op.getScale().convertToDouble());
  spec.bf16Output = output.elementType.isBF16();
  std::string name =
      ("row_attention_" + Twine(spec.bf16Output ? "bf16" : "f32") + "_" +
       Twine(spec.heads) + "x" + Twine(spec.latent) + "_" + Twine(spec.rope) +
       "_page" + Twine(spec.pageSize) + "x" + Twine(spec.pagesPerSequence) +
       "_scale" + bitsOf(spec.scale))
          .str();
  return dispatchKernel(
      op, builder,
      {name,
       {latents.binding(Access::In),
        builder.view(op.getQRope()).binding(Access::In),
        builder.cache(op.getLayer(), Access::In),
        builder.batch(BatchField::Positions),
        builder.batch(BatchField::TokenSequence),
        builder.batch(BatchField::PageTable), output.binding(Access::Out)}},
      emitRowAttention, spec);
}
