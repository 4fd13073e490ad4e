//===- CachePlane.cpp - One layer of the latent cache ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/CachePlane.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::dsv2::x86 {

Value CachePlane::blockBase(RowEmitter &k, Value pageTable, Value sequence,
                            Value position) const {
  Value place =
      k.add(k.mul(sequence, pagesPerSequence), k.div(position, pageSize));
  Value row = k.add(k.mul(k.loadIndex(pageTable, place), pageSize),
                    k.rem(position, pageSize));
  // Rows of a block of int8 add up to whole words for each of its tokens.
  return k.mul(row, rowStride());
}

void transposeLanes(RowEmitter &k, MutableArrayRef<Value> rows, int64_t width) {
  int64_t lanes = k.lanes(), count = lanes / width;
  for (int64_t step = count / 2; step > 0; step /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      int64_t shift = step * width;
      bool isSecond = lane & shift;
      low.push_back(isSecond ? lanes + lane - shift : lane);
      high.push_back(isSecond ? lanes + lane : lane + shift);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (i & step)
        continue;
      Value a = rows[i], b = rows[i + step];
      rows[i] = k.shuffle(a, b, low);
      rows[i + step] = k.shuffle(a, b, high);
    }
  }
}

void quantizeLatent(
    RowEmitter &k, const CachePlane &plane,
    llvm::function_ref<Value(int64_t offset, int64_t valid)> load, Value bytes,
    Value start,
    llvm::function_ref<void(int64_t group, Value scale)> storeScale) {
  int64_t lanes = k.lanes();
  for (int64_t group = 0; group < plane.groups(); ++group) {
    int64_t first = group * latentGroup;
    int64_t end = std::min(first + latentGroup, plane.latent);
    SmallVector<Value> vectors;
    Value largest;
    for (int64_t i = first; i < end; i += lanes) {
      vectors.push_back(load(i, std::min(end - i, lanes)));
      Value size = k.fabs(vectors.back());
      largest = largest ? k.fmax(largest, size) : size;
    }
    Value scale = k.fdiv(k.reduceMax(largest), k.f32(127.0f));
    storeScale(group, scale);
    // 0 / 0 would be NaN; any divisor gives the zeros wanted.
    Value divisor = k.broadcast(
        k.select(k.laneEqual(scale, k.f32(0.0f)), k.f32(1.0f), scale));
    for (auto [i, vector] : llvm::enumerate(vectors)) {
      Value scaled = k.fdiv(vector, divisor);
      scaled = k.fmax(k.fmin(scaled, k.splat(127.0f)), k.splat(-127.0f));
      Value quants = k.addLanes(k.roundToI32(scaled), k.splatInt(128));
      Value narrow = arith::TruncIOp::create(
          k, VectorType::get(lanes, k.getI8Type()), quants);
      k.storeVector(narrow, bytes, k.at(start, first + i * lanes));
    }
  }
}

KernelInfo emitCacheTiles(ModuleOp module, StringRef name,
                          const InstructionSet &set,
                          const CacheTilesSpec &spec) {
  Builder b(module.getContext());
  const CachePlane &plane = spec.cache;
  CachePlane tiles = spec.tiles();
  RowEmitter k(
      module, name,
      {plane.type(module.getContext()),
       flatType(b.getI32Type(), spec.sequences),
       flatType(b.getI32Type(), spec.sequences * plane.pagesPerSequence),
       tiles.type(module.getContext())},
      set);
  int64_t tokens = plane.blockTokens(), lanes = k.lanes();
  int64_t blocks = plane.blocksPerSequence();
  int64_t rowBytes = roundUp(plane.latent, latentGroup);
  Value cache = k.binding(0), target = k.binding(3);
  Value bytes = k.scratch({tokens * rowBytes}, k.getI8Type());
  Value quants = k.viewBytes(bytes, k.getI32Type());

  Value sequence = k.div(k.workgroup(), blocks);
  Value position = k.mul(k.rem(k.workgroup(), blocks), tokens);
  Value context = k.loadIndex(k.binding(1), sequence);
  k.ifThen(k.less(position, context), [&] {
    Value last = k.sub(k.min(k.sub(context, position), tokens), k.index(1));
    Value from = plane.blockBase(k, k.binding(2), sequence, position);
    Value to = tiles.blockBase(k, k.binding(2), sequence, position);
    auto rowOf = [&](Value token) {
      // Tokens that do not exist count as copies of the last one.
      return k.add(from, k.mul(k.min(token, last), plane.rowStride()));
    };
    auto place = [&](Value row, Value token) {
      return k.add(to, k.add(k.mul(row, tokens), token));
    };
    k.loop(k.index(0), k.index(tokens), 1, [&](Value token) {
      Value row = rowOf(token);
      quantizeLatent(
          k, tiles,
          [&](int64_t offset, int64_t valid) {
            return k.loadRow(cache, k.at(row, offset), valid);
          },
          bytes, k.mul(token, rowBytes),
          [&](int64_t group, Value scale) {
            k.store(k.bitcast(scale, k.getI32Type()), target,
                    place(k.index(tiles.scaleRow() + group), token));
          });
    });
    k.loop(k.index(0), k.index(tokens), lanes, [&](Value first) {
      auto transpose =
          [&](int64_t size, int64_t firstRow,
              llvm::function_ref<Value(Value token, Value i, int64_t valid)>
                  load) {
            k.loopTail(size, lanes, [&](Value i, int64_t valid) {
              SmallVector<Value> rows;
              for (int64_t t = 0; t < lanes; ++t)
                rows.push_back(load(k.at(first, t), i, valid));
              transposeLanes(k, rows);
              for (int64_t row = 0; row < valid; ++row)
                k.storeVector(rows[row], target,
                              place(k.at(i, firstRow + row), first));
            });
          };
      transpose(tiles.quads(), 0, [&](Value token, Value i, int64_t valid) {
        Value at = k.add(k.mul(token, rowBytes / 4), i);
        return k.loadLanes(quants, at, lanes, valid);
      });
      transpose(tiles.pairs(), tiles.pairRow(),
                [&](Value token, Value i, int64_t valid) {
                  Value at =
                      k.at(k.add(rowOf(token), k.mul(i, 2)), plane.latent);
                  return k.bitcast(k.loadLanes(cache, at, 2 * lanes, 2 * valid),
                                   k.getI32Type());
                });
    });
  });
  return k.finish({blocks, 1, Dim::sequences});
}

} // namespace mlir::dsv2::x86
