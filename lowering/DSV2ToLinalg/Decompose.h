//===- Decompose.h - The decomposition of each operation --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Each function emits what an operation means and returns its results, up to
// the static sizes in their types. Operations with an opaque format (Passes.h)
// are not passed to them.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_DSV2TOLINALG_DECOMPOSE_H
#define DSV2_LOWERING_DSV2TOLINALG_DECOMPOSE_H

#include "dialect/DSV2Dialect.h"
#include "lowering/DSV2ToLinalg/LinalgBuilder.h"

namespace mlir::dsv2 {

using Results = SmallVector<Value>;

// DecomposeTensorOps.cpp
Results decompose(LinalgBuilder &b, EmbedOp op);
Results decompose(LinalgBuilder &b, SelectRowsOp op);
Results decompose(LinalgBuilder &b, RMSNormOp op);
Results decompose(LinalgBuilder &b, LinearOp op);
Results decompose(LinalgBuilder &b, HeadProjectOp op);
Results decompose(LinalgBuilder &b, RopeOp op);
Results decompose(LinalgBuilder &b, SwigluOp op);
Results decompose(LinalgBuilder &b, PackRowsOp op);

// DecomposeCache.cpp
Results decompose(LinalgBuilder &b, CacheAppendOp op);
Results decompose(LinalgBuilder &b, LatentAppendOp op);
Results decompose(LinalgBuilder &b, CacheGatherOp op);

// DecomposeAttention.cpp
Results decompose(LinalgBuilder &b, AttentionOp op);
Results decompose(LinalgBuilder &b, LatentAttentionOp op);
Results decompose(LinalgBuilder &b, ExpandedAttentionOp op);

// DecomposeRoute.cpp
Results decompose(LinalgBuilder &b, RouteOp op);

// DecomposeExperts.cpp
Results decompose(LinalgBuilder &b, ExpertsOp op);
Results decompose(LinalgBuilder &b, GroupTokensOp op);
Results decompose(LinalgBuilder &b, GroupedLinearOp op);
Results decompose(LinalgBuilder &b, CombineExpertsOp op);

/// One array of a batch.
Value getBatchField(LinalgBuilder &b, Value batch, BatchField field);

/// scalars[2] + scalars[0] * scalars[1], in f32.
Value multiplyAdd(LinalgBuilder &b, ValueRange scalars);

/// silu(gate) * up of f32 scalars.
Value emitSwiglu(LinalgBuilder &b, Value gate, Value up);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_DSV2TOLINALG_DECOMPOSE_H
