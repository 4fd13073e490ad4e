//===- PlanDialect.h - The plan dialect -------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_PLAN_PLANDIALECT_H
#define DSV2_LOWERING_PLAN_PLANDIALECT_H

#include "dialect/DSV2Dialect.h"

#include "lowering/Plan/PlanDialect.h.inc"
#include "lowering/Plan/PlanEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "lowering/Plan/PlanAttributes.h.inc"

#define GET_OP_CLASSES
#include "lowering/Plan/PlanOps.h.inc"

#endif // DSV2_LOWERING_PLAN_PLANDIALECT_H
