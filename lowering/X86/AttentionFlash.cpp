//===- AttentionFlash.cpp - Queries against one tile of keys --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionFlash.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr float masked = -1e30f;
constexpr float log2e = 1.44269504f;

/// Queries of a register tile.
constexpr int64_t tileRows = 4;

} // namespace

FlashAttention::FlashAttention(RowEmitter &k, const ExpandedAttentionSpec &spec,
                               const ExpandedTile &tile, int64_t rows)
    : k(k), spec(spec), tile(tile), rows(rows), width(tile.valuePadded),
      nopePadded(paddedDepth(spec.nope)) {
  Type f32 = k.getF32Type();
  output = k.scratch({rows * width}, f32);
  maxima = k.scratch({rows}, f32);
  sums = k.scratch({rows}, f32);
  factors = k.scratch({rowBlock}, f32);
  score = k.scratch({rowBlock * tile.tokens}, f32);
  probability = k.scratch({rowBlock * tile.tokens}, k.getBF16Type());
  partialSums = k.scratch({k.lanes() * k.lanes()}, f32);
  if (!tile.isInt8())
    return;
  quants = k.scratch({rows * nopePadded}, k.getI8Type());
  scales = k.scratch({rows}, f32);
  offsets = k.scratch({rows}, k.getI32Type());
}

void FlashAttention::start(const Queries &queries) {
  k.loop(k.index(0), k.index(rows), k.lanes(), [&](Value row) {
    k.storeVector(k.splat(masked), maxima, row);
    k.storeVector(k.splat(0.0f), sums, row);
  });
  k.loop(k.index(0), k.index(rows * width), k.lanes(),
         [&](Value i) { k.storeVector(k.splat(0.0f), output, i); });
  if (tile.isInt8())
    quantize(queries);
}

void FlashAttention::quantize(const Queries &queries) {
  int64_t lanes = k.lanes();
  k.loop(k.index(0), queries.count, 1, [&](Value row) {
    Value from = spec.queryNope.at(k, k.add(queries.first, row), queries.head);
    SmallVector<Value> vectors;
    Value largest;
    for (int64_t i = 0; i < nopePadded; i += lanes) {
      vectors.push_back(
          k.loadRow(k.binding(0), k.at(from, i),
                    std::clamp<int64_t>(spec.nope - i, 0, lanes)));
      Value size = k.fabs(vectors.back());
      largest = largest ? k.fmax(largest, size) : size;
    }
    Value scale = k.fmul(k.reduceMax(largest), k.f32(1.0f / 127.0f));
    k.store(scale, scales, row);
    Value inverse = k.broadcast(
        k.fdiv(k.f32(1.0f),
               k.select(k.laneEqual(scale, k.f32(0.0f)), k.f32(1.0f), scale)));
    Value total = k.splatInt(0);
    Value to = k.mul(row, nopePadded);
    for (auto [i, vector] : llvm::enumerate(vectors)) {
      Value rounded = k.roundToI32(k.fmul(vector, inverse));
      total = k.addLanes(total, rounded);
      Value narrow = arith::TruncIOp::create(
          k, VectorType::get(lanes, k.getI8Type()), rounded);
      k.storeVector(narrow, quants, k.at(to, i * lanes));
    }
    Value sum =
        vector::ReductionOp::create(k, vector::CombiningKind::ADD, total);
    k.store(arith::MulIOp::create(k, sum, k.i32(-ExpandedTile::zeroPoint)),
            offsets, row);
  });
}

void FlashAttention::update(const Queries &queries, Value position) {
  // Queries before the tile see none of it; whole blocks of them are skipped.
  // A block that is not skipped leaves such queries as they are.
  Value before = k.select(k.less(queries.position, position),
                          k.sub(position, queries.position), k.index(0));
  Value from = k.mul(k.div(before, rowBlock), rowBlock);
  Value tileEnd = k.at(position, tile.tokens);
  k.loop(from, queries.count, rowBlock, [&](Value block) {
    Value end = k.min(k.add(block, rowBlock), queries.count);
    auto forRows = [&](int64_t step,
                       llvm::function_ref<void(Value row, Value place)> body) {
      k.loop(block, end, step,
             [&](Value row) { body(row, k.sub(row, block)); });
    };
    forRows(tileRows,
            [&](Value row, Value place) { scores(queries, row, place); });
    // Rows of which the first sees the whole tile need no mask.
    Value position1 = k.at(k.add(queries.position, block), 1);
    Value isMasked = k.less(position1, tileEnd);
    k.ifThen(isMasked, [&] {
      forRows(k.lanes(), [&](Value row, Value place) {
        softmax(queries, row, place, position, /*isMasked=*/true);
      });
    });
    Value isWhole = arith::XOrIOp::create(
        k, isMasked, arith::ConstantOp::create(k, k.getBoolAttr(true)));
    k.ifThen(isWhole, [&] {
      forRows(k.lanes(), [&](Value row, Value place) {
        softmax(queries, row, place, position, /*isMasked=*/false);
      });
    });
    forRows(tileRows, [&](Value row, Value place) { weigh(row, place); });
  });
}

SmallVector<Value> FlashAttention::nopeScores(Value row, ArrayRef<Value> starts,
                                              Value token, int64_t vectors,
                                              Value last) {
  int64_t lanes = k.lanes();
  auto keyAt = [&](Value unit, int64_t j) {
    Value at = k.add(k.mul(unit, tile.tokens), token);
    return k.loadVector(tile.keys, k.at(at, j * lanes), lanes);
  };
  if (!tile.isInt8()) {
    DotTile dots{tileRows, vectors,
                 [&](Value pair, int64_t i) {
                   return k.loadBits(k.binding(0),
                                     k.add(starts[i], k.mul(pair, 2)));
                 },
                 keyAt};
    // The pad of an odd number is zero in keys and in packed queries.
    return dots.emit(k, (spec.nope + 1) / 2, dots.zeros(k));
  }
  SmallVector<Value> queries, sums;
  for (int64_t i = 0; i < tileRows; ++i) {
    queries.push_back(k.min(k.at(row, i), last));
    sums.append(vectors, k.broadcastInt(k.load(offsets, queries.back())));
  }
  QuadTile dots{tileRows, vectors, /*isScalarSigned=*/true,
                [&](Value quad, int64_t i) {
                  Value at = k.mul(queries[i], nopePadded);
                  return k.loadBits(quants, k.add(at, k.mul(quad, 4)));
                },
                keyAt};
  sums = dots.emit(k, k.index(0), k.index((spec.nope + 3) / 4), sums);
  SmallVector<Value> keyScales;
  for (int64_t j = 0; j < vectors; ++j)
    keyScales.push_back(k.loadF32(tile.scales, k.at(token, j * lanes)));
  for (int64_t i = 0; i < tileRows; ++i) {
    Value scale = k.broadcast(k.load(scales, queries[i]));
    for (int64_t j = 0; j < vectors; ++j) {
      Value &sum = sums[i * vectors + j];
      sum = k.fmul(k.fmul(k.toF32(sum), keyScales[j]), scale);
    }
  }
  return sums;
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
    SmallVector<Value> dots = nopeScores(row, nope, token, vectors, last);
    DotTile rotated{
        tileRows, vectors,
        [&](Value pair, int64_t i) {
          return k.loadBits(k.binding(1), k.add(rope[i], k.mul(pair, 2)));
        },
        [&](Value pair, int64_t j) {
          Value at =
              k.add(tile.rotatedStart, k.add(k.mul(pair, tile.tokens), token));
          return k.loadVector(tile.rotated, k.at(at, j * lanes), lanes);
        }};
    dots = rotated.emit(k, spec.cache.rope / 2, std::move(dots));
    for (int64_t i = 0; i < tileRows; ++i)
      for (int64_t j = 0; j < vectors; ++j) {
        Value to = k.add(k.mul(k.at(place, i), tile.tokens), token);
        k.storeVector(dots[i * vectors + j], score, k.at(to, j * lanes));
      }
  });
}

void FlashAttention::softmax(const Queries &queries, Value row, Value place,
                             Value position, bool isMasked) {
  int64_t lanes = k.lanes();
  // Scores are scaled by log2(e) too, as they are taken into exponents.
  Value scale = k.splat(spec.scale * log2e);
  // Token i of the tile is visible when i <= the query's position - position.
  Value first = k.toI32(k.sub(k.add(queries.position, row), position));
  auto hidden = [&](Value queryOffset, int64_t i) {
    Value visible =
        k.broadcastInt(arith::AddIOp::create(k, first, queryOffset));
    return k.laneLess(visible, k.addLanes(k.laneIds(), k.splatInt(i)));
  };
  SmallVector<Value> largest;
  for (int64_t r = 0; r < lanes; ++r) {
    Value start = k.mul(k.at(place, r), tile.tokens);
    Value found;
    for (int64_t i = 0; i < tile.tokens; i += lanes) {
      Value s = k.loadF32(score, k.at(start, i));
      if (isMasked)
        s = k.select(hidden(k.i32(r), i), k.splat(masked), s);
      found = found ? k.fmax(found, s) : s;
    }
    largest.push_back(found);
  }
  Value before = k.loadF32(maxima, row);
  Value maximum = k.fmax(before, k.reduceAcross(largest, [&](Value a, Value b) {
    return k.fmax(a, b);
  }));
  k.storeVector(maximum, maxima, row);
  Value factor = k.exp2Softmax(k.fmul(k.fsub(before, maximum), scale));
  k.storeVector(factor, factors, place);
  k.loop(k.index(0), k.index(lanes), 1, [&](Value r) {
    Value start = k.mul(k.add(place, r), tile.tokens);
    Value splat = k.broadcast(k.load(maxima, k.add(row, r)));
    Value shift = k.fmul(k.fsub(k.splat(0.0f), splat), scale);
    Value sum;
    for (int64_t i = 0; i < tile.tokens; i += lanes) {
      Value s = k.loadF32(score, k.at(start, i));
      Value p = k.exp2Softmax(k.fma(s, scale, shift));
      if (isMasked)
        p = k.select(hidden(k.toI32(r), i), k.splat(0.0f), p);
      k.storeVector(k.toBf16(p), probability, k.at(start, i));
      sum = sum ? k.fadd(sum, p) : p;
    }
    k.storeVector(sum, partialSums, k.mul(r, lanes));
  });
  SmallVector<Value> partial;
  for (int64_t r = 0; r < lanes; ++r)
    partial.push_back(k.loadF32(partialSums, k.index(r * lanes)));
  Value sum =
      k.reduceAcross(partial, [&](Value a, Value b) { return k.fadd(a, b); });
  k.storeVector(k.fma(k.loadF32(sums, row), factor, sum), sums, row);
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

} // namespace mlir::dsv2::x86
