//===- PanelDotQuantized.cpp - int8 and int4 weights ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/PanelDot.h"

namespace mlir::dsv2::x86 {

static constexpr int64_t quads = groupSize / 4;

SmallVector<Value> PanelDot::emitGroup(Value block, Value group, Rows starts,
                                       Rows words, int64_t first,
                                       int64_t vectors) {
  Sums sums;
  int32_t zeroPoint = format == WeightFormat::int8 ? 128 : 8;
  for (Value word : words) {
    Value sum =
        b.load(rowSums, b.add(b.add(word, group), sumsOffset(depth) / 4));
    sums.append(vectors, b.mulInt(b.broadcast(sum), -zeroPoint));
  }
  Value k = b.mul(group, groupSize);
  // Without vpdpbusd, nibbles are summed in 16 bits first.
  bool narrow = format == WeightFormat::int4 && !b.set().hasVnni;
  Sums narrowSums(narrow ? sums.size() : 0);
  auto accumulate = [&](int64_t quad, ArrayRef<Value> w) {
    for (auto [r, start] : llvm::enumerate(starts)) {
      Value x = b.broadcastBits(
          b.loadBits(rows, b.add(b.add(start, k), quad * 4)), b.getI8Type());
      for (int64_t v = 0; v < vectors; ++v) {
        int64_t i = r * vectors + v;
        if (narrow)
          narrowSums[i] = b.dotNibblesS8(narrowSums[i], w[v], x);
        else
          sums[i] = b.dotU8S8(sums[i], w[v], x);
      }
    }
  };
  auto loadQuad = [&](int64_t quad, int64_t v) {
    int64_t offset = quad * panelRows * 4 + (first + v) * b.lanes() * 4;
    return b.loadVector(weights, b.add(block, offset), 4 * b.lanes());
  };
  if (format == WeightFormat::int8) {
    for (int64_t quad = 0; quad < quads; ++quad) {
      Sums w;
      for (int64_t v = 0; v < vectors; ++v)
        w.push_back(loadQuad(quad, v));
      accumulate(quad, w);
    }
    return sums;
  }
  for (int64_t pair = 0; pair < quads / 2; ++pair) {
    Sums low, high;
    for (int64_t v = 0; v < vectors; ++v) {
      Value nibbles = loadQuad(pair, v);
      low.push_back(b.lowNibbles(nibbles));
      high.push_back(b.highNibbles(nibbles));
    }
    accumulate(2 * pair, low);
    accumulate(2 * pair + 1, high);
  }
  for (auto [sum, narrowSum] : llvm::zip(sums, narrowSums))
    sum = b.addPairs(sum, narrowSum);
  return sums;
}

SmallVector<Value> PanelDot::emitQuantized(Value panel, Rows block,
                                           int64_t first, int64_t vectors) {
  int64_t lanes = b.lanes(), groups = paddedDepth(depth) / groupSize;
  int64_t bytes = blockBytes(format), scales = bytes - panelRows * 2;
  Value panelStart = b.mul(panel, groups * bytes);
  int64_t stride = rowBytes(RowFormat::int8, depth);
  Sums starts, words;
  for (Value row : block) {
    starts.push_back(b.mul(row, stride));
    words.push_back(b.mul(row, stride / 4));
  }

  Sums zeros(block.size() * vectors, b.splat(0.0f));
  return b.loop(
      b.index(0), b.index(groups), 1, zeros,
      [&](Value group, ValueRange carried) {
        Value at = b.add(panelStart, b.mul(group, bytes));
        if (block.size() == 1)
          prefetchAhead(at);
        Sums dots = emitGroup(at, group, starts, words, first, vectors);
        Sums weightScales, sums(carried);
        for (int64_t v = 0; v < vectors; ++v)
          weightScales.push_back(b.halvesToF32(
              b.loadVector(weights, b.add(at, scales + (first + v) * lanes * 2),
                           2 * lanes)));
        for (auto [r, word] : llvm::enumerate(words)) {
          Value rowScale = b.broadcast(b.load(
              rowScales, b.add(b.add(word, group), scalesOffset(depth) / 4)));
          for (int64_t v = 0; v < vectors; ++v) {
            int64_t i = r * vectors + v;
            sums[i] = b.fma(b.toF32(dots[i]), b.fmul(weightScales[v], rowScale),
                            sums[i]);
          }
        }
        return sums;
      });
}

} // namespace mlir::dsv2::x86
