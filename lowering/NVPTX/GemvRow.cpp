//===- GemvRow.cpp - A row of x, and rows that attention has divided ------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/GemvEmitter.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

int64_t GemvEmitter::roundsOfRow() const {
  int64_t depth = hasGroups(spec.format) ? paddedDepth(spec.depth) : spec.depth;
  return llvm::divideCeil(depth / 8, 32 * GemvShape::virtualWarps);
}

bool GemvEmitter::holdsRow() const {
  // Eight values a round, and as many of gamma.
  return shape.chunk == 1 && roundsOfRow() <= (spec.norm ? 4 : 8);
}

SmallVector<Value> GemvEmitter::gammasOf(int64_t round) {
  return loadEight(binding(shape.gamma),
                   add(thread(), round * 32 * GemvShape::virtualWarps),
                   GemvType::f32);
}

void GemvEmitter::loadGammas() {
  // Quants have scales on their way too: few registers are left.
  int64_t most = spec.format == WeightFormat::bf16 ? 4 : 2;
  if (spec.norm && holdsRow() && roundsOfRow() <= most)
    for (int64_t round = 0; round < roundsOfRow(); ++round)
      gammas.push_back(gammasOf(round));
}

void GemvEmitter::prepareOne(Value matrix, Rows rows) {
  static_assert(GemvShape::warps == GemvShape::virtualWarps);
  Value address = inputAddress(matrix, rows, i32(0));
  SmallVector<SmallVector<Value>> values;
  for (int64_t round = 0; round < roundsOfRow(); ++round)
    values.push_back(
        loadEight(address, add(thread(), round * 32 * GemvShape::virtualWarps),
                  spec.input));
  if (spec.norm) {
    Value sum = f32(0);
    for (ArrayRef<Value> eight : values)
      for (Value value : eight)
        sum = fma(value, value, sum);
    sum = warpSum(sum);
    Value place = element(normPartial, getF32Type(), warp());
    ifThen(equal(lane(), 0), [&] { store(sum, place); });
    barrier();
    Value total = load(getF32Type(), normPartial);
    for (int64_t part = 1; part < GemvShape::virtualWarps; ++part)
      total = fadd(total, load(getF32Type(), offset(normPartial, 4 * part)));
    Value factor = factorOf(total);
    for (auto [round, eight] : llvm::enumerate(values)) {
      SmallVector<Value> scales = gammas.empty()
                                      ? gammasOf(static_cast<int64_t>(round))
                                      : gammas[round];
      for (auto [value, scale] : llvm::zip_equal(eight, scales))
        value = fmul(fmul(value, factor), scale);
    }
  }
  for (auto [round, eight] : llvm::enumerate(values))
    prepareEight(eight, add(thread(), round * 32 * GemvShape::virtualWarps),
                 i32(0));
  barrier();
}

void GemvEmitter::mergeRows(Value matrix, Rows rows) {
  SplitCombine splits(*this, *spec.splitRows, shape.partials);
  Type i32Type = getI32Type();
  VectorType four = vectorOf(4, i32Type);
  Value count = sub(rows.end, rows.first);

  // Rows of one split as attention wrote them; of others, anything.
  int64_t pieces = spec.depth / 8; // 16 bytes each
  Value last = sub(mul(count, pieces), 1);
  SmallVector<Value> copied, places;
  for (int64_t i = 0; i < shape.chunk * pieces; i += GemvShape::threads) {
    Value index = min(add(thread(), i), last);
    Value row = div(index, pieces), piece = sub(index, mul(row, pieces));
    Value from = mul(toI64(add(rows.first, row)), shape.inputStride);
    from = add(from, mul(toI64(matrix), shape.inputHeadStride));
    from = add(from, toI64(mul(piece, 8)));
    copied.push_back(load(four, offset(binding(0), mul(from, 2))));
    places.push_back(offset(merged, mul(index, 16)));
  }

  // A warp weights the splits of a row.
  static_assert(GemvShape::warps >= maxMergedRows);
  auto partialRow = [&](Value row) {
    return add(mul(add(rows.first, row), spec.heads), matrix);
  };
  auto weightsOf = [&](Value row) {
    return offset(splitWeights, mul(row, spec.splitRows->weightBytes()));
  };
  Value own = warp();
  ifThen(less(own, count), [&] {
    SmallVector<Value> logs = splits.loadLogs(partialRow(own));
    Value used = splits.usedSplits(add(rows.first, own));
    splits.storeWeights(logs, used, weightsOf(own));
    Value place = element(usedSplits, i32Type, own);
    ifThen(equal(lane(), 0), [&] { store(used, place); });
  });
  for (auto [value, place] : llvm::zip_equal(copied, places))
    store(value, place);
  barrier();

  // One row has all the loads that there are registers for.
  int64_t atOnce = shape.chunk == 1 ? 16 : 8;
  int64_t pairs = spec.depth / 2;
  loop(thread(), mul(count, pairs), GemvShape::threads, [&](Value index) {
    Value row = div(index, pairs);
    Value used = load(i32Type, element(usedSplits, i32Type, row));
    ifThen(less(i32(0), used), [&] {
      Value column = mul(sub(index, mul(row, pairs)), 2);
      Value pair = splits.merge(partialRow(row), used, weightsOf(row), column,
                                2, atOnce)[0];
      store(pair, offset(merged, mul(index, 4)));
    });
  });
  barrier();
}

} // namespace mlir::dsv2::nvptx
