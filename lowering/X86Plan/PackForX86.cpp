//===- PackForX86.cpp - Formats of x86 kernels ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86Plan/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::dsv2 {
#define GEN_PASS_DEF_PACKFORX86PASS
#include "lowering/X86Plan/Passes.h.inc"
} // namespace mlir::dsv2

using namespace mlir;
using namespace mlir::dsv2;

namespace {

/// Rows of a panel and elements of a group of every x86 format.
constexpr int64_t kPanelRows = 32, kGroup = 32;

bool isPacked(Value weight) {
  return isa_and_nonnull<PanelsAttr>(
      cast<RankedTensorType>(weight.getType()).getEncoding());
}

/// Inserts conversions before one operation.
class Packer {
public:
  explicit Packer(Operation *op) : b(op) {}

  /// The weight in elements of type `element`, unless it is quantized.
  Value toElement(Value weight, Type element) {
    auto type = cast<RankedTensorType>(weight.getType());
    Location loc = weight.getLoc();
    if (isa_and_nonnull<BlockFp8Attr>(type.getEncoding())) {
      Type target = element.isBF16() ? element : b.getF32Type();
      return DequantizeOp::create(
          b, loc, RankedTensorType::get(type.getShape(), target), weight);
    }
    if (type.getEncoding() || type.getElementType() == element)
      return weight;
    if (!type.getElementType().isF32()) {
      weight =
          arith::ExtFOp::create(b, loc, type.clone(b.getF32Type()), weight);
      if (element.isF32())
        return weight;
    }
    return arith::TruncFOp::create(b, loc, type.clone(element), weight);
  }

  /// The weight in panels, converted to `element` unless it is quantized.
  Value panels(Value weight, Type element) {
    if (isPacked(weight))
      return weight;
    weight = toElement(weight, element);
    auto type = cast<RankedTensorType>(weight.getType());
    auto encoding =
        PanelsAttr::get(b.getContext(), kPanelRows, type.getEncoding());
    return PackWeightOp::create(
        b, weight.getLoc(),
        RankedTensorType::get(type.getShape(), type.getElementType(), encoding),
        weight);
  }

  /// The weight in bf16, or the values that it stands for.
  Value values(Value weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    if (!isa_and_nonnull<BlockInt8Attr, BlockInt4Attr>(type.getEncoding()))
      return toElement(weight, bf16());
    return DequantizeOp::create(b, weight.getLoc(),
                                RankedTensorType::get(type.getShape(), bf16()),
                                weight);
  }

  /// Each matrix of the stack transposed, in bf16.
  Value transposed(Value weight) {
    weight = values(weight);
    auto type = cast<RankedTensorType>(weight.getType());
    ArrayRef<int64_t> shape = type.getShape();
    Location loc = weight.getLoc();
    Value init = tensor::EmptyOp::create(
        b, loc, ArrayRef<int64_t>{shape[0], shape[2], shape[1]},
        type.getElementType());
    return linalg::TransposeOp::create(b, loc, weight, init,
                                       ArrayRef<int64_t>{0, 2, 1})
        ->getResult(0);
  }

  /// The input in the rows that go with `weight`.
  Value rows(Value input, Value weight) {
    Type element = getElementTypeOrSelf(weight.getType());
    if (element.isF32())
      return input;
    return rows(input, element.isBF16() ? element : b.getI8Type());
  }
  Value rows(Value input, Type element) {
    auto type = cast<RankedTensorType>(input.getType());
    if (type.getEncoding())
      return input;
    auto packed = RankedTensorType::get(type.getShape(), element,
                                        RowsAttr::get(b.getContext(), kGroup));
    return PackRowsOp::create(b, input.getLoc(), packed, input);
  }

  Type f32() { return b.getF32Type(); }
  Type bf16() { return b.getBF16Type(); }

private:
  OpBuilder b;
};

/// Whether the result decides which experts run: its products stay in f32.
bool feedsRouter(LinearOp op) {
  return llvm::any_of(op->getUsers(),
                      [](Operation *user) { return isa<RouteOp>(user); });
}

void packLinear(LinearOp op) {
  Packer packer(op);
  Type element = feedsRouter(op) ? packer.f32() : packer.bf16();
  op.getWeightMutable().assign(packer.panels(op.getWeight(), element));
  op.getInputMutable().assign(packer.rows(op.getInput(), op.getWeight()));
}

template <typename Op>
void packProduct(Op op) {
  Packer packer(op);
  op.getWeightMutable().assign(packer.panels(op.getWeight(), packer.bf16()));
  op.getInputMutable().assign(packer.rows(op.getInput(), op.getWeight()));
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
  operand.set(packer.rows(operand.get(), packer.bf16()));
}

void packLatentAttention(LatentAttentionOp op) {
  roundQuery(op.getQLatentMutable());
  roundQuery(op.getQRopeMutable());
}

/// The kernel reads bf16 and rounds it itself where latents are int8.
void packExpandedAttention(ExpandedAttentionOp op) {
  Packer packer(op);
  roundQuery(op.getQNopeMutable());
  roundQuery(op.getQRopeMutable());
  if (!isPacked(op.getWUk()))
    op.getWUkMutable().assign(
        packer.panels(packer.transposed(op.getWUk()), packer.bf16()));
  if (!isPacked(op.getWUv()))
    op.getWUvMutable().assign(
        packer.panels(packer.values(op.getWUv()), packer.bf16()));
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

struct PackForX86Pass final : dsv2::impl::PackForX86PassBase<PackForX86Pass> {
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
          .Case([](ExpandedAttentionOp attention) {
            packExpandedAttention(attention);
          })
          .Case([](RMSNormOp norm) { widenGamma(norm); })
          .Case([](LatentAppendOp append) { widenGamma(append); })
          .Case([](EmbedOp embed) { widenTable(embed); });
  }
};

} // namespace
