//===- PlanTables.h - The plan dialect as flatbuffer tables -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_ARTIFACT_PLANTABLES_H
#define DSV2_LOWERING_ARTIFACT_PLANTABLES_H

#include "lowering/Plan/PlanDialect.h"
#include "runtime/schema/artifact_generated.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::dsv2 {

/// Ordinals of what dispatches name.
struct PlanOrdinals {
  llvm::StringMap<uint32_t> kernels;
  llvm::MapVector<StringRef, WeightOp> weights;
  llvm::StringMap<uint64_t> constants; ///< byte offsets
};

/// The weights that programs bind, in the order of their first use.
llvm::MapVector<StringRef, WeightOp> boundWeights(ModuleOp module);

/// Evaluates the constants of `module` into the plan and notes their offsets.
void addConstants(ModuleOp module, ::dsv2::schema::PlanT &plan,
                  PlanOrdinals &ordinals);

/// The table of a program whose buffers have places.
std::unique_ptr<::dsv2::schema::ProgramT>
programTable(plan::ProgramOp program, const PlanOrdinals &ordinals);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_ARTIFACT_PLANTABLES_H
