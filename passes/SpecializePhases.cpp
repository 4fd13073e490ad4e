//===- SpecializePhases.cpp - Clone @forward for each phase ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "dialect/DSV2Dialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_SPECIALIZEPHASESPASS
#include "passes/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// Inserts a copy of `forward` named `name` before it.
func::FuncOp cloneAs(func::FuncOp forward, StringRef name) {
  OpBuilder builder(forward);
  auto clone = cast<func::FuncOp>(builder.clone(*forward));
  clone.setSymName(name);
  return clone;
}

struct SpecializePhasesPass final
    : dsv2::impl::SpecializePhasesPassBase<SpecializePhasesPass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (decodeQueryTokens < 1) {
      module.emitError("expects decode-query-tokens of at least 1, but found ")
          << decodeQueryTokens.getValue();
      return signalPassFailure();
    }
    auto forward = module.lookupSymbol<func::FuncOp>("forward");
    if (!forward)
      return;
    for (StringRef name : {"decode", "prefill"})
      if (Operation *taken = module.lookupSymbol(name)) {
        taken->emitError("expects @")
            << name << " to be free for a clone of @forward; rename it";
        return signalPassFailure();
      }
    if (!SymbolTable::symbolKnownUseEmpty(forward, module)) {
      forward.emitError("expects @forward to have no callers, as it is "
                        "replaced by @decode and @prefill");
      return signalPassFailure();
    }

    func::FuncOp decode = cloneAs(forward, "decode");
    DSV2Dialect::MaxQueryTokensAttrHelper(&getContext())
        .setAttr(decode,
                 Builder(&getContext()).getI64IntegerAttr(decodeQueryTokens));
    cloneAs(forward, "prefill");
    forward.erase();
    ++numSpecialized;
  }
};

} // namespace
