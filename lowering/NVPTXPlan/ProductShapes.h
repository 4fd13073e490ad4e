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

/// Whether the product of few rows `op` is computed with the normalization of
/// its input, which nothing else reads.
bool normalizesInput(LinearOp op);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTXPLAN_PRODUCTSHAPES_H
