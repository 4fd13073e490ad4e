//===- PackForNVPTX.cpp - Formats of GPU kernels --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTXPlan/Passes.h"

#include "llvm/ADT/TypeSwitch.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_PACKFORNVPTXPASS
#include "lowering/NVPTXPlan/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// Inserts conversions before one operation.
class Packer {
public:
  explicit Packer(Operation *op) : b(op) {}

  /// The weight in elements of type `element`, of the values it stands for.
  Value toElement(Value weight, Type element) {
    auto type = cast<RankedTensorType>(weight.getType());
    Location loc = weight.getLoc();
    if (type.getEncoding())
      return DequantizeOp::create(
          b, loc, RankedTensorType::get(type.getShape(), element), weight);
    if (type.getElementType() == element)
      return weight;
    if (!type.getElementType().isF32()) {
      weight =
          arith::ExtFOp::create(b, loc, type.clone(b.getF32Type()), weight);
      if (element.isF32())
        return weight;
    }
    return arith::TruncFOp::create(b, loc, type.clone(element), weight);
  }

  /// The weight of a product: packed when it is quantized as the kernels that
  /// stream weights want it, else rows of bf16.
  Value productWeight(Value weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    if (isa_and_nonnull<PanelsAttr>(type.getEncoding()))
      return weight;
    if (!canPack(type))
      return toElement(weight, bf16());
    // A panel is a row.
    auto encoding =
        PanelsAttr::get(b.getContext(), /*rows=*/1, type.getEncoding());
    return PackWeightOp::create(
        b, weight.getLoc(),
        RankedTensorType::get(type.getShape(), type.getElementType(), encoding),
        weight);
  }

  /// The input as dense rows of bf16.
  Value rows(Value input) {
    auto type = cast<RankedTensorType>(input.getType());
    if (type.getEncoding())
      return input;
    auto packed = RankedTensorType::get(type.getShape(), bf16(),
                                        RowsAttr::get(b.getContext(), 1));
    return PackRowsOp::create(b, input.getLoc(), packed, input);
  }

  Type f32() { return b.getF32Type(); }
  Type bf16() { return b.getBF16Type(); }

private:
  static bool canPack(RankedTensorType type) {
    auto groupOf = [](Attribute encoding) -> int64_t {
      if (auto int8 = dyn_cast_or_null<BlockInt8Attr>(encoding))
        return int8.getGroup();
      if (auto int4 = dyn_cast_or_null<BlockInt4Attr>(encoding))
        return int4.getGroup();
      return 0;
    };
    ArrayRef<int64_t> shape = type.getShape();
    return groupOf(type.getEncoding()) == nvptx::groupSize &&
           shape.back() % nvptx::groupSize == 0 &&
           shape[shape.size() - 2] % 16 == 0;
  }

  OpBuilder b;
};

/// Whether the result decides which experts run: its products stay in f32.
bool feedsRouter(LinearOp op) {
  return llvm::any_of(op->getUsers(),
                      [](Operation *user) { return isa<RouteOp>(user); });
}

template <typename Op>
void packProduct(Op op) {
  Packer packer(op);
  op.getWeightMutable().assign(packer.productWeight(op.getWeight()));
  op.getInputMutable().assign(packer.rows(op.getInput()));
}

void packLinear(LinearOp op) {
  if (!feedsRouter(op))
    return packProduct(op);
  Packer packer(op);
  op.getWeightMutable().assign(packer.toElement(op.getWeight(), packer.f32()));
}

/// Makes the producer of `operand` write bf16, when it is a rotation or a
/// projection whose result nothing else reads; packs it otherwise.
void roundQuery(OpOperand &operand) {
  Operation *producer = operand.get().getDefiningOp();
  Packer packer(operand.getOwner());
  if (isa_and_nonnull<RopeOp, HeadProjectOp>(producer) &&
      producer->hasOneUse()) {
    auto type = cast<RankedTensorType>(operand.get().getType());
    producer->getResult(0).setType(type.clone(packer.bf16()));
    return;
  }
  operand.set(packer.rows(operand.get()));
}

void packLatentAttention(LatentAttentionOp op) {
  roundQuery(op.getQLatentMutable());
  roundQuery(op.getQRopeMutable());
}

template <typename Op>
void widenGamma(Op op) {
  Packer packer(op);
  op.getGammaMutable().assign(packer.toElement(op.getGamma(), packer.f32()));
}

/// The embedding kernel reads f32 and bf16 tables; others become f32.
void widenTable(EmbedOp op) {
  Packer packer(op);
  if (!getElementTypeOrSelf(op.getTable().getType()).isBF16())
    op.getTableMutable().assign(packer.toElement(op.getTable(), packer.f32()));
}

struct PackForNVPTXPass final
    : mlir::dsv2::impl::PackForNVPTXPassBase<PackForNVPTXPass> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) { ops.push_back(op); });
    for (Operation *op : ops)
      TypeSwitch<Operation *>(op)
          .Case([](LinearOp linear) { packLinear(linear); })
          .Case([](GroupedLinearOp linear) { packProduct(linear); })
          .Case([](HeadProjectOp project) { packProduct(project); })
          .Case([](LatentAttentionOp attention) {
            packLatentAttention(attention);
          })
          .Case([](RMSNormOp norm) { widenGamma(norm); })
          .Case([](LatentAppendOp append) { widenGamma(append); })
          .Case([](EmbedOp embed) { widenTable(embed); });
  }
};

} // namespace
