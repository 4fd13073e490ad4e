//===- DSV2Ops.td - All operations -------------------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2OPS_TD
#define DSV2_DIALECT_DSV2OPS_TD

include "dialect/DSV2AttentionOps.td"
include "dialect/DSV2ExpertOps.td"
include "dialect/DSV2TensorOps.td"
include "dialect/DSV2WeightOps.td"

#endif // DSV2_DIALECT_DSV2OPS_TD
