//===- DotProduct.cpp - Matrix products of any shape ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/DotProduct.h"

using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

constexpr int64_t warps = 4;
/// Rows of x that share a load of w.
constexpr int64_t tileRows = 4;

class DotProductEmitter : public KernelBuilder {
public:
  DotProductEmitter(ModuleOp module, StringRef name, const DotProductSpec &spec)
      : KernelBuilder(module, name, bindingCount(spec), launchOf(spec)),
        spec(spec), width(widthOf(spec)) {}

  KernelInfo emit();

private:
  static unsigned bindingCount(const DotProductSpec &spec) {
    return 3 + (spec.experts != 0) + spec.gather + spec.residual;
  }
  static int64_t rowsOfTile(const DotProductSpec &spec) {
    return spec.experts ? 1 : tileRows;
  }
  static Launch launchOf(const DotProductSpec &spec) {
    Launch launch;
    launch.threads = warps * 32;
    launch.workgroups = {
        .count = blocksOfTile(spec), .tile = rowsOfTile(spec), .dim = spec.dim};
    return launch;
  }
  static int64_t rowBlocks(const DotProductSpec &spec) {
    return llvm::divideCeil(spec.rows, warps);
  }
  static int64_t blocksOfTile(const DotProductSpec &spec) {
    return rowBlocks(spec) * spec.heads * spec.slotsPerToken;
  }
  /// Elements that a lane loads at once: all rows have to be aligned to them.
  static int64_t widthOf(const DotProductSpec &spec) {
    for (int64_t width : {8, 4, 2})
      if (spec.depth % width == 0 && spec.inputStride % width == 0 &&
          spec.inputHeadStride % width == 0)
        return width;
    return 1;
  }

  /// `width` consecutive elements as f32.
  SmallVector<Value> loadValues(Value base, Value index, bool isBf16);
  /// The expert that slot `slot` belongs to.
  Value expertOf(Value slot, Value offsets);
  void store(Value value, Value row, Value head, Value n);

  const DotProductSpec spec;
  const int64_t width;
  Value y, residual;
};

} // namespace

SmallVector<Value> DotProductEmitter::loadValues(Value base, Value index,
                                                 bool isBf16) {
  SmallVector<Value> values;
  if (!isBf16) {
    int64_t step = std::min<int64_t>(width, 4);
    for (int64_t i = 0; i < width; i += step) {
      Value address = element(base, getF32Type(), add(index, i));
      if (step == 1) {
        values.push_back(load(getF32Type(), address));
        continue;
      }
      Value vector = load(vectorOf(step, getF32Type()), address);
      for (int64_t j = 0; j < step; ++j)
        values.push_back(extract(vector, j));
    }
    return values;
  }
  Value address = element(base, getBF16Type(), index);
  if (width == 1)
    return {bf16ToF32(load(getBF16Type(), address))};
  Value vector = load(vectorOf(width / 2, getI32Type()), address);
  for (int64_t i = 0; i < width / 2; ++i) {
    Value pair = extract(vector, i);
    values.push_back(lowBf16(pair));
    values.push_back(highBf16(pair));
  }
  return values;
}

Value DotProductEmitter::expertOf(Value slot, Value offsets) {
  // As many experts end at or before the slot.
  Value zero = i32(0);
  return loop(zero, i32(spec.experts), 32, zero,
              [&](Value first, ValueRange carried) -> SmallVector<Value> {
                Value expert = add(first, lane());
                Value inside = less(expert, spec.experts);
                Value end =
                    load(getI32Type(),
                         element(offsets, getI32Type(),
                                 add(min(expert, spec.experts - 1), 1)));
                Value ended = both(inside, less(end, add(slot, 1)));
                Value count = warpSum(toI32(ended));
                return {add(carried[0], count)};
              })[0];
}

void DotProductEmitter::store(Value value, Value row, Value head, Value n) {
  if (spec.residual)
    value =
        fadd(load(getF32Type(),
                  element(residual, getF32Type(),
                          add(mul(toI64(row), spec.residualStride), toI64(n)))),
             value);
  Value index = add(add(mul(toI64(row), spec.outputStride),
                        mul(toI64(head), spec.outputHeadStride)),
                    toI64(n));
  if (spec.bf16Output)
    PtxBuilder::store(toBf16(value), element(y, getBF16Type(), index));
  else
    PtxBuilder::store(value, element(y, getF32Type(), index));
}

KernelInfo DotProductEmitter::emit() {
  unsigned next = 0;
  Value x = binding(next++), w = binding(next++), offsets, slotToken;
  if (spec.experts)
    offsets = binding(next++);
  if (spec.gather)
    slotToken = binding(next++);
  if (spec.residual)
    residual = binding(next++);
  y = binding(next);

  // Blocks of one tile of rows follow each other: they share x.
  int64_t perRow = rowBlocks(spec) * spec.heads;
  Value tile = div(workgroup(), perRow);
  Value block = rem(workgroup(), perRow);
  Value head = div(block, rowBlocks(spec));
  Value n = add(mul(rem(block, rowBlocks(spec)), warps), warp());
  ifThen(less(n, spec.rows), [&] {
    int64_t count = rowsOfTile(spec);
    Value size = mul(dim(spec.dim), spec.slotsPerToken);
    Value matrix = spec.experts ? Value() : head;
    SmallVector<Value> rows, bases;
    for (int64_t i = 0; i < count; ++i) {
      Value row = add(mul(tile, count), i);
      rows.push_back(row);
      // Rows past the end repeat the last one, and are not stored.
      Value from = count == 1 ? row : min(row, sub(size, 1));
      if (spec.experts)
        matrix = expertOf(row, offsets);
      if (spec.gather)
        from = load(getI32Type(), element(slotToken, getI32Type(), row));
      bases.push_back(add(mul(toI64(from), spec.inputStride),
                          mul(toI64(head), spec.inputHeadStride)));
    }
    Value wBase = mul(add(mul(toI64(matrix), spec.rows), toI64(n)), spec.depth);
    SmallVector<Value> sums = loop(
        mul(lane(), width), i32(spec.depth), 32 * width,
        SmallVector<Value>(count, f32(0.0f)), [&](Value k, ValueRange carried) {
          SmallVector<Value> weights =
              loadValues(w, add(wBase, toI64(k)), spec.bf16Weight);
          SmallVector<Value> next(carried);
          for (int64_t i = 0; i < count; ++i) {
            SmallVector<Value> values =
                loadValues(x, add(bases[i], toI64(k)), spec.bf16Input);
            for (int64_t j = 0; j < width; ++j)
              next[i] = fma(values[j], weights[j], next[i]);
          }
          return next;
        });
    for (int64_t i = 0; i < count; ++i) {
      Value sum = warpSum(sums[i]);
      Value writes = both(equal(lane(), 0), less(rows[i], size));
      ifThen(writes, [&] { store(sum, rows[i], head, n); });
    }
  });
  return finish();
}

KernelInfo mlir::dsv2::nvptx::emitDotProduct(ModuleOp module, StringRef name,
                                             const DotProductSpec &spec) {
  return DotProductEmitter(module, name, spec).emit();
}
