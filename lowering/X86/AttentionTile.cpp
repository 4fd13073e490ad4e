//===- AttentionTile.cpp - Expanding one tile of the context --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionTile.h"

namespace mlir::dsv2::x86 {

SmallVector<Value> DotTile::emit(RowEmitter &k, int64_t depth,
                                 SmallVector<Value> accumulators) const {
  return k.loop(k.index(0), k.index(depth), 1, accumulators,
                [&](Value pair, ValueRange carried) {
                  SmallVector<Value> next(carried), right;
                  for (int64_t j = 0; j < vectors; ++j)
                    right.push_back(k.bitcast(b(pair, j), k.getBF16Type()));
                  for (int64_t i = 0; i < rows; ++i) {
                    Value left = k.broadcastBits(a(pair, i), k.getBF16Type());
                    for (int64_t j = 0; j < vectors; ++j) {
                      Value &sum = next[i * vectors + j];
                      sum = k.dotBf16(sum, right[j], left);
                    }
                  }
                  return next;
                });
}

SmallVector<Value> QuadTile::emit(RowEmitter &k, Value from, Value to,
                                  SmallVector<Value> accumulators) const {
  return k.loop(from, to, 1, accumulators, [&](Value quad, ValueRange carried) {
    SmallVector<Value> next(carried), right;
    for (int64_t j = 0; j < vectors; ++j)
      right.push_back(k.bitcast(b(quad, j), k.getI8Type()));
    for (int64_t i = 0; i < rows; ++i) {
      Value left = k.broadcastBits(a(quad, i), k.getI8Type());
      for (int64_t j = 0; j < vectors; ++j) {
        Value &sum = next[i * vectors + j];
        sum = isScalarSigned ? k.dotU8S8(sum, right[j], left)
                             : k.dotU8S8(sum, left, right[j]);
      }
    }
    return next;
  });
}

ExpandedTile::ExpandedTile(RowEmitter &k, const ExpandedAttentionSpec &spec,
                           Value cache, Value keyWeights, Value valueWeights,
                           Value pageTable)
    : tokens(spec.cache.blockTokens()), valuePadded(roundUp(spec.value, 32)),
      k(k), spec(spec), plane(spec.cache),
      latentPadded(roundUp(plane.latent, 32)), cache(cache),
      keyWeights(keyWeights), valueWeights(valueWeights), pageTable(pageTable) {
  Type i32 = k.getI32Type();
  int64_t width = (plane.latent + plane.rope) / 2;
  int64_t nope = paddedDepth(spec.nope);
  keys = k.scratch({nope / (isInt8() ? 4 : 2) * tokens}, i32);
  values = k.scratch({tokens / 2 * valuePadded}, i32);
  if (isInt8()) {
    allocateInt8();
    return;
  }
  keyRows = k.scratch({nope * latentPadded / 2}, i32);
  columns = k.scratch({width * tokens}, i32);
  rotated = columns;
  rotatedStart = k.index(plane.latent / 2 * tokens);
}

void ExpandedTile::loadHead(Value head) {
  int64_t nope = paddedDepth(spec.nope), lanes = k.lanes();
  int64_t matrix = latentPadded * nope;
  Value start = k.mul(head, matrix);
  valueStart = k.mul(head, valuePadded * latentPadded);
  if (isInt8()) {
    quantizeKeyWeights(start);
    quantizeValueWeights(valueStart);
    return;
  }

  // Panels pair the columns of a row of the transposed weights; keys need the
  // pairs of W_UK itself, which are two of those rows.
  SmallVector<int64_t> even, odd;
  for (int64_t i = 0; i < 2 * lanes; ++i) {
    even.push_back(2 * i);
    odd.push_back(2 * i + 1);
  }
  k.loop(k.index(0), k.index(latentPadded / panelRows), 1, [&](Value panel) {
    k.loop(k.index(0), k.index(nope / 2), 1, [&](Value pair) {
      Value from = k.add(k.mul(panel, nope), k.mul(pair, 2));
      from = k.add(start, k.mul(from, panelRows));
      Value to = k.add(k.mul(pair, latentPadded), k.mul(panel, panelRows / 2));
      for (int64_t i = 0; i < panelRows; i += 2 * lanes) {
        auto load = [&](int64_t offset) {
          Value v = k.loadVector(keyWeights, k.at(from, offset), 2 * lanes);
          return k.bitcast(v, k.getI16Type());
        };
        Value a = load(2 * i), b = load(2 * i + 2 * lanes);
        auto store = [&](ArrayRef<int64_t> which, int64_t row) {
          Value v = k.bitcast(k.shuffle(a, b, which), k.getI32Type());
          k.storeVector(v, keyRows, k.at(to, row * latentPadded / 2 + i / 2));
        };
        store(even, 0);
        store(odd, 1);
      }
    });
  });
}

void ExpandedTile::expand(Value sequence, Value position, Value valid) {
  Value base = plane.blockBase(k, pageTable, sequence, position);
  if (isInt8()) {
    tile = base;
    rotatedStart = k.at(base, plane.pairRow() * tokens);
    loadScales(valid);
    expandKeysInt8();
    expandValuesInt8();
    return;
  }
  transpose(base, valid);
  expandKeys();
  expandValues();
}

void ExpandedTile::transpose(Value base, Value valid) {
  int64_t lanes = k.lanes();
  Value last = k.sub(valid, k.index(1));
  Value limit = k.broadcastInt(k.toI32(valid));
  k.loop(k.index(0), k.index(tokens), lanes, [&](Value first) {
    Value ids = k.addLanes(k.laneIds(), k.broadcastInt(k.toI32(first)));
    Value exists = k.laneLess(ids, limit);
    SmallVector<Value> starts;
    for (int64_t i = 0; i < lanes; ++i)
      starts.push_back(
          k.add(base, k.mul(k.min(k.at(first, i), last), plane.rowStride())));
    k.loopTail(
        (plane.latent + plane.rope) / 2, lanes, [&](Value pair, int64_t pairs) {
          SmallVector<Value> rows;
          for (Value start : starts)
            rows.push_back(
                k.bitcast(k.loadLanes(cache, k.add(start, k.mul(pair, 2)),
                                      2 * lanes, 2 * pairs),
                          k.getI32Type()));
          transposeLanes(k, rows);
          for (int64_t i = 0; i < pairs; ++i) {
            Value to = k.add(k.mul(k.at(pair, i), tokens), first);
            k.storeVector(k.select(exists, rows[i], k.splatInt(0)), columns,
                          to);
          }
        });
  });
}

void ExpandedTile::expandKeys() {
  int64_t lanes = k.lanes();
  int64_t vectors = std::min<int64_t>(tokens / lanes, lanes == 16 ? 4 : 2);
  k.loop(k.index(0), k.index(roundUp(spec.nope, 4)), 4, [&](Value row) {
    k.loop(k.index(0), k.index(tokens), vectors * lanes, [&](Value token) {
      Value start = k.mul(row, latentPadded / 2);
      DotTile tile{4, vectors,
                   [&](Value pair, int64_t i) {
                     Value at = k.add(start, pair);
                     return k.load(keyRows, k.at(at, i * latentPadded / 2));
                   },
                   [&](Value pair, int64_t j) {
                     Value at = k.add(k.mul(pair, tokens), token);
                     return k.loadVector(columns, k.at(at, j * lanes), lanes);
                   }};
      SmallVector<Value> sums = tile.emit(k, plane.latent / 2, tile.zeros(k));
      for (int64_t i = 0; i < 2; ++i)
        for (int64_t j = 0; j < vectors; ++j) {
          Value pairs = k.pairBf16(sums[2 * i * vectors + j],
                                   sums[(2 * i + 1) * vectors + j]);
          Value to = k.mul(k.at(k.div(row, 2), i), tokens);
          k.storeVector(pairs, keys, k.at(k.add(to, token), j * lanes));
        }
    });
  });
}

void ExpandedTile::expandValues() {
  int64_t lanes = k.lanes();
  int64_t rows = lanes == 16 ? 8 : 4;
  k.loop(k.index(0), k.index(valuePadded), 2 * lanes, [&](Value column) {
    // Panels of 32 columns hold consecutive pairs of the latent.
    Value panel = k.mul(k.div(column, panelRows), latentPadded * panelRows);
    Value start =
        k.add(k.add(valueStart, panel), k.mul(k.rem(column, panelRows), 2));
    k.loop(k.index(0), k.index(tokens), rows, [&](Value token) {
      DotTile tile{rows, 2,
                   [&](Value pair, int64_t i) {
                     Value at = k.add(k.mul(pair, tokens), token);
                     return k.load(columns, k.at(at, i));
                   },
                   [&](Value pair, int64_t j) {
                     Value at = k.add(start, k.mul(pair, 2 * panelRows));
                     return k.loadVector(valueWeights, k.at(at, 2 * j * lanes),
                                         2 * lanes);
                   }};
      SmallVector<Value> sums = tile.emit(k, plane.latent / 2, tile.zeros(k));
      for (int64_t i = 0; i < rows; i += 2)
        for (int64_t j = 0; j < 2; ++j) {
          Value pairs = k.pairBf16(sums[2 * i + j], sums[2 * (i + 1) + j]);
          Value to = k.mul(k.at(k.div(token, 2), i / 2), valuePadded);
          k.storeVector(pairs, values, k.at(k.add(to, column), j * lanes));
        }
    });
  });
}

} // namespace mlir::dsv2::x86
