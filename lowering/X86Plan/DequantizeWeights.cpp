//===- DequantizeWeights.cpp - Values of quantized weights ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86Plan/Passes.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_DEQUANTIZEWEIGHTSPASS
#include "lowering/X86Plan/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

struct DequantizeWeightsPass final
    : dsv2::impl::DequantizeWeightsPassBase<DequantizeWeightsPass> {
  using Base::Base;

  void runOnOperation() override {
    getOperation()->walk([](Operation *op) {
      if (op->getParentOfType<WeightOp>() || isa<DequantizeOp>(op))
        return;
      for (OpOperand &operand : op->getOpOperands()) {
        auto type = dyn_cast<RankedTensorType>(operand.get().getType());
        if (!type ||
            !isa_and_nonnull<BlockInt8Attr, BlockInt4Attr, BlockFp8Attr>(
                type.getEncoding()))
          continue;
        OpBuilder b(op);
        auto values = RankedTensorType::get(type.getShape(), b.getF32Type());
        operand.set(
            DequantizeOp::create(b, op->getLoc(), values, operand.get()));
      }
    });
  }
};

} // namespace
