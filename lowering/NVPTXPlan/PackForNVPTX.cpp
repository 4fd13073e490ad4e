//===- PackForNVPTX.cpp - Formats of GPU kernels --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Formats.h"
#include "lowering/NVPTXPlan/Passes.h"
#include "lowering/NVPTXPlan/ProductShapes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
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
  /// With `isGated`, its rows are those of gate and up in turn, if kernels
  /// that compute both take its shape.
  Value productWeight(Value weight, bool isGated) {
    auto type = cast<RankedTensorType>(weight.getType());
    if (isa_and_nonnull<PanelsAttr>(type.getEncoding()))
      return weight;
    isGated &= canInterleave(type);
    if (!canPack(type)) {
      weight = toElement(weight, bf16());
      type = cast<RankedTensorType>(weight.getType());
      if (!isGated)
        return weight;
    }
    // A panel is a row.
    auto encoding =
        PanelsAttr::get(b.getContext(), /*rows=*/1, type.getEncoding(),
                        isGated ? nvptx::interleavedRows : 0);
    return PackWeightOp::create(
        b, weight.getLoc(),
        RankedTensorType::get(type.getShape(), type.getElementType(), encoding),
        weight);
  }

  /// The input as dense rows of bf16.
  Value rows(Value input) { return rows(input, bf16(), /*group=*/1); }
  /// The input as e4m3 with a scale for each 128 of a row.
  Value fp8Rows(Value input) {
    return rows(input, Float8E4M3FNType::get(b.getContext()),
                nvptx::fp8BlockSize);
  }

  Type f32() { return b.getF32Type(); }
  Type bf16() { return b.getBF16Type(); }

private:
  Value rows(Value input, Type element, int64_t group) {
    auto type = cast<RankedTensorType>(input.getType());
    if (type.getEncoding())
      return input;
    auto packed = RankedTensorType::get(type.getShape(), element,
                                        RowsAttr::get(b.getContext(), group));
    return PackRowsOp::create(b, input.getLoc(), packed, input);
  }

  /// Whether products of many and of few rows have kernels for it. Matrices of
  /// a stack begin with a block.
  static bool canPackFp8(RankedTensorType type, BlockFp8Attr blocks) {
    constexpr int64_t size = nvptx::fp8BlockSize;
    ArrayRef<int64_t> shape = type.getShape();
    int64_t rows = shape[shape.size() - 2];
    return blocks.getRows() == size && blocks.getColumns() == size &&
           shape.back() % size == 0 &&
           rows % (shape.size() > 2 ? size : 16) == 0;
  }

  /// Whether products of many and of few rows have kernels that also compute
  /// SwiGLU.
  static bool canInterleave(RankedTensorType type) {
    ArrayRef<int64_t> shape = type.getShape();
    int64_t rows = shape[shape.size() - 2];
    int64_t size = canPack(type) && isa<BlockFp8Attr>(type.getEncoding())
                       ? 2 * nvptx::fp8BlockSize
                       : 2 * nvptx::interleavedRows;
    return shape.back() % 32 == 0 && rows % size == 0;
  }

  static bool canPack(RankedTensorType type) {
    if (auto blocks = dyn_cast_or_null<BlockFp8Attr>(type.getEncoding()))
      return canPackFp8(type, blocks);
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

/// Whether another product reads `value`, and nothing else does.
bool feedsProduct(Value value) {
  if (!value.hasOneUse())
    return false;
  Operation *user = *value.getUsers().begin();
  if (auto linear = dyn_cast<LinearOp>(user))
    return linear.getInput() == value && !nvptx::feedsRouter(linear);
  auto grouped = dyn_cast<GroupedLinearOp>(user);
  return grouped && grouped.getInput() == value;
}

/// Whether the halves of the result are the gate and up of a SwiGLU that feeds
/// a product, and nothing else reads it.
bool isGated(Value product) {
  int64_t width = cast<RankedTensorType>(product.getType()).getShape().back();
  SwigluOp gated;
  int64_t slices = 0;
  for (Operation *user : product.getUsers()) {
    if (isa<tensor::DimOp>(user))
      continue;
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    if (!slice || !slice->hasOneUse() || slice.isDynamicOffset(1))
      return false;
    auto swiglu = dyn_cast<SwigluOp>(*slice->getUsers().begin());
    bool isUp = swiglu && swiglu.getUp() == slice.getResult();
    if (!swiglu || (gated && gated != swiglu) ||
        slice.getStaticOffset(1) != (isUp ? width / 2 : 0) ||
        slice.getType().getShape().back() * 2 != width)
      return false;
    gated = swiglu;
    ++slices;
  }
  return slices == 2 && feedsProduct(gated.getResult());
}

/// Whether the kernel that computes `value` can write it packed.
bool roundsResult(Value value) {
  Operation *op = value.getDefiningOp();
  return isa_and_nonnull<RMSNormOp, SwigluOp, LatentAttentionOp>(op) &&
         op->hasOneUse();
}

/// Makes the projection of heads that `value` is a reshape of write bf16, when
/// nothing else reads it.
bool roundHeads(Value value) {
  auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>();
  auto heads =
      collapse ? collapse.getSrc().getDefiningOp<HeadProjectOp>() : nullptr;
  if (!heads || !collapse->hasOneUse() || !heads->hasOneUse())
    return false;
  Type bf16 = BFloat16Type::get(value.getContext());
  for (Operation *op : {heads.getOperation(), collapse.getOperation()}) {
    Value result = op->getResult(0);
    result.setType(cast<RankedTensorType>(result.getType()).clone(bf16));
  }
  return true;
}

template <typename Op>
void packProduct(Op op) {
  Packer packer(op);
  bool gated = !isa<HeadProjectOp>(op) && isGated(op.getResult());
  op.getWeightMutable().assign(packer.productWeight(op.getWeight(), gated));
  // Products of few rows round their input to e4m3 themselves.
  bool fp8 = nvptx::hasManyTokens(op) &&
             isa<Float8E4M3FNType>(getElementTypeOrSelf(op.getWeight()));
  if (fp8)
    op.getInputMutable().assign(packer.fp8Rows(op.getInput()));
  else if (roundHeads(op.getInput()))
    return;
  else if (!nvptx::hasManyTokens(op) && !roundsResult(op.getInput()) &&
           nvptx::readsUnpacked(op.getInput(), op.getWeight()))
    return;
  else
    op.getInputMutable().assign(packer.rows(op.getInput()));
}

/// Heads in fp8 have no kernel for many rows.
void packHeads(HeadProjectOp op) {
  Packer packer(op);
  Value weight = op.getWeight();
  if (isa<Float8E4M3FNType>(getElementTypeOrSelf(weight)))
    op.getWeightMutable().assign(packer.toElement(weight, packer.bf16()));
  packProduct(op);
}

/// The products that decide which experts run stay in f32.
void packLinear(LinearOp op) {
  if (!nvptx::feedsRouter(op))
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

void packExpandedAttention(ExpandedAttentionOp op) {
  roundQuery(op.getQNopeMutable());
  roundQuery(op.getQRopeMutable());
  Packer packer(op);
  for (OpOperand *weight : {&op.getWUkMutable(), &op.getWUvMutable()})
    weight->set(packer.toElement(weight->get(), packer.bf16()));
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
          .Case([](HeadProjectOp project) { packHeads(project); })
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
