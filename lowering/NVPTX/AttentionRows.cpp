//===- AttentionRows.cpp - Latent attention of any shape ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionRows.h"

#include <limits>
#include <numbers>

using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

constexpr int64_t warps = 4;

class RowAttentionEmitter : public KernelBuilder {
public:
  RowAttentionEmitter(ModuleOp module, StringRef name,
                      const RowAttentionSpec &spec)
      : KernelBuilder(module, name, 7, launchOf(spec)), spec(spec) {}

  KernelInfo emit();

private:
  static Launch launchOf(const RowAttentionSpec &spec) {
    Launch launch;
    launch.threads = warps * 32;
    launch.workgroups = {.count = llvm::divideCeil(spec.heads, warps),
                         .tile = 1,
                         .dim = Dim::tokens};
    return launch;
  }
  int64_t width() const { return spec.latent + spec.rope; }

  /// The elements of a row of `width` that this lane keeps, lane, lane + 32,
  /// ...; zeros past the end.
  SmallVector<Value> loadRow(Value base, Value start, int64_t width);
  void attend(Value token, Value head);
  Value cacheRow(Value sequence, Value position);

  const RowAttentionSpec spec;
};

} // namespace

SmallVector<Value> RowAttentionEmitter::loadRow(Value base, Value start,
                                                int64_t width) {
  SmallVector<Value> values;
  Value row = element(base, getBF16Type(), start);
  for (int64_t first = 0; first < width; first += 32) {
    Value column = add(lane(), first);
    bool isWhole = first + 32 <= width;
    Value from = isWhole ? column : min(column, width - 1);
    Value value =
        bf16ToF32(load(getBF16Type(), element(row, getBF16Type(), from)));
    if (!isWhole)
      value = select(less(column, width), value, f32(0.0f));
    values.push_back(value);
  }
  return values;
}

Value RowAttentionEmitter::cacheRow(Value sequence, Value position) {
  Value page =
      load(getI32Type(), element(binding(5), getI32Type(),
                                 add(mul(sequence, spec.pagesPerSequence),
                                     div(position, spec.pageSize))));
  return add(mul(page, spec.pageSize), rem(position, spec.pageSize));
}

void RowAttentionEmitter::attend(Value token, Value head) {
  auto at = [&](unsigned array, Value index) {
    return load(getI32Type(), element(binding(array), getI32Type(), index));
  };
  Value position = at(3, token), sequence = at(4, token);
  Value row = toI64(add(mul(token, spec.heads), head));
  SmallVector<Value> latents =
      loadRow(binding(0), mul(row, spec.latent), spec.latent);
  SmallVector<Value> rotated =
      loadRow(binding(1), mul(row, spec.rope), spec.rope);
  // Softmax in powers of two.
  Value scale = f32(spec.scale * std::numbers::log2e_v<float>);
  size_t kept = llvm::divideCeil(spec.latent, 32);
  // The largest score, the sum, and the weighted sum of the rows so far.
  SmallVector<Value> state = {f32(-std::numeric_limits<float>::infinity()),
                              f32(0.0f)};
  state.append(kept, f32(0.0f));
  state = loop(
      i32(0), add(position, 1), 1, state, [&](Value j, ValueRange carried) {
        Value start = mul(toI64(cacheRow(sequence, j)), width());
        SmallVector<Value> row = loadRow(binding(2), start, spec.latent);
        SmallVector<Value> key =
            loadRow(binding(2), add(start, spec.latent), spec.rope);
        Value dot = f32(0.0f);
        for (auto [q, k] : llvm::zip_equal(latents, row))
          dot = fma(q, k, dot);
        for (auto [q, k] : llvm::zip_equal(rotated, key))
          dot = fma(q, k, dot);
        Value score = fmul(warpSum(dot), scale);
        Value largest = fmax(carried[0], score);
        Value shrink = ex2(fsub(carried[0], largest));
        Value weight = ex2(fsub(score, largest));
        SmallVector<Value> next = {largest, fma(carried[1], shrink, weight)};
        for (size_t i = 0; i < kept; ++i)
          next.push_back(fma(row[i], weight, fmul(carried[2 + i], shrink)));
        return next;
      });
  Value inverse = fdiv(f32(1.0f), state[1]);
  Type type = spec.bf16Output ? Type(getBF16Type()) : Type(getF32Type());
  Value out = element(binding(6), type, mul(row, spec.latent));
  for (size_t i = 0; i < kept; ++i) {
    Value column = add(lane(), static_cast<int64_t>(i) * 32);
    ifThen(less(column, spec.latent), [&] {
      Value value = fmul(state[2 + i], inverse);
      store(spec.bf16Output ? toBf16(value) : value,
            element(out, type, column));
    });
  }
}

KernelInfo RowAttentionEmitter::emit() {
  int64_t headBlocks = llvm::divideCeil(spec.heads, warps);
  Value token = div(workgroup(), headBlocks);
  Value head = add(mul(rem(workgroup(), headBlocks), warps), warp());
  ifThen(less(head, spec.heads), [&] { attend(token, head); });
  return finish();
}

KernelInfo mlir::dsv2::nvptx::emitRowAttention(ModuleOp module, StringRef name,
                                               const RowAttentionSpec &spec) {
  return RowAttentionEmitter(module, name, spec).emit();
}
