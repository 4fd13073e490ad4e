//===- AttentionOps.cpp - Verifiers of the cache and attention ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/CacheRow.h"
#include "dialect/Verify.h"

using namespace mlir;
using namespace mlir::dsv2;

/// (C1) of every operation on one layer of the cache.
template <typename Op>
static LogicalResult verifyLayer(Op op) {
  int64_t layers = op.getCache().getType().getLayers();
  if (static_cast<int64_t>(op.getLayer()) < layers)
    return success();
  return op.emitOpError("expects a layer below ")
         << layers << ", but found " << op.getLayer();
}

/// The layer, and (C2): latents and keys are as wide as those of the cache.
template <typename Op>
static LogicalResult verifyLatentAndKey(Op op) {
  if (failed(verifyLayer(op)))
    return failure();
  LatentCacheType cache = op.getCache().getType();
  if (failed(expectSize(op, "the width of the latent", dimOf(op.getLatent(), 1),
                        cache.getLatent())))
    return failure();
  return expectSize(op, "the width of the key", dimOf(op.getKey(), 1),
                    cache.getRope());
}

LogicalResult CacheAppendOp::verify() { return verifyLatentAndKey(*this); }

LogicalResult LatentAppendOp::verify() {
  if (failed(verifyLayer(*this)))
    return failure();
  LatentCacheType cache = getCache().getType();
  if (failed(expectSize(*this, "the width of kv", dimOf(getKv(), 1),
                        cache.getLatent() + cache.getRope()))) // (C2)
    return failure();
  return expectSize(*this, "the length of gamma", dimOf(getGamma(), 0),
                    cache.getLatent()); // (C2)
}

LogicalResult CacheGatherOp::verify() { return verifyLatentAndKey(*this); }

/// (C2) of the operations on a layer's plane.
template <typename Op>
static LogicalResult verifyPlane(Op op) {
  CacheRow row(op.getCache().getType());
  auto rows = cast<RankedTensorType>(op.getRows().getType());
  Type element = row.planeType().getElementType();
  if (rows.getElementType() == element && rows.getDimSize(1) == row.width())
    return success();
  return op.emitOpError("expects rows of ")
         << row.width() << " elements of type " << element << ", but found "
         << rows;
}

LogicalResult CacheRowsOp::verify() {
  return success(succeeded(verifyLayer(*this)) &&
                 succeeded(verifyPlane(*this)));
}

LogicalResult CacheUpdateOp::verify() {
  return success(succeeded(verifyLayer(*this)) &&
                 succeeded(verifyPlane(*this)));
}

LogicalResult AttentionOp::verify() {
  int64_t heads = dimOf(getQNope(), 1);
  for (Value value : {getQRope(), getKey(), getValue(), getResult()}) // (C1)
    if (failed(
            expectSize(*this, "the number of heads", dimOf(value, 1), heads)))
      return failure();
  if (failed(expectSize(*this, "the width of the key", dimOf(getKey(), 2),
                        dimOf(getQNope(), 2))) ||
      failed(expectSize(*this, "the width of the rotated key",
                        dimOf(getKeyRope(), 1), dimOf(getQRope(), 2)))) // (C2)
    return failure();
  return expectSize(*this, "the width of the result", dimOf(getResult(), 2),
                    dimOf(getValue(), 2)); // (C3)
}

LogicalResult ExpandedAttentionOp::verify() {
  if (failed(verifyLayer(*this)))
    return failure();
  LatentCacheType cache = getCache().getType();
  if (rankOf(getWUk()) != 3 || rankOf(getWUv()) != 3) // (C3)
    return emitOpError("expects weights of rank 3, but found ")
           << getWUk().getType() << " and " << getWUv().getType();
  int64_t heads = dimOf(getQNope(), 1);
  for (auto [value, dim] : {std::pair<Value, unsigned>{getQRope(), 1},
                            {getWUk(), 0},
                            {getWUv(), 0},
                            {getResult(), 1}}) // (C2)
    if (failed(
            expectSize(*this, "the number of heads", dimOf(value, dim), heads)))
      return failure();
  bool isTransposed = isa_and_nonnull<PanelsAttr>(
      cast<RankedTensorType>(getWUk().getType()).getEncoding());
  unsigned nopeDim = isTransposed ? 2 : 1, latentDim = isTransposed ? 1 : 2;
  if (failed(expectSize(*this, "the key width of w_uk",
                        dimOf(getWUk(), nopeDim), dimOf(getQNope(), 2))) ||
      failed(expectSize(*this, "the latent width of w_uk",
                        dimOf(getWUk(), latentDim), cache.getLatent())) ||
      failed(expectSize(*this, "dimension 1 of w_uv", dimOf(getWUv(), 1),
                        dimOf(getResult(), 2))) ||
      failed(expectSize(*this, "dimension 2 of w_uv", dimOf(getWUv(), 2),
                        cache.getLatent()))) // (C3)
    return failure();
  return expectSize(*this, "the width of q_rope", dimOf(getQRope(), 2),
                    cache.getRope()); // (C4)
}

LogicalResult LatentAttentionOp::verify() {
  if (failed(verifyLayer(*this)))
    return failure();
  LatentCacheType cache = getCache().getType();
  int64_t heads = dimOf(getQLatent(), 1);
  for (Value value : {getQRope(), getResult()}) // (C2)
    if (failed(
            expectSize(*this, "the number of heads", dimOf(value, 1), heads)))
      return failure();
  for (Value value : {getQLatent(), getResult()}) // (C3)
    if (failed(expectSize(*this, "the width of the latent", dimOf(value, 2),
                          cache.getLatent())))
      return failure();
  return expectSize(*this, "the width of q_rope", dimOf(getQRope(), 2),
                    cache.getRope()); // (C3)
}
