//===- PanelDot.cpp - The micro-kernel of the linear layers ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/PanelDot.h"
#include "lowering/X86/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::dsv2::x86 {

MemRefType packedWeightType(MLIRContext *context, WeightFormat format,
                            int64_t rows, int64_t depth, int64_t matrices) {
  int64_t bytes = matrices * packedWeightBytes(format, rows, depth);
  if (format == WeightFormat::f32)
    return flatType(Float32Type::get(context), bytes / 4);
  if (format == WeightFormat::bf16)
    return flatType(BFloat16Type::get(context), bytes / 2);
  return flatType(IntegerType::get(context, 8), bytes);
}

PanelDot::PanelDot(KernelBuilder &builder, WeightFormat format, int64_t depth,
                   Value weights, Value rows, int64_t rowDistance)
    : b(builder), format(format), depth(depth), weights(weights), rows(rows) {
  if (b.set().hasTiles && format != WeightFormat::f32) {
    tiles.emplace(builder, format, depth, weights, rows, rowDistance);
    return;
  }
  if (rowFormatOf(format) == RowFormat::int8) {
    rowScales = b.viewBytes(rows, b.getF32Type());
    rowSums = b.viewBytes(rows, b.getI32Type());
  }
}

SmallVector<int64_t> PanelDot::blockSizes() const {
  bool quantized = rowFormatOf(format) == RowFormat::int8;
  if (!b.set().hasAvx512())
    return quantized ? SmallVector<int64_t>{2, 1} : SmallVector<int64_t>{4, 1};
  if (!quantized)
    return {8, 4, 2, 1};
  // A row takes two float and two integer accumulators of the 32 registers.
  if (b.set().hasVnni || format == WeightFormat::int4)
    return {6, 4, 2, 1};
  return {4, 2, 1};
}

int64_t PanelDot::vectorsAtOnce(int64_t rows) const {
  int64_t all = panelRows / b.lanes();
  // With 16 registers a block of rows takes half of the panel; one row takes
  // all of it to read it as a stream.
  return rows > 1 ? std::min<int64_t>(all, 2) : all;
}

void PanelDot::emit(Value panel, Value begin, Value end, RowOf rowOf,
                    Epilogue epilogue) {
  if (tiles)
    return tiles->emit(panel, begin, end, rowOf, epilogue);
  Value from = begin;
  for (int64_t size : blockSizes()) {
    Value rest = b.sub(end, from);
    Value to = size == 1 ? end : b.add(from, b.mul(b.div(rest, size), size));
    b.loop(from, to, size, [&](Value row) {
      SmallVector<Value> block;
      for (int64_t r = 0; r < size; ++r)
        block.push_back(rowOf(b.add(row, r)));
      int64_t vectors = vectorsAtOnce(size);
      for (int64_t first = 0; first < panelRows / b.lanes(); first += vectors)
        epilogue(emitBlock(panel, block, first, vectors), row, size, first,
                 vectors);
    });
    from = to;
  }
}

/// One line now and then is enough: the hardware fetches its neighbors, but
/// does not go beyond a page of 4 KiB by itself.
void PanelDot::prefetchAhead(Value at) {
  constexpr int64_t distance = 12 << 10;
  auto type = cast<MemRefType>(weights.getType());
  Value ahead = b.add(at, distance * 8 / type.getElementTypeBitWidth());
  memref::PrefetchOp::create(b, weights, ValueRange(ahead), /*isWrite=*/false,
                             /*localityHint=*/2, /*isDataCache=*/true);
}

SmallVector<Value> PanelDot::emitBlock(Value panel, Rows block, int64_t first,
                                       int64_t vectors) {
  switch (format) {
  case WeightFormat::f32:
    return emitF32(panel, block, first, vectors);
  case WeightFormat::bf16:
    return emitBf16(panel, block, first, vectors);
  case WeightFormat::int8:
  case WeightFormat::int4:
    return emitQuantized(panel, block, first, vectors);
  }
  return {};
}

SmallVector<Value> PanelDot::emitF32(Value panel, Rows block, int64_t first,
                                     int64_t vectors) {
  int64_t lanes = b.lanes();
  Value start = b.mul(panel, panelRows * paddedDepth(depth));
  Sums starts;
  for (Value row : block)
    starts.push_back(b.mul(row, depth));

  auto step = [&](Value k, Sums sums) {
    Sums w;
    Value at = b.add(start, b.mul(k, panelRows));
    for (int64_t v = 0; v < vectors; ++v)
      w.push_back(b.loadF32(weights, b.add(at, (first + v) * lanes)));
    for (auto [r, rowStart] : llvm::enumerate(starts)) {
      Value x = b.broadcast(b.load(rows, b.add(rowStart, k)));
      for (int64_t v = 0; v < vectors; ++v)
        sums[r * vectors + v] = b.fma(x, w[v], sums[r * vectors + v]);
    }
    return sums;
  };

  constexpr int64_t unroll = 4;
  int64_t whole = depth / unroll * unroll;
  Sums zeros(block.size() * vectors, b.splat(0.0f));
  Sums sums = b.loop(b.index(0), b.index(whole), unroll, zeros,
                     [&](Value k, ValueRange carried) {
                       Sums next(carried);
                       for (int64_t u = 0; u < unroll; ++u)
                         next = step(b.add(k, u), next);
                       return next;
                     });
  for (int64_t k = whole; k < depth; ++k)
    sums = step(b.index(k), sums);
  return sums;
}

SmallVector<Value> PanelDot::emitBf16(Value panel, Rows block, int64_t first,
                                      int64_t vectors) {
  int64_t lanes = b.lanes();
  Value start = b.mul(panel, panelRows * paddedDepth(depth));
  Sums starts;
  for (Value row : block)
    starts.push_back(b.mul(row, paddedDepth(depth)));

  int64_t unroll = block.size() == 1 ? 8 : block.size() <= 4 ? 4 : 2;
  Sums zeros(block.size() * vectors, b.splat(0.0f));
  return b.loop(
      b.index(0), b.index(paddedDepth(depth)), 2 * unroll, zeros,
      [&](Value k, ValueRange carried) {
        Sums sums(carried);
        Value at = b.add(start, b.mul(k, panelRows));
        if (block.size() == 1)
          prefetchAhead(at);
        for (int64_t u = 0; u < unroll; ++u) {
          Sums w;
          for (int64_t v = 0; v < vectors; ++v)
            w.push_back(b.loadVector(
                weights, b.add(at, 2 * (u * panelRows + (first + v) * lanes)),
                2 * lanes));
          for (auto [r, rowStart] : llvm::enumerate(starts)) {
            Value pair = b.loadBits(rows, b.add(b.add(rowStart, k), 2 * u));
            Value x = b.broadcastBits(pair, b.getBF16Type());
            for (int64_t v = 0; v < vectors; ++v)
              sums[r * vectors + v] = b.dotBf16(sums[r * vectors + v], x, w[v]);
          }
        }
        return sums;
      });
}

} // namespace mlir::dsv2::x86
