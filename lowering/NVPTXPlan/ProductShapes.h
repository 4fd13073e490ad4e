//===- ProductShapes.h - Which kernels a product has ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What the pass that packs and the provider of kernels must agree about.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTXPLAN_PRODUCTSHAPES_H
#define DSV2_LOWERING_NVPTXPLAN_PRODUCTSHAPES_H

#include "dialect/DSV2Dialect.h"

namespace mlir::dsv2::nvptx {

/// Whether the program of `op` is for many tokens of a sequence: tensor cores
/// then earn their tiles. A program has one kind of product, since the kinds
/// differ in the order of sums.
bool hasManyTokens(Operation *op);

/// Whether the rows of a weight are those of gate and up in turn: the product
/// is then computed with the SwiGLU of its halves.
bool isInterleaved(Value weight);

/// Whether the product of few rows reads `input` with `weight` where `input` is
/// computed, in f32, and rounds it.
bool readsUnpacked(Value input, Value weight);

/// Whether the product makes the logits of a router.
bool feedsRouter(LinearOp op);

/// Whether `op` is normalized by each product of few rows that reads it, and
/// nothing else does: the norm is repeated and has no launch of its own.
bool isNormOfProducts(RMSNormOp op);

/// Whether a warp can route a token: it has a lane for each slot and group.
bool fitsIntoWarp(RouteOp op);

/// Whether the sorting of the router's choices, where tokens are few, is done
/// by the kernel that chooses.
bool sortsFewSlots(RouteOp op);

/// The product of heads that merges what attention leaves of divided contexts,
/// in steps of up to `mergedTokens`: the only one that reads the result of
/// `op`. Null when there is none. Every block of a head merges all of its rows,
/// which more tokens would pay for.
HeadProjectOp mergingProduct(LatentAttentionOp op);
inline constexpr int64_t mergedTokens = 1;

/// The append to the cache whose kernel computes the rotation `op` too, of
/// queries that attend to it; null when there is none.
LatentAppendOp appendWith(RopeOp op);
/// That rotation.
RopeOp rotationWith(LatentAppendOp op);

/// The norm that the product of `input` computes, or null.
RMSNormOp normOfInput(Value input);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTXPLAN_PRODUCTSHAPES_H
