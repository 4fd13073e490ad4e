//===- NVPTXExpandedAttention.cpp - Attention over expanded keys ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Latents of the context are gathered, products of the tensor cores make keys
// and values of them, and attention reads these: for one chunk of the context
// after the other, so that memory does not grow with it.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionExpanded.h"
#include "lowering/NVPTX/CacheGather.h"
#include "lowering/NVPTXPlan/NVPTXProvider.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::dsv2;
using namespace mlir::dsv2::nvptx;
using plan::Access;
using plan::BindingAttr;
using plan::TensorView;

/// Keys and values of a chunk take no more than this, unless a chunk would be
/// so small that its launches and the sums between them would count.
static constexpr int64_t kChunkBytes = int64_t(256) << 20;
static constexpr int64_t kLeastChunk = 1024, kLargestChunk = 16384;

/// Rows of the context by which chunks advance; 0 when one holds them all.
static int64_t chunkStepOf(const ExpandedAttentionSpec &spec,
                           const plan::StepLimits &limits) {
  int64_t rowBytes = 2 * spec.heads * (spec.nope + spec.value);
  int64_t fitting = llvm::bit_floor(
      static_cast<uint64_t>(std::max<int64_t>(kChunkBytes / rowBytes, 1)));
  int64_t step = limits.contextChunk
                     ? llvm::alignTo(limits.contextChunk, spec.blockTokens)
                     : std::clamp(fitting, kLeastChunk, kLargestChunk);
  return step < spec.context ? step : 0;
}

/// Whether products alone read a result, as rows of all heads, packed or not.
/// The kernel then writes bf16.
static bool isReadByProducts(Value result) {
  auto joined = result.hasOneUse()
                    ? dyn_cast<tensor::CollapseShapeOp>(*result.user_begin())
                    : tensor::CollapseShapeOp();
  return joined && llvm::all_of(joined->getUsers(), [](Operation *user) {
           return isa<PackRowsOp, LinearOp>(user);
         });
}

TensorView NVPTXProvider::roundedView(ExpandedAttentionOp op,
                                      Builder &builder) {
  Value result = op.getResult();
  if (!builder.isPlaced(result) && isReadByProducts(result)) {
    TensorView rows;
    rows.shape.assign(op.getType().getShape().begin(),
                      op.getType().getShape().end());
    rows.shape[0] = builder.programTokens();
    rows.strides = {rows.shape[1] * rows.shape[2], rows.shape[2], 1};
    rows.rows = {plan::Dim::Tokens, 1};
    rows.elementType = BFloat16Type::get(op.getContext());
    rows.symbol =
        builder
            .scratch("attended", llvm::product_of(rows.shape) * 2, Access::Out)
            .getSymbol();
    builder.setView(result, rows);
  }
  return builder.view(result);
}

FailureOr<BindingAttr> NVPTXProvider::gatherContext(ExpandedAttentionOp op,
                                                    int64_t rows, bool chunked,
                                                    BindingAttr rotated,
                                                    Builder &builder) {
  LatentCacheType cache = op.getCache().getType();
  CacheGatherSpec spec;
  spec.sequences = builder.limits().maxSequences;
  spec.cache = planeOf(cache, builder.limits());
  BindingAttr latents =
      builder.scratch("latents", rows * spec.cache.latent * 2, Access::Out);
  bool isFp8 = spec.cache.format == CacheFormat::fp8;
  std::string name =
      ("gather_context_" + Twine(isFp8 ? "fp8" : "bf16") + "_" +
       Twine(spec.cache.latent) + "_" + Twine(spec.cache.rope) + "_page" +
       Twine(spec.cache.pageSize) + "x" + Twine(spec.cache.pagesPerSequence) +
       "_max" + Twine(spec.sequences))
          .str();
  TokenRange range;
  range.chunked = chunked;
  if (failed(dispatchKernel(
          op, builder,
          {name,
           {builder.cache(op.getLayer(), Access::In),
            builder.batch(BatchField::ContextOffsets),
            builder.batch(BatchField::PageTable), latents, rotated},
           range},
          emitCacheGather, spec)))
    return failure();
  return readable(latents);
}

FailureOr<BindingAttr> NVPTXProvider::expand(Operation *at, Value weight,
                                             BindingAttr latents, int64_t rows,
                                             bool chunked, StringRef name,
                                             Builder &builder) {
  // The matrices of all heads, one below the other, are one of many rows.
  TensorView matrices = builder.view(weight);
  Product product;
  product.spec.dim = Dim::context;
  product.spec.rows = matrices.shape[0] * matrices.shape[1];
  product.spec.depth = matrices.shape[2];
  product.spec.bf16Input = product.spec.bf16Weight = true;
  product.spec.bf16Output = true;
  product.spec.inputStride = product.spec.depth;
  product.spec.outputStride = product.spec.rows;
  product.maxRows = rows;
  product.chunked = chunked;
  product.input = latents;
  product.weight = matrices.binding(Access::In);
  product.output =
      builder.scratch(name, rows * product.spec.rows * 2, Access::Out);
  FailureOr<bool> done = gemm(at, product, builder);
  if (failed(done) || !*done)
    return at->emitOpError("expects heads and a latent whose products tensor "
                           "cores take; compile with --attention=latent");
  return readable(product.output);
}

FailureOr<bool> NVPTXProvider::expandedAttention(ExpandedAttentionOp op,
                                                 Builder &builder) {
  TensorView nope = builder.view(op.getQNope());
  TensorView rope = builder.view(op.getQRope());
  TensorView output = roundedView(op, builder);
  auto isRows = [](const TensorView &view) {
    return view.elementType.isBF16() && view.isDense();
  };
  auto isMatrices = [&](Value weight) {
    TensorView view = builder.view(weight);
    return view.elementType.isBF16() && !view.encoding;
  };
  ExpandedAttentionSpec spec;
  spec.tokens = builder.programTokens();
  spec.sequences = builder.limits().maxSequences;
  spec.context = builder.limits().maxOf(plan::Dim::Context);
  spec.heads = nope.shape[1];
  spec.nope = nope.shape[2];
  spec.rope = rope.shape[2];
  spec.value = output.shape[2];
  spec.scale = static_cast<float>(op.getScale().convertToDouble());
  spec.chunkStep = chunkStepOf(spec, builder.limits());
  std::string reason;
  if (!isRows(nope) || !isRows(rope) || !isRows(output) ||
      !isMatrices(op.getWUk()) || !isMatrices(op.getWUv()) ||
      failed(checkExpandedAttention(spec, reason)))
    return false;

  TokenRange range;
  range.chunked = spec.chunkStep != 0;
  if (range.chunked)
    builder.setChunks(spec.chunkStep, spec.rows());
  BindingAttr rotated =
      builder.scratch("rotated", spec.rows() * spec.rope * 2, Access::Out);
  FailureOr<BindingAttr> latents =
      gatherContext(op, spec.rows(), range.chunked, rotated, builder);
  if (failed(latents))
    return failure();
  FailureOr<BindingAttr> keys = expand(op, op.getWUk(), *latents, spec.rows(),
                                       range.chunked, "keys", builder);
  if (failed(keys))
    return failure();
  FailureOr<BindingAttr> values = expand(op, op.getWUv(), *latents, spec.rows(),
                                         range.chunked, "values", builder);
  if (failed(values))
    return failure();
  std::string name =
      ("expanded_attention_" + Twine(spec.heads) + "x" + Twine(spec.nope) +
       "_" + Twine(spec.rope) + "_" + Twine(spec.value) + "_rows" +
       Twine(spec.rows()) + "_step" + Twine(spec.chunkStep) + "_max" +
       Twine(spec.tokens) + "x" + Twine(spec.sequences) + "_scale" +
       bitsOf(spec.scale))
          .str();
  // Sums go from one chunk to the next.
  BindingAttr sums = builder.scratch("sums", spec.sumBytes(), Access::InOut);
  BindingAttr states =
      builder.scratch("states", spec.stateBytes(), Access::InOut);
  return dispatchKernel(
      op, builder,
      {name,
       {nope.binding(Access::In), rope.binding(Access::In), *keys, *values,
        readable(rotated), builder.batch(BatchField::QueryOffsets),
        builder.batch(BatchField::ContextLengths),
        builder.batch(BatchField::ContextOffsets), output.binding(Access::Out),
        sums, states},
       range},
      emitExpandedAttention, spec);
}
