//===- AttentionExpanded.cpp - Attention over expanded keys ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionExpanded.h"
#include "lowering/X86/AttentionTile.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr float masked = -1e30f;
constexpr float log2e = 1.44269504f;

/// Queries whose scores exist at the same time: with a tile of keys or of
/// values they fit into the first-level cache.
constexpr int64_t rowBlock = 32;
/// Queries of a register tile.
constexpr int64_t tileRows = 4;
constexpr int64_t scratchBytes = 511 * 1024;

/// Queries first, first + 1, ... of one head of a sequence.
struct Queries {
  Value first;    ///< token
  Value count;    ///< at least 1
  Value position; ///< of the first
  Value head;
};

class FlashAttention {
public:
  FlashAttention(RowEmitter &k, const ExpandedAttentionSpec &spec,
                 const ExpandedTile &tile, int64_t rows);

  void reset();
  /// Attends to the tile, whose first token is at `position`.
  void update(const Queries &queries, Value position);
  void store(const Queries &queries, Value out);

private:
  void scores(const Queries &queries, Value row, Value place);
  void softmax(const Queries &queries, Value row, Value place, Value position);
  void weigh(Value row, Value place);

  RowEmitter &k;
  const ExpandedAttentionSpec &spec;
  const ExpandedTile &tile;
  int64_t rows, width; ///< width: padded columns of the output
  Value output, maxima, sums, factors;
  Value score, probability; ///< of rowBlock queries
};

FlashAttention::FlashAttention(RowEmitter &k, const ExpandedAttentionSpec &spec,
                               const ExpandedTile &tile, int64_t rows)
    : k(k), spec(spec), tile(tile), rows(rows), width(tile.valuePadded) {
  Type f32 = k.getF32Type();
  output = k.scratch({rows * width}, f32);
  maxima = k.scratch({rows}, f32);
  sums = k.scratch({rows}, f32);
  factors = k.scratch({rowBlock}, f32);
  score = k.scratch({rowBlock * tile.tokens}, f32);
  probability = k.scratch({rowBlock * tile.tokens}, k.getBF16Type());
}

void FlashAttention::reset() {
  k.loop(k.index(0), k.index(rows), 1, [&](Value row) {
    k.store(k.f32(masked), maxima, row);
    k.store(k.f32(0.0f), sums, row);
  });
  k.loop(k.index(0), k.index(rows * width), k.lanes(),
         [&](Value i) { k.storeVector(k.splat(0.0f), output, i); });
}

void FlashAttention::update(const Queries &queries, Value position) {
  // Queries before the tile see none of it; whole blocks of them are skipped.
  // A block that is not skipped leaves such queries as they are.
  Value before = k.select(k.less(queries.position, position),
                          k.sub(position, queries.position), k.index(0));
  Value from = k.mul(k.div(before, rowBlock), rowBlock);
  k.loop(from, queries.count, rowBlock, [&](Value block) {
    Value end = k.min(k.add(block, rowBlock), queries.count);
    auto forRows = [&](int64_t step,
                       llvm::function_ref<void(Value row, Value place)> body) {
      k.loop(block, end, step,
             [&](Value row) { body(row, k.sub(row, block)); });
    };
    forRows(tileRows,
            [&](Value row, Value place) { scores(queries, row, place); });
    forRows(1, [&](Value row, Value place) {
      softmax(queries, row, place, position);
    });
    forRows(tileRows, [&](Value row, Value place) { weigh(row, place); });
  });
}

void FlashAttention::scores(const Queries &queries, Value row, Value place) {
  int64_t lanes = k.lanes();
  int64_t vectors = std::min<int64_t>(tile.tokens / lanes, lanes == 16 ? 4 : 2);
  // Rows beyond the last are computed from the last and never used.
  Value last = k.sub(queries.count, k.index(1));
  SmallVector<Value> nope, rope;
  for (int64_t i = 0; i < tileRows; ++i) {
    Value token = k.add(queries.first, k.min(k.at(row, i), last));
    nope.push_back(spec.queryNope.at(k, token, queries.head));
    rope.push_back(spec.queryRope.at(k, token, queries.head));
  }
  k.loop(k.index(0), k.index(tile.tokens), vectors * lanes, [&](Value token) {
    auto part = [&](ArrayRef<Value> starts, unsigned binding, Value keys,
                    Value start, int64_t pairs, SmallVector<Value> sums) {
      DotTile dots{tileRows, vectors,
                   [&](Value pair, int64_t i) {
                     return k.loadBits(k.binding(binding),
                                       k.add(starts[i], k.mul(pair, 2)));
                   },
                   [&](Value pair, int64_t j) {
                     Value at =
                         k.add(start, k.add(k.mul(pair, tile.tokens), token));
                     return k.loadVector(keys, k.at(at, j * lanes), lanes);
                   }};
      return dots.emit(k, pairs, std::move(sums));
    };
    SmallVector<Value> dots(tileRows * vectors, k.splat(0.0f));
    // The pad of an odd number is zero in keys and in packed queries.
    dots = part(nope, 0, tile.keys, k.index(0), (spec.nope + 1) / 2,
                std::move(dots));
    dots = part(rope, 1, tile.rotated, tile.rotatedStart, spec.cache.rope / 2,
                std::move(dots));
    for (int64_t i = 0; i < tileRows; ++i)
      for (int64_t j = 0; j < vectors; ++j) {
        Value to = k.add(k.mul(k.at(place, i), tile.tokens), token);
        k.storeVector(
            k.fmul(dots[i * vectors + j], k.splat(spec.scale * log2e)), score,
            k.at(to, j * lanes));
      }
  });
}

void FlashAttention::softmax(const Queries &queries, Value row, Value place,
                             Value position) {
  // Token i of the tile is visible when i <= the query's position - position.
  Value visible =
      k.broadcastInt(k.toI32(k.sub(k.add(queries.position, row), position)));
  Value start = k.mul(place, tile.tokens);
  SmallVector<Value> found, hidden;
  Value largest;
  for (int64_t i = 0; i < tile.tokens; i += k.lanes()) {
    Value ids = k.addLanes(k.laneIds(), k.splatInt(i));
    hidden.push_back(k.laneLess(visible, ids));
    found.push_back(k.select(hidden.back(), k.splat(masked),
                             k.loadF32(score, k.at(start, i))));
    largest = largest ? k.fmax(largest, found.back()) : found.back();
  }
  Value before = k.load(maxima, row);
  Value maximum = k.fmax(before, k.reduceMax(largest));
  Value splat = k.broadcast(maximum);
  Value sum;
  for (auto [i, s] : llvm::enumerate(found)) {
    Value p =
        k.select(hidden[i], k.splat(0.0f), k.exp2Softmax(k.fsub(s, splat)));
    k.storeVector(k.toBf16(p), probability, k.at(start, i * k.lanes()));
    sum = sum ? k.fadd(sum, p) : p;
  }
  Value factor = vector::ExtractOp::create(
      k, k.exp2Softmax(k.broadcast(k.fsub(before, maximum))),
      ArrayRef<int64_t>{0});
  k.store(maximum, maxima, row);
  k.store(k.fma(k.load(sums, row), factor, k.reduceAdd(sum)), sums, row);
  k.store(factor, factors, place);
}

void FlashAttention::weigh(Value row, Value place) {
  int64_t lanes = k.lanes();
  int64_t vectors = lanes == 16 && width % 64 == 0 ? 4 : 2;
  k.loop(k.index(0), k.index(width), vectors * lanes, [&](Value column) {
    SmallVector<Value> totals, places;
    for (int64_t i = 0; i < tileRows; ++i) {
      Value factor = k.broadcast(k.load(factors, k.at(place, i)));
      for (int64_t j = 0; j < vectors; ++j) {
        Value at = k.add(k.mul(k.at(row, i), width), column);
        places.push_back(k.at(at, j * lanes));
        totals.push_back(k.fmul(k.loadF32(output, places.back()), factor));
      }
    }
    DotTile dots{tileRows, vectors,
                 [&](Value pair, int64_t i) {
                   Value at = k.mul(k.at(place, i), tile.tokens);
                   return k.loadBits(probability, k.add(at, k.mul(pair, 2)));
                 },
                 [&](Value pair, int64_t j) {
                   Value at = k.add(k.mul(pair, width), column);
                   return k.loadVector(tile.values, k.at(at, j * lanes), lanes);
                 }};
    totals = dots.emit(k, tile.tokens / 2, std::move(totals));
    for (auto [total, at] : llvm::zip_equal(totals, places))
      k.storeVector(total, output, at);
  });
}

void FlashAttention::store(const Queries &queries, Value out) {
  int64_t depth = spec.heads * spec.value;
  int64_t stride = rowElements(spec.format, depth);
  k.loop(k.index(0), queries.count, 1, [&](Value row) {
    Value inverse = k.broadcast(k.fdiv(k.f32(1.0f), k.load(sums, row)));
    Value start = k.mul(k.add(queries.first, row), stride);
    Value to = k.add(start, k.mul(queries.head, spec.value));
    Value from = k.mul(row, width);
    k.loopTail(spec.value, k.lanes(), [&](Value column, int64_t valid) {
      Value o = k.loadF32(output, k.add(from, column));
      k.storeRow(k.fmul(o, inverse), out, k.add(to, column), valid);
    });
    if (spec.format != RowFormat::bf16 || stride == depth)
      return;
    k.ifThen(k.equal(queries.head, k.index(spec.heads - 1)), [&] {
      for (int64_t i = depth; i < stride; i += k.lanes())
        k.storeRow(k.splat(0.0f), out, k.at(start, i),
                   k.validLanes(stride - i, 0));
    });
  });
}

} // namespace

int64_t ExpandedAttentionSpec::queryBlock() const {
  int64_t tokens = cache.blockTokens(), depth = paddedDepth(nope);
  int64_t latent = roundUp(cache.latent, 32), columns = roundUp(value, 32);
  int64_t fixed = (depth + columns) * tokens * 2 + rowBlock * tokens * 6;
  if (cache.format == CacheFormat::int8)
    fixed += (depth + columns) * (latent + 4 * (cache.groups() + 1)) +
             cache.groups() * tokens * 4;
  else
    fixed += depth * latent * 2 + (cache.latent + cache.rope) * tokens * 2;
  int64_t row = columns * 4 + 8;
  int64_t fitting = (scratchBytes - fixed) / row / rowBlock * rowBlock;
  return std::clamp<int64_t>(std::min(fitting, roundUp(maxQueries, rowBlock)),
                             rowBlock, 512);
}

KernelInfo emitExpandedAttention(ModuleOp module, StringRef name,
                                 const InstructionSet &set,
                                 const ExpandedAttentionSpec &spec) {
  Builder b(module.getContext());
  const CachePlane &plane = spec.cache;
  int64_t latent = roundUp(plane.latent, 32);
  RowEmitter k(
      module, name,
      {flatType(b.getBF16Type(), spec.tokens * spec.queryNope.tokenStride),
       flatType(b.getBF16Type(), spec.tokens * spec.queryRope.tokenStride),
       plane.type(module.getContext()),
       flatType(b.getBF16Type(), spec.heads * latent * paddedDepth(spec.nope)),
       flatType(b.getBF16Type(), spec.heads * roundUp(spec.value, 32) * latent),
       flatType(b.getI32Type(), spec.sequences + 1),
       flatType(b.getI32Type(), spec.sequences),
       flatType(b.getI32Type(), spec.sequences * plane.pagesPerSequence),
       rowBufferType(module.getContext(), spec.format, spec.tokens,
                     spec.heads * spec.value)},
      set);
  int64_t rows = spec.queryBlock();
  int64_t blocks = (spec.maxQueries + rows - 1) / rows;
  ExpandedTile tile(k, spec, k.binding(2), k.binding(3), k.binding(4),
                    k.binding(7));
  FlashAttention attention(k, spec, tile, rows);

  Value sequence = k.div(k.workgroup(), spec.heads * blocks);
  Value rest = k.rem(k.workgroup(), spec.heads * blocks);
  Value skipped = k.mul(k.div(rest, spec.heads), rows);
  Value offset = k.loadIndex(k.binding(5), sequence);
  Value count = k.sub(k.loadIndex(k.binding(5), k.at(sequence, 1)), offset);
  k.ifThen(k.less(skipped, count), [&] {
    Value context = k.loadIndex(k.binding(6), sequence);
    Queries queries;
    queries.first = k.add(offset, skipped);
    queries.count = k.min(k.sub(count, skipped), rows);
    queries.position = k.add(k.sub(context, count), skipped);
    queries.head = k.rem(rest, spec.heads);
    tile.loadHead(queries.head);
    attention.reset();
    Value end = k.add(queries.position, queries.count);
    k.loop(k.index(0), end, tile.tokens, [&](Value position) {
      tile.expand(sequence, position, k.min(k.sub(end, position), tile.tokens));
      attention.update(queries, position);
    });
    attention.store(queries, k.binding(8));
  });
  return k.finish({spec.heads * blocks, 1, Dim::sequences});
}

} // namespace mlir::dsv2::x86
