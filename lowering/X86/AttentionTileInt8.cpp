//===- AttentionTileInt8.cpp - Expanding one tile in int8 -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionTile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr int64_t groupQuads = latentGroup / 4;

/// A register tile: more would spill the sums of groups.
constexpr int64_t tileRows = 4, tileVectors = 2;

/// The even (low) and odd (high) elements of a vector of pairs of bf16.
std::pair<Value, Value> widenPairs(RowEmitter &k, Value pairs) {
  Value even = arith::ShLIOp::create(k, pairs, k.splatInt(16));
  Value odd = arith::AndIOp::create(k, pairs, k.splatInt(0xffff0000));
  return {k.bitcast(even, k.getF32Type()), k.bitcast(odd, k.getF32Type())};
}

Value loadPairs(RowEmitter &k, Value weights, Value at) {
  return k.bitcast(k.loadVector(weights, at, 2 * k.lanes()), k.getI32Type());
}

/// The scale of numbers up to `largest`, and its inverse (1 for a scale of 0).
std::pair<Value, Value> scaleOf(RowEmitter &k, Value largest) {
  Value scale = k.fmul(largest, k.splat(1.0f / 127.0f));
  Value isZero = k.laneEqual(scale, k.splat(0.0f));
  Value inverse = k.fdiv(k.splat(1.0f), k.select(isZero, k.splat(1.0f), scale));
  return {scale, inverse};
}

Value quantize(RowEmitter &k, Value x, Value inverse) {
  return k.roundToI32(k.fmul(x, inverse));
}

Value zeros(RowEmitter &k) { return k.splatInt(0); }

} // namespace

void ExpandedTile::allocateInt8() {
  Type i32 = k.getI32Type(), f32 = k.getF32Type();
  int64_t nope = paddedDepth(spec.nope), groups = plane.groups();
  keyQuants = k.scratch({nope * latentPadded}, k.getI8Type());
  keyScales = k.scratch({nope}, f32);
  keyOffsets = k.scratch({nope * groups}, i32);
  valueQuants = k.scratch({valuePadded * latentPadded / 4}, i32);
  valueScales = k.scratch({valuePadded}, f32);
  valueOffsets = k.scratch({groups * valuePadded}, i32);
  tokenScales = k.scratch({groups * tokens}, f32);
  keyPairs = k.scratch({nope / 2 * tokens}, i32);
  scales = k.scratch({tokens}, f32);
  rotated = cache;
}

void ExpandedTile::quantizeKeyWeights(Value start) {
  // A vector of pairs holds two rows of W_UK for as many columns of the latent
  // as it has lanes.
  int64_t nope = paddedDepth(spec.nope), lanes = k.lanes();
  constexpr int64_t groupPanels = latentGroup / panelRows;
  int64_t panels = latentPadded / panelRows;
  k.loop(k.index(0), k.index(nope / 2), 1, [&](Value pair) {
    auto load = [&](Value panel, int64_t i) {
      Value row = k.add(k.mul(panel, nope), k.mul(pair, 2));
      Value at = k.add(start, k.mul(row, panelRows));
      return widenPairs(k, loadPairs(k, keyWeights, k.at(at, 2 * i)));
    };
    SmallVector<Value> largest =
        k.loop(k.index(0), k.index(panels), 1, {k.splat(0.0f), k.splat(0.0f)},
               [&](Value panel, ValueRange carried) {
                 SmallVector<Value> next(carried);
                 for (int64_t i = 0; i < panelRows; i += lanes) {
                   auto [even, odd] = load(panel, i);
                   next[0] = k.fmax(next[0], k.fabs(even));
                   next[1] = k.fmax(next[1], k.fabs(odd));
                 }
                 return next;
               });
    SmallVector<Value> inverses, rows;
    for (int64_t which = 0; which < 2; ++which) {
      auto [scale, inverse] =
          scaleOf(k, k.broadcast(k.reduceMax(largest[which])));
      rows.push_back(k.at(k.mul(pair, 2), which));
      inverses.push_back(inverse);
      k.store(vector::ExtractOp::create(k, scale, ArrayRef<int64_t>{0}),
              keyScales, rows.back());
    }
    k.loop(k.index(0), k.index(plane.groups()), 1, [&](Value group) {
      Value first = k.mul(group, groupPanels);
      Value end = k.min(k.at(first, groupPanels), panels);
      SmallVector<Value> sums =
          k.loop(first, end, 1, {zeros(k), zeros(k)},
                 [&](Value panel, ValueRange carried) {
                   SmallVector<Value> next(carried);
                   for (int64_t i = 0; i < panelRows; i += lanes) {
                     auto [even, odd] = load(panel, i);
                     Value parts[] = {even, odd};
                     for (int64_t which = 0; which < 2; ++which) {
                       Value quants =
                           quantize(k, parts[which], inverses[which]);
                       next[which] = k.addLanes(next[which], quants);
                       Value at = k.add(k.mul(rows[which], latentPadded),
                                        k.mul(panel, panelRows));
                       Value narrow = arith::TruncIOp::create(
                           k, VectorType::get(lanes, k.getI8Type()), quants);
                       k.storeVector(narrow, keyQuants, k.at(at, i));
                     }
                   }
                   return next;
                 });
      for (int64_t which = 0; which < 2; ++which) {
        Value sum = vector::ReductionOp::create(k, vector::CombiningKind::ADD,
                                                sums[which]);
        sum = arith::MulIOp::create(k, sum, k.i32(-zeroPoint));
        k.store(sum, keyOffsets,
                k.add(k.mul(rows[which], plane.groups()), group));
      }
    });
  });
}

void ExpandedTile::quantizeValueWeights(Value start) {
  // A vector of pairs holds two columns of the latent for as many rows of W_UV
  // as it has lanes.
  int64_t lanes = k.lanes(), quads = latentPadded / 4;
  k.loop(k.index(0), k.index(valuePadded), lanes, [&](Value column) {
    Value panel = k.div(column, panelRows), inPanel = k.rem(column, panelRows);
    Value from = k.add(k.add(start, k.mul(panel, latentPadded * panelRows)),
                       k.mul(inPanel, 2));
    auto load = [&](Value pair) {
      return widenPairs(k, loadPairs(k, valueWeights,
                                     k.add(from, k.mul(pair, 2 * panelRows))));
    };
    Value largest =
        k.loop(k.index(0), k.index(latentPadded / 2), 1, {k.splat(0.0f)},
               [&](Value pair, ValueRange carried) -> SmallVector<Value> {
                 auto [even, odd] = load(pair);
                 return {k.fmax(carried[0], k.fmax(k.fabs(even), k.fabs(odd)))};
               })[0];
    auto [scale, inverse] = scaleOf(k, largest);
    k.storeVector(scale, valueScales, column);
    Value to = k.add(k.mul(panel, quads * panelRows), inPanel);
    k.loop(k.index(0), k.index(plane.groups()), 1, [&](Value group) {
      Value first = k.mul(group, groupQuads);
      Value sum = k.loop(
          first, k.min(k.at(first, groupQuads), quads), 1, {zeros(k)},
          [&, inverse = inverse](Value quad,
                                 ValueRange carried) -> SmallVector<Value> {
            Value next = carried[0], word;
            for (int64_t i = 0; i < 2; ++i) {
              auto [even, odd] = load(k.at(k.mul(quad, 2), i));
              Value parts[] = {even, odd};
              for (int64_t j = 0; j < 2; ++j) {
                Value quants = quantize(k, parts[j], inverse);
                next = k.addLanes(next, quants);
                Value byte = arith::AndIOp::create(k, quants, k.splatInt(255));
                byte =
                    arith::ShLIOp::create(k, byte, k.splatInt(16 * i + 8 * j));
                word = word ? arith::OrIOp::create(k, word, byte).getResult()
                            : byte;
              }
            }
            k.storeVector(word, valueQuants, k.add(to, k.mul(quad, panelRows)));
            return {next};
          })[0];
      k.storeVector(k.mulInt(sum, -zeroPoint), valueOffsets,
                    k.add(k.mul(group, valuePadded), column));
    });
  });
}

void ExpandedTile::loadScales(Value valid) {
  // Those of tokens that do not exist may be anything.
  Value limit = k.broadcastInt(k.toI32(valid));
  Value from = k.at(tile, plane.scaleRow() * tokens);
  k.loop(k.index(0), k.index(tokens), k.lanes(), [&](Value token) {
    Value ids = k.addLanes(k.laneIds(), k.broadcastInt(k.toI32(token)));
    Value exists = k.laneLess(ids, limit);
    for (int64_t group = 0; group < plane.groups(); ++group) {
      Value at = k.at(token, group * tokens);
      Value bits = k.loadVector(cache, k.add(from, at), k.lanes());
      Value scale = k.bitcast(bits, k.getF32Type());
      k.storeVector(k.select(exists, scale, k.splat(0.0f)), tokenScales, at);
    }
  });
}

SmallVector<Value> ExpandedTile::sumGroups(
    int64_t sums, llvm::function_ref<Value(Value group, int64_t i)> init,
    llvm::function_ref<SmallVector<Value>(Value from, Value to,
                                          SmallVector<Value> accumulators)>
        product,
    llvm::function_ref<Value(Value group, int64_t i)> scale) {
  return k.loop(k.index(0), k.index(plane.groups()), 1,
                SmallVector<Value>(sums, k.splat(0.0f)),
                [&](Value group, ValueRange carried) {
                  SmallVector<Value> inits, next;
                  for (int64_t i = 0; i < sums; ++i)
                    inits.push_back(init(group, i));
                  Value from = k.mul(group, groupQuads);
                  Value to = k.min(k.at(from, groupQuads), plane.quads());
                  SmallVector<Value> dots = product(from, to, inits);
                  for (int64_t i = 0; i < sums; ++i)
                    next.push_back(
                        k.fma(k.toF32(dots[i]), scale(group, i), carried[i]));
                  return next;
                });
}

void ExpandedTile::expandKeysInt8() {
  int64_t lanes = k.lanes();
  int64_t vectors = std::min(tokens / lanes, tileVectors);
  k.loop(k.index(0), k.index(tokens), lanes,
         [&](Value token) { k.storeVector(k.splat(0.0f), scales, token); });
  k.loop(
      k.index(0), k.index(roundUp(spec.nope, tileRows)), tileRows,
      [&](Value row) {
        k.loop(k.index(0), k.index(tokens), vectors * lanes, [&](Value token) {
          QuadTile product{
              tileRows, vectors, /*isScalarSigned=*/true,
              [&](Value quad, int64_t i) {
                Value at = k.mul(k.at(row, i), latentPadded);
                return k.loadBits(keyQuants, k.add(at, k.mul(quad, 4)));
              },
              [&](Value quad, int64_t j) {
                Value at = k.add(k.mul(quad, tokens), token);
                return k.loadVector(cache, k.at(k.add(tile, at), j * lanes),
                                    lanes);
              }};
          SmallVector<Value> sums = sumGroups(
              tileRows * vectors,
              [&](Value group, int64_t i) {
                Value at = k.mul(k.at(row, i / vectors), plane.groups());
                return k.broadcastInt(k.load(keyOffsets, k.add(at, group)));
              },
              [&](Value from, Value to, SmallVector<Value> inits) {
                return product.emit(k, from, to, std::move(inits));
              },
              [&](Value group, int64_t i) {
                Value at = k.add(k.mul(group, tokens), token);
                return k.loadF32(tokenScales, k.at(at, i % vectors * lanes));
              });
          for (int64_t i = 0; i < tileRows; ++i) {
            Value scale = k.broadcast(k.load(keyScales, k.at(row, i)));
            for (int64_t j = 0; j < vectors; ++j)
              sums[i * vectors + j] = k.fmul(sums[i * vectors + j], scale);
          }
          for (int64_t j = 0; j < vectors; ++j) {
            Value at = k.at(token, j * lanes);
            Value largest = k.loadF32(scales, at);
            for (int64_t i = 0; i < tileRows; ++i)
              largest = k.fmax(largest, k.fabs(sums[i * vectors + j]));
            k.storeVector(largest, scales, at);
          }
          for (int64_t i = 0; i < tileRows; i += 2)
            for (int64_t j = 0; j < vectors; ++j) {
              Value pairs = k.pairBf16(sums[i * vectors + j],
                                       sums[(i + 1) * vectors + j]);
              Value to = k.mul(k.at(k.div(row, 2), i / 2), tokens);
              k.storeVector(pairs, keyPairs, k.at(k.add(to, token), j * lanes));
            }
        });
      });
  quantizeKeys();
}

void ExpandedTile::quantizeKeys() {
  // Adding it leaves the nearest integer and the zero point in the low byte.
  constexpr float magic = 12582912.0f + zeroPoint;
  int64_t lanes = k.lanes(), quads = (spec.nope + 3) / 4;
  k.loop(k.index(0), k.index(tokens), lanes, [&](Value token) {
    auto [scale, inverse] = scaleOf(k, k.loadF32(scales, token));
    k.storeVector(scale, scales, token);
    k.loop(k.index(0), k.index(quads), 1, [&, inverse = inverse](Value quad) {
      Value word;
      for (int64_t i = 0; i < 2; ++i) {
        Value at = k.mul(k.at(k.mul(quad, 2), i), tokens);
        auto [even, odd] =
            widenPairs(k, k.loadVector(keyPairs, k.add(at, token), lanes));
        Value parts[] = {even, odd};
        for (int64_t j = 0; j < 2; ++j) {
          Value bits = k.bitcast(k.fma(parts[j], inverse, k.splat(magic)),
                                 k.getI32Type());
          Value byte = arith::AndIOp::create(k, bits, k.splatInt(255));
          byte = arith::ShLIOp::create(k, byte, k.splatInt(16 * i + 8 * j));
          word = word ? arith::OrIOp::create(k, word, byte).getResult() : byte;
        }
      }
      k.storeVector(word, keys, k.add(k.mul(quad, tokens), token));
    });
  });
}

void ExpandedTile::expandValuesInt8() {
  int64_t lanes = k.lanes(), quads = latentPadded / 4;
  k.loop(
      k.index(0), k.index(valuePadded), tileVectors * lanes, [&](Value column) {
        Value start = k.add(k.mul(k.div(column, panelRows), quads * panelRows),
                            k.rem(column, panelRows));
        k.loop(k.index(0), k.index(tokens), tileRows, [&](Value token) {
          QuadTile product{tileRows, tileVectors, /*isScalarSigned=*/false,
                           [&](Value quad, int64_t i) {
                             Value at = k.add(k.mul(quad, tokens), token);
                             return k.load(cache, k.at(k.add(tile, at), i));
                           },
                           [&](Value quad, int64_t j) {
                             Value at = k.add(start, k.mul(quad, panelRows));
                             return k.loadVector(valueQuants,
                                                 k.at(at, j * lanes), lanes);
                           }};
          SmallVector<Value> sums = sumGroups(
              tileRows * tileVectors,
              [&](Value group, int64_t i) {
                Value at = k.add(k.mul(group, valuePadded), column);
                return k.loadVector(valueOffsets,
                                    k.at(at, i % tileVectors * lanes), lanes);
              },
              [&](Value from, Value to, SmallVector<Value> inits) {
                return product.emit(k, from, to, std::move(inits));
              },
              [&](Value group, int64_t i) {
                Value at = k.add(k.mul(group, tokens), token);
                return k.broadcast(
                    k.load(tokenScales, k.at(at, i / tileVectors)));
              });
          for (int64_t j = 0; j < tileVectors; ++j) {
            Value scale = k.loadF32(valueScales, k.at(column, j * lanes));
            for (int64_t i = 0; i < tileRows; i += 2) {
              Value low = k.fmul(sums[i * tileVectors + j], scale);
              Value high = k.fmul(sums[(i + 1) * tileVectors + j], scale);
              Value to = k.mul(k.at(k.div(token, 2), i / 2), valuePadded);
              k.storeVector(k.pairBf16(low, high), values,
                            k.at(k.add(to, column), j * lanes));
            }
          }
        });
      });
}

} // namespace mlir::dsv2::x86
