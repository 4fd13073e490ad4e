//===- LimitTopK.cpp - Select fewer experts a token -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// An example of a plugin: a whole pass in one file. Load it with
// `dsv2-opt --load-pass-plugin=<path of LimitTopK.so>` and name it in a
// pipeline, `limit-top-k{k=4}`; or add it to `dsv2-fuse` by its `extra-passes`.
// Selecting fewer experts makes a model faster and less precise.
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"

#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"

using namespace mlir;

namespace {

struct LimitTopKPass final : PassWrapper<LimitTopKPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LimitTopKPass)

  LimitTopKPass() = default;
  LimitTopKPass(const LimitTopKPass &other) : PassWrapper(other) {}

  StringRef getArgument() const override { return "limit-top-k"; }
  StringRef getDescription() const override {
    return "Select at most k experts for each token";
  }

  void runOnOperation() override {
    if (k < 1) {
      getOperation()->emitError("expects k of at least 1, but found ")
          << k.getValue();
      return signalPassFailure();
    }
    WalkResult result = getOperation()->walk([&](dsv2::RouteOp op) {
      return succeeded(limit(op)) ? WalkResult::advance()
                                  : WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

private:
  LogicalResult limit(dsv2::RouteOp op) {
    if (static_cast<int64_t>(op.getTopK()) <= k)
      return success();
    // `dsv2.experts` takes any number of experts; other users would need new
    // types of their own.
    for (Operation *user : op->getUsers())
      if (!isa<dsv2::ExpertsOp>(user))
        return op.emitOpError("expects to feed only dsv2.experts, but feeds ")
               << user->getName() << "; run limit-top-k before "
               << "dsv2-group-experts";
    op.setTopK(k);
    int64_t width = k + op.getShared().value_or(0);
    for (Value result : op->getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      result.setType(type.clone({type.getDimSize(0), width}));
    }
    return success();
  }

  Option<int64_t> k{*this, "k", llvm::cl::desc("Most experts of a token"),
                    llvm::cl::init(4)};
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "LimitTopK", LLVM_VERSION_STRING,
          [] { PassRegistration<LimitTopKPass>(); }};
}
