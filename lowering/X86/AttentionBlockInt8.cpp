//===- AttentionBlockInt8.cpp - Latent attention over int8 rows -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionBlock.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr float log2e = 1.44269504f;
constexpr int64_t zeroPoint = 128;
constexpr int64_t groupQuads = latentGroup / 4;
/// The largest weight of a block.
constexpr float largestWeight = 255.0f;

class Int8Blocks final : public LatentBlocks {
public:
  Int8Blocks(RowEmitter &k, const LatentAttentionSpec &spec, Value query,
             Value cache, Value pageTable);

private:
  void loadQuery(Value from, Value head) override;
  void clearQueries(Value first) override;
  void scores(Value base, Value next, Value valid) override;
  void softmax(const HeadState &state, Value base, Value valid) override;
  void values(const HeadState &state, Value base, Value valid) override;

  void scoreGroup(Value base, Value next, Value group, bool isFirst);
  void addRotated(Value base, Value next);
  void scaleWeights(Value base, Value valid);
  void weighColumns(const HeadState &state, Value base, Value quad,
                    int64_t quads);
  /// Prefetches what one of the tiles of heads is to prefetch of a row.
  void prefetchRow(Value next, Value row, Value head);
  /// body(head, token) for every tile of scores.
  void forTiles(llvm::function_ref<void(Value head, Value token)> body);

  int64_t tileHeads, tileVectors, valueHeads;
  int64_t headStride; ///< of arrays of heads: whole vectors
  Value query;        ///< i8 [head][latent], padded to groups
  Value queryScales;  ///< [head]
  Value queryOffsets; ///< i32 [head][group]: undo the zero point of latents
  Value rotated;      ///< bf16 [head][rope]
  Value tokenFactors; ///< [group][token]: scales of latents, the largest 255
  Value largest;      ///< [group]: what 255 stands for, over 255
  Value weights;      ///< u8 [group][head][token]
  Value factors;      ///< [head]: of the exponents of a block
  Value valueFactors; ///< [group][head]: what a unit of a sum stands for
};

} // namespace

Int8Blocks::Int8Blocks(RowEmitter &k, const LatentAttentionSpec &spec,
                       Value queryIn, Value cache, Value pageTable)
    : LatentBlocks(k, spec, queryIn, cache, pageTable),
      tileHeads(k.lanes() == 16 ? 4 : 2),
      tileVectors(
          std::min<int64_t>(block / k.lanes(), k.lanes() == 16 ? 4 : 2)),
      valueHeads(4), headStride(roundUp(groups.padded, 16)) {
  if (k.lanes() == 16)
    valueHeads = groups.padded % 16 == 0 ? 16 : groups.padded % 8 == 0 ? 8 : 4;
  Type f32 = k.getF32Type(), i8 = k.getI8Type();
  query = k.scratch({groups.padded * plane.groups() * latentGroup}, i8);
  queryScales = k.scratch({headStride}, f32);
  queryOffsets = k.scratch({groups.padded * plane.groups()}, k.getI32Type());
  rotated = k.scratch({groups.padded * plane.rope}, k.getBF16Type());
  tokenFactors = k.scratch({plane.groups() * block}, f32);
  largest = k.scratch({plane.groups()}, f32);
  weights = k.scratch({plane.groups() * groups.padded * block}, i8);
  factors = k.scratch({headStride}, f32);
  valueFactors = k.scratch({plane.groups() * headStride}, f32);
}

void Int8Blocks::loadQuery(Value from, Value head) {
  int64_t lanes = k.lanes();
  Value size = k.loop(k.index(0), k.index(plane.latent / lanes * lanes), lanes,
                      {k.splat(0.0f)},
                      [&](Value i, ValueRange carried) -> SmallVector<Value> {
                        Value x = k.loadRow(queryIn, k.add(from, i), lanes);
                        return {k.fmax(carried[0], k.fabs(x))};
                      })[0];
  if (int64_t rest = plane.latent % lanes) {
    Value at = k.at(from, plane.latent - rest);
    size = k.fmax(size, k.fabs(k.loadRow(queryIn, at, rest)));
  }
  Value scale = k.fdiv(k.reduceMax(size), k.f32(127.0f));
  k.store(k.fmul(scale, k.f32(spec.scale * log2e)), queryScales, head);
  Value inverse =
      k.broadcast(k.fdiv(k.f32(1.0f), k.select(k.laneEqual(scale, k.f32(0.0f)),
                                               k.f32(1.0f), scale)));
  Value to = k.mul(head, plane.groups() * latentGroup);
  for (int64_t group = 0; group < plane.groups(); ++group) {
    Value sums = k.splatInt(0);
    int64_t end = std::min((group + 1) * latentGroup, plane.latent);
    for (int64_t i = group * latentGroup; i < end; i += lanes) {
      Value x = k.loadRow(queryIn, k.at(from, i), std::min(end - i, lanes));
      Value quants = k.roundToI32(k.fmul(x, inverse));
      sums = k.addLanes(sums, quants);
      Value narrow = arith::TruncIOp::create(
          k, VectorType::get(lanes, k.getI8Type()), quants);
      k.storeVector(narrow, query, k.at(to, i));
    }
    Value sum =
        vector::ReductionOp::create(k, vector::CombiningKind::ADD, sums);
    k.store(arith::MulIOp::create(k, sum, k.i32(-zeroPoint)), queryOffsets,
            k.at(k.mul(head, plane.groups()), group));
  }
  Value row = k.mul(head, plane.rope);
  k.loopTail(plane.rope, 2 * lanes, [&](Value i, int64_t valid) {
    Value at = k.at(k.add(from, i), plane.latent);
    Value v = k.loadLanes(queryIn, at, 2 * lanes, valid);
    k.storeLanes(v, rotated, k.add(row, i), valid);
  });
}

void Int8Blocks::clearQueries(Value first) {
  Value zero = k.i32(0);
  k.loop(first, k.index(groups.padded), 1, [&](Value head) {
    k.store(k.f32(0.0f), queryScales, head);
    for (int64_t group = 0; group < plane.groups(); ++group)
      k.store(zero, queryOffsets, k.at(k.mul(head, plane.groups()), group));
    k.loop(k.index(0), k.index(plane.rope), 1, [&](Value i) {
      Value none = arith::ConstantOp::create(k, k.getZeroAttr(k.getBF16Type()));
      k.store(none, rotated, k.add(k.mul(head, plane.rope), i));
    });
  });
}

void Int8Blocks::forTiles(
    llvm::function_ref<void(Value head, Value token)> body) {
  k.loop(k.index(0), k.index(block), tileVectors * k.lanes(), [&](Value token) {
    k.loop(k.index(0), k.index(groups.padded), tileHeads,
           [&](Value head) { body(head, token); });
  });
}

void Int8Blocks::prefetchRow(Value next, Value row, Value head) {
  // A row is some cache lines, which the tiles of heads share.
  constexpr int64_t lineTokens = 16;
  int64_t lines = (block + lineTokens - 1) / lineTokens;
  int64_t tiles = groups.padded / tileHeads;
  int64_t each = (lines + tiles - 1) / tiles;
  Value line = k.mul(k.rem(k.div(head, tileHeads), lines), each * lineTokens);
  Value at = k.add(next, k.add(k.mul(row, block), line));
  for (int64_t i = 0; i < each; ++i)
    k.prefetch(cache, k.at(at, i * lineTokens));
}

void Int8Blocks::scores(Value base, Value next, Value /*valid*/) {
  scoreGroup(base, next, k.index(0), /*isFirst=*/true);
  k.loop(k.index(1), k.index(plane.groups()), 1, [&](Value group) {
    scoreGroup(base, next, group, /*isFirst=*/false);
  });
  addRotated(base, next);
}

void Int8Blocks::scoreGroup(Value base, Value next, Value group, bool isFirst) {
  int64_t lanes = k.lanes(), rowBytes = plane.groups() * latentGroup;
  Value from = k.mul(group, groupQuads);
  Value to = k.min(k.at(from, groupQuads), plane.quads());
  forTiles([&](Value head, Value token) {
    SmallVector<Value> sums;
    for (int64_t h = 0; h < tileHeads; ++h) {
      Value at = k.add(k.mul(k.at(head, h), plane.groups()), group);
      sums.append(tileVectors, k.broadcastInt(k.load(queryOffsets, at)));
    }
    sums = k.loop(from, to, 1, sums, [&](Value quad, ValueRange carried) {
      prefetchRow(next, quad, head);
      SmallVector<Value> sum(carried), keys;
      Value at = k.add(k.add(base, k.mul(quad, block)), token);
      for (int64_t j = 0; j < tileVectors; ++j)
        keys.push_back(k.bitcast(
            k.loadVector(cache, k.at(at, j * lanes), lanes), k.getI8Type()));
      for (int64_t h = 0; h < tileHeads; ++h) {
        Value row = k.mul(k.at(head, h), rowBytes);
        Value q = k.broadcastBits(k.loadBits(query, k.add(row, k.mul(quad, 4))),
                                  k.getI8Type());
        for (int64_t j = 0; j < tileVectors; ++j) {
          Value &acc = sum[h * tileVectors + j];
          acc = k.dotU8S8(acc, keys[j], q);
        }
      }
      return sum;
    });
    Value scaleAt =
        k.add(base, k.add(k.mul(k.at(group, plane.scaleRow()), block), token));
    for (int64_t j = 0; j < tileVectors; ++j) {
      Value bits = k.loadVector(cache, k.at(scaleAt, j * lanes), lanes);
      Value scale = k.bitcast(bits, k.getF32Type());
      for (int64_t h = 0; h < tileHeads; ++h) {
        Value place =
            k.at(k.add(k.mul(k.at(head, h), block), token), j * lanes);
        Value sum = k.toF32(sums[h * tileVectors + j]);
        sum = isFirst ? k.fmul(sum, scale)
                      : k.fma(sum, scale, k.loadF32(score, place));
        k.storeVector(sum, score, place);
      }
    }
  });
}

void Int8Blocks::addRotated(Value base, Value next) {
  int64_t lanes = k.lanes();
  forTiles([&](Value head, Value token) {
    SmallVector<Value> sums(tileHeads * tileVectors, k.splat(0.0f));
    sums = k.loop(k.index(0), k.index(plane.pairs()), 1, sums,
                  [&](Value pair, ValueRange carried) {
                    Value row = k.at(pair, plane.pairRow());
                    prefetchRow(next, row, head);
                    SmallVector<Value> sum(carried), keys;
                    Value at = k.add(k.add(base, k.mul(row, block)), token);
                    for (int64_t j = 0; j < tileVectors; ++j)
                      keys.push_back(k.bitcast(
                          k.loadVector(cache, k.at(at, j * lanes), lanes),
                          k.getBF16Type()));
                    for (int64_t h = 0; h < tileHeads; ++h) {
                      Value from = k.add(k.mul(k.at(head, h), plane.rope),
                                         k.mul(pair, 2));
                      Value q = k.broadcastBits(k.loadBits(rotated, from),
                                                k.getBF16Type());
                      for (int64_t j = 0; j < tileVectors; ++j) {
                        Value &acc = sum[h * tileVectors + j];
                        acc = k.dotBf16(acc, keys[j], q);
                      }
                    }
                    return sum;
                  });
    for (int64_t h = 0; h < tileHeads; ++h) {
      Value scale = k.broadcast(k.load(queryScales, k.at(head, h)));
      for (int64_t j = 0; j < tileVectors; ++j) {
        Value place =
            k.at(k.add(k.mul(k.at(head, h), block), token), j * lanes);
        Value added =
            k.fmul(sums[h * tileVectors + j], k.splat(spec.scale * log2e));
        k.storeVector(k.fma(k.loadF32(score, place), scale, added), score,
                      place);
      }
    }
  });
  // The scales, which the next block starts with.
  for (int64_t group = 0; group < plane.groups(); ++group)
    prefetchRow(next, k.index(plane.scaleRow() + group), k.index(0));
}

void Int8Blocks::scaleWeights(Value base, Value valid) {
  Value limit = k.broadcastInt(k.toI32(valid));
  k.loop(k.index(0), k.index(plane.groups()), 1, [&](Value group) {
    Value from = k.add(base, k.mul(k.at(group, plane.scaleRow()), block));
    SmallVector<Value> scales;
    Value most;
    for (int64_t i = 0; i < block; i += k.lanes()) {
      Value ids = k.addLanes(k.laneIds(), k.splatInt(i));
      Value bits = k.loadVector(cache, k.at(from, i), k.lanes());
      scales.push_back(k.select(k.laneLess(ids, limit),
                                k.bitcast(bits, k.getF32Type()),
                                k.splat(0.0f)));
      most = most ? k.fmax(most, scales.back()) : scales.back();
    }
    Value unit = k.fmul(k.reduceMax(most), k.f32(1.0f / largestWeight));
    Value isZero = k.laneEqual(unit, k.f32(0.0f));
    Value inverse =
        k.broadcast(k.fdiv(k.f32(1.0f), k.select(isZero, k.f32(1.0f), unit)));
    k.store(unit, largest, group);
    for (auto [i, scale] : llvm::enumerate(scales))
      k.storeVector(k.fmul(scale, inverse), tokenFactors,
                    k.at(k.mul(group, block), i * k.lanes()));
  });
}

void Int8Blocks::softmax(const HeadState &state, Value base, Value valid) {
  // Adding it leaves the nearest integer in the low bits.
  constexpr float magic = 12582912.0f;
  scaleWeights(base, valid);
  k.loop(k.index(0), k.index(groups.padded), 1, [&](Value head) {
    Value row = k.mul(head, block);
    HeadScores found = loadScores(row, valid);
    Value before = k.load(state.memref, k.add(state.maxima, head));
    Value here = k.reduceMax(found.largest);
    Value maximum = k.fmax(before, here);
    Value splat = k.broadcast(here);
    Value sum;
    for (auto [i, s] : llvm::enumerate(found.scores)) {
      Value p = k.select(found.exists[i], k.exp2Softmax(k.fsub(s, splat)),
                         k.splat(0.0f));
      for (int64_t group = 0; group < plane.groups(); ++group) {
        Value factor =
            k.loadF32(tokenFactors, k.index(group * block + i * k.lanes()));
        Value bits =
            k.bitcast(k.fma(p, factor, k.splat(magic)), k.getI32Type());
        Value narrow = arith::TruncIOp::create(
            k, VectorType::get(k.lanes(), k.getI8Type()), bits);
        k.storeVector(narrow, weights,
                      k.at(row, group * groups.padded * block + i * k.lanes()));
      }
      sum = sum ? k.fadd(sum, p) : p;
    }
    Value factor = vector::ExtractOp::create(
        k, k.exp2Softmax(k.broadcast(k.fsub(here, maximum))),
        ArrayRef<int64_t>{0});
    k.store(factor, factors, head);
    raiseMaximum(state, head, before, maximum,
                 k.fmul(factor, k.reduceAdd(sum)));
  });
  k.loop(k.index(0), k.index(plane.groups()), 1, [&](Value group) {
    Value unit = k.broadcast(k.load(largest, group));
    for (int64_t i = 0; i < headStride; i += k.lanes())
      k.storeVector(k.fmul(k.loadF32(factors, k.index(i)), unit), valueFactors,
                    k.at(k.mul(group, headStride), i));
  });
}

void Int8Blocks::values(const HeadState &state, Value base, Value /*valid*/) {
  k.loopTail(plane.quads(), k.lanes() / 4, [&](Value quad, int64_t quads) {
    weighColumns(state, base, quad, quads);
  });
}

void Int8Blocks::weighColumns(const HeadState &state, Value base, Value quad,
                              int64_t quads) {
  int64_t lanes = k.lanes();
  Value column = k.mul(quad, 4), group = k.div(quad, groupQuads);
  // Of 4 tokens x 4 columns in 128 bits: the tokens of a column together.
  SmallVector<int64_t> transposed;
  for (int64_t i = 0; i < 4 * lanes; i += 16)
    for (int64_t j = 0; j < 16; ++j)
      transposed.push_back(i + j % 4 * 4 + j / 4);
  Value flip = k.splatInt(static_cast<int32_t>(0x80808080u));
  k.loop(k.index(0), k.index(groups.padded), valueHeads, [&](Value head) {
    SmallVector<Value> sums(valueHeads, k.splatInt(0));
    sums = k.loop(
        k.index(0), k.index(block), lanes, sums,
        [&](Value token, ValueRange carried) {
          SmallVector<Value> next(carried), rows;
          for (int64_t i = 0; i < lanes / 4; ++i) {
            if (i >= quads) {
              rows.push_back(k.splatInt(0));
              continue;
            }
            Value at = k.add(base, k.add(k.mul(k.at(quad, i), block), token));
            Value v = k.loadVector(cache, at, lanes);
            v = k.bitcast(arith::XOrIOp::create(k, v, flip), k.getI8Type());
            rows.push_back(
                k.bitcast(k.shuffle(v, v, transposed), k.getI32Type()));
          }
          transposeLanes(k, rows, /*width=*/4);
          for (int64_t i = 0; i < lanes / 4; ++i) {
            Value columns = k.bitcast(rows[i], k.getI8Type());
            for (int64_t h = 0; h < valueHeads; ++h) {
              Value row = k.add(k.mul(group, groups.padded), k.at(head, h));
              Value at = k.at(k.add(k.mul(row, block), token), 4 * i);
              Value p = k.broadcastBits(k.loadBits(weights, at), k.getI8Type());
              next[h] = k.dotU8S8(next[h], p, columns);
            }
          }
          return next;
        });
    for (int64_t h = 0; h < valueHeads; ++h) {
      Value factor = k.broadcast(
          k.load(valueFactors, k.add(k.mul(group, headStride), k.at(head, h))));
      Value place = k.add(outputOf(state, k.at(head, h)), column);
      Value o = k.loadF32(state.memref, place);
      k.storeVector(k.fma(k.toF32(sums[h]), factor, o), state.memref, place);
    }
  });
}

std::unique_ptr<LatentBlocks> createInt8Blocks(RowEmitter &k,
                                               const LatentAttentionSpec &spec,
                                               Value query, Value cache,
                                               Value pageTable) {
  return std::make_unique<Int8Blocks>(k, spec, query, cache, pageTable);
}

} // namespace mlir::dsv2::x86
