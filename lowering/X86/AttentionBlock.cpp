//===- AttentionBlock.cpp - One block of latent attention -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/AttentionBlock.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr float masked = -1e30f;
constexpr float log2e = 1.44269504f;

} // namespace

HeadGroups::HeadGroups(int64_t all) {
  // 16 heads reuse each cached row enough to be bound by arithmetic.
  count = (all + 15) / 16;
  heads = (all + count - 1) / count;
  padded = roundUp(heads, 4);
}

LatentBlocks::LatentBlocks(RowEmitter &k, const LatentAttentionSpec &spec,
                           Value queryIn, Value cache, Value pageTable)
    : groups(spec.heads), latentPadded(roundUp(spec.cache.latent, 32)), k(k),
      spec(spec), plane(spec.cache), block(plane.blockTokens()),
      queryIn(queryIn), cache(cache), pageTable(pageTable) {
  score = k.scratch({groups.padded * block}, k.getF32Type());
}

void LatentBlocks::loadQueries(Value token, Value group) {
  int64_t stride =
      spec.queryStride ? spec.queryStride : plane.latent + plane.rope;
  Value firstHead = k.mul(group, groups.heads);
  Value count = k.min(k.sub(k.index(spec.heads), firstHead), groups.heads);
  Value start = k.mul(k.add(k.mul(token, spec.heads), firstHead), stride);
  k.loop(k.index(0), count, 1, [&](Value head) {
    loadQuery(k.add(start, k.mul(head, stride)), head);
  });
  clearQueries(count);
}

Value LatentBlocks::outputOf(const HeadState &state, Value head) const {
  return k.add(state.output, k.mul(head, latentPadded));
}

void LatentBlocks::attend(const HeadState &state, Value sequence, Value first,
                          Value end, Value contextEnd) {
  Value zero = k.index(0);
  k.loop(zero, k.index(groups.padded), 1, [&](Value head) {
    k.store(k.f32(masked), state.memref, k.add(state.maxima, head));
    k.store(k.f32(0.0f), state.memref, k.add(state.sums, head));
  });
  k.loop(zero, k.index(groups.padded * latentPadded), k.lanes(), [&](Value i) {
    k.storeVector(k.splat(0.0f), state.memref, k.add(state.output, i));
  });
  k.loop(first, end, block, [&](Value position) {
    Value base = plane.blockBase(k, pageTable, sequence, position);
    Value valid = k.min(k.sub(end, position), block);
    // The block to prefetch: the next one, or this one again at the end.
    Value later = k.add(position, block);
    Value next =
        plane.blockBase(k, pageTable, sequence,
                        k.select(k.less(later, contextEnd), later, position));
    scores(base, next, valid);
    softmax(state, base, valid);
    values(state, base, valid);
  });
}

LatentBlocks::HeadScores LatentBlocks::loadScores(Value row, Value valid) {
  HeadScores head;
  Value limit = k.broadcastInt(k.toI32(valid));
  for (int64_t i = 0; i < block; i += k.lanes()) {
    Value ids = k.addLanes(k.laneIds(), k.splatInt(i));
    head.exists.push_back(k.laneLess(ids, limit));
    Value s = k.select(head.exists.back(), k.loadF32(score, k.at(row, i)),
                       k.splat(masked));
    head.scores.push_back(s);
    head.largest = head.largest ? k.fmax(head.largest, s) : s;
  }
  return head;
}

void LatentBlocks::raiseMaximum(const HeadState &state, Value head,
                                Value before, Value maximum, Value sum) {
  Value factors = k.exp2Softmax(k.broadcast(k.fsub(before, maximum)));
  Value factor = vector::ExtractOp::create(k, factors, ArrayRef<int64_t>{0});
  Value sumAt = k.add(state.sums, head);
  Value total = k.fma(k.load(state.memref, sumAt), factor, sum);
  k.store(total, state.memref, sumAt);
  k.ifThen(k.laneLess(before, maximum), [&] {
    k.store(maximum, state.memref, k.add(state.maxima, head));
    Value output = outputOf(state, head);
    k.loop(k.index(0), k.index(latentPadded), k.lanes(), [&](Value i) {
      Value place = k.add(output, i);
      Value o = k.loadF32(state.memref, place);
      k.storeVector(k.fmul(o, factors), state.memref, place);
    });
  });
}

namespace {

class Bf16Blocks final : public LatentBlocks {
public:
  Bf16Blocks(RowEmitter &k, const LatentAttentionSpec &spec, Value query,
             Value cache, Value pageTable);

private:
  void loadQuery(Value from, Value head) override;
  void clearQueries(Value first) override;
  void scores(Value base, Value next, Value valid) override;
  void softmax(const HeadState &state, Value base, Value valid) override;
  void values(const HeadState &state, Value base, Value valid) override;
  void scoreTile(Value base, Value next, Value token, Value head);

  int64_t width;      ///< latent + rope
  int64_t queryWidth; ///< padded for whole vectors
  int64_t tileHeads, tileTokens;
  Value query, probability;
};

} // namespace

Bf16Blocks::Bf16Blocks(RowEmitter &k, const LatentAttentionSpec &spec,
                       Value queryIn, Value cache, Value pageTable)
    : LatentBlocks(k, spec, queryIn, cache, pageTable),
      width(plane.latent + plane.rope),
      queryWidth(roundUp(width, 2 * k.lanes())), tileHeads(k.lanes() / 4),
      tileTokens(4) {
  query = k.scratch({groups.padded * queryWidth}, k.getBF16Type());
  probability = k.scratch({groups.padded * block}, k.getBF16Type());
}

void Bf16Blocks::loadQuery(Value from, Value head) {
  int64_t lanes = 2 * k.lanes();
  Value to = k.mul(head, queryWidth);
  k.loopTail(width, lanes, [&](Value i, int64_t valid) {
    Value v = k.loadLanes(queryIn, k.add(from, i), lanes, valid);
    k.storeLanes(v, query, k.add(to, i), lanes);
  });
}

void Bf16Blocks::clearQueries(Value first) {
  int64_t lanes = 2 * k.lanes();
  k.loop(k.mul(first, queryWidth), k.index(groups.padded * queryWidth), lanes,
         [&](Value i) {
           Value zero = k.loadLanes(queryIn, i, lanes, 0);
           k.storeLanes(zero, query, i, lanes);
         });
}

void Bf16Blocks::scores(Value base, Value next, Value valid) {
  k.loop(k.index(0), valid, tileTokens, [&](Value token) {
    k.loop(k.index(0), k.index(groups.padded), tileHeads,
           [&](Value head) { scoreTile(base, next, token, head); });
  });
}

void Bf16Blocks::scoreTile(Value base, Value next, Value token, Value head) {
  int64_t lanes = 2 * k.lanes(), stride = plane.rowStride();
  Value row = k.add(base, k.mul(token, stride));
  Value queryRow = k.mul(head, queryWidth);

  // The tiles of these tokens share the prefetching of as many rows of the
  // next block. Rows are short streams, which the hardware does not follow.
  int64_t tiles = groups.padded / tileHeads;
  int64_t rowsPerTile = (tileTokens + tiles - 1) / tiles;
  Value prefetchRow =
      k.mul(k.add(token, k.mul(k.rem(k.div(head, tileHeads), tileTokens),
                               rowsPerTile)),
            stride);
  prefetchRow = k.add(next, prefetchRow);

  SmallVector<Value> sums(tileHeads * tileTokens, k.splat(0.0f));
  auto accumulate = [&](Value i, int64_t valid, MutableArrayRef<Value> to) {
    for (int64_t r = 0; r < rowsPerTile; ++r)
      k.prefetch(cache, k.add(prefetchRow, k.at(i, r * stride)));
    SmallVector<Value> keys;
    for (int64_t t = 0; t < tileTokens; ++t)
      keys.push_back(
          k.loadLanes(cache, k.add(row, k.at(i, t * stride)), lanes, valid));
    for (int64_t h = 0; h < tileHeads; ++h) {
      Value q = k.loadLanes(query, k.add(queryRow, k.at(i, h * queryWidth)),
                            lanes, lanes);
      for (int64_t t = 0; t < tileTokens; ++t) {
        Value &sum = to[h * tileTokens + t];
        sum = k.dotBf16(sum, q, keys[t]);
      }
    }
  };
  int64_t whole = width / lanes * lanes;
  if (whole)
    sums = k.loop(k.index(0), k.index(whole), lanes, sums,
                  [&](Value i, ValueRange carried) {
                    SmallVector<Value> next(carried);
                    accumulate(i, lanes, next);
                    return next;
                  });
  if (whole != width)
    accumulate(k.index(whole), width - whole, sums);

  Value scaled = k.fmul(
      k.reduceAcross(sums, [&](Value a, Value b) { return k.fadd(a, b); }),
      k.splat(spec.scale * log2e));
  for (int64_t h = 0; h < tileHeads; ++h) {
    Value slice = vector::ExtractStridedSliceOp::create(
        k, scaled, ArrayRef<int64_t>{h * tileTokens},
        ArrayRef<int64_t>{tileTokens}, ArrayRef<int64_t>{1});
    k.storeVector(slice, score, k.add(k.mul(k.at(head, h), block), token));
  }
}

void Bf16Blocks::softmax(const HeadState &state, Value /*base*/, Value valid) {
  k.loop(k.index(0), k.index(groups.padded), 1, [&](Value head) {
    Value row = k.mul(head, block);
    HeadScores found = loadScores(row, valid);
    Value before = k.load(state.memref, k.add(state.maxima, head));
    Value maximum = k.fmax(before, k.reduceMax(found.largest));
    Value splat = k.broadcast(maximum);
    Value sum;
    for (auto [i, s] : llvm::enumerate(found.scores)) {
      Value p = k.select(found.exists[i], k.exp2Softmax(k.fsub(s, splat)),
                         k.splat(0.0f));
      k.storeVector(k.toBf16(p), probability, k.at(row, i * k.lanes()));
      sum = sum ? k.fadd(sum, p) : p;
    }
    raiseMaximum(state, head, before, maximum, k.reduceAdd(sum));
  });
}

void Bf16Blocks::values(const HeadState &state, Value base, Value valid) {
  int64_t lanes = 2 * k.lanes(), stride = plane.rowStride();
  int64_t tile = groups.padded % 8 == 0 && k.lanes() == 16 ? 8 : 4;
  // Within 128 bits, as vpunpcklwd and vpunpckhwd do.
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < lanes; i += 8)
    for (int64_t j = 0; j < 4; ++j) {
      low.append({i + j, lanes + i + j});
      high.append({i + 4 + j, lanes + i + 4 + j});
    }
  Value last = k.sub(valid, k.index(1));
  k.loopTail(plane.latent, lanes, [&](Value column, int64_t columns) {
    k.loop(k.index(0), k.index(groups.padded), tile, [&](Value head) {
      SmallVector<Value> sums, places;
      for (int64_t h = 0; h < tile; ++h) {
        places.push_back(k.add(outputOf(state, k.at(head, h)), column));
        sums.push_back(k.loadF32(state.memref, places.back()));
        sums.push_back(k.loadF32(state.memref, k.at(places.back(), k.lanes())));
      }
      sums = k.loop(
          k.index(0), valid, 2, sums, [&](Value token, ValueRange carried) {
            // An odd last token goes with itself, at probability 0.
            Value second = k.min(k.at(token, 1), last);
            auto load = [&](Value t) {
              Value at = k.add(k.add(base, column), k.mul(t, stride));
              return k.bitcast(k.loadLanes(cache, at, lanes, columns),
                               k.getI16Type());
            };
            Value a = load(token), b = load(second);
            Value pairs[] = {k.bitcast(k.shuffle(a, b, low), k.getBF16Type()),
                             k.bitcast(k.shuffle(a, b, high), k.getBF16Type())};
            SmallVector<Value> next(carried);
            for (int64_t h = 0; h < tile; ++h) {
              Value at = k.add(k.mul(k.at(head, h), block), token);
              Value p =
                  k.broadcastBits(k.loadBits(probability, at), k.getBF16Type());
              for (int64_t i = 0; i < 2; ++i)
                next[2 * h + i] = k.dotBf16(next[2 * h + i], pairs[i], p);
            }
            return next;
          });
      for (int64_t h = 0; h < tile; ++h) {
        k.storeVector(sums[2 * h], state.memref, places[h]);
        k.storeVector(sums[2 * h + 1], state.memref,
                      k.at(places[h], k.lanes()));
      }
    });
  });
}

std::unique_ptr<LatentBlocks>
LatentBlocks::create(RowEmitter &k, const LatentAttentionSpec &spec,
                     Value query, Value cache, Value pageTable) {
  if (spec.cache.format == CacheFormat::int8)
    return createInt8Blocks(k, spec, query, cache, pageTable);
  return std::make_unique<Bf16Blocks>(k, spec, query, cache, pageTable);
}

} // namespace mlir::dsv2::x86
