//===- Gemv.cpp - Matrix products of few rows -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Gemv.h"

#include "lowering/NVPTX/GemvEmitter.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

/// Blocks that share an SM, and that a GPU of 132 SMs thus runs at once.
static constexpr int64_t blocksOfSM = 2;
static constexpr int64_t usualBlocks = 132 * blocksOfSM;
/// What a block may use for x, so that two fit.
static constexpr int64_t inputLimit = 88 * 1024;

GemvShape::GemvShape(const GemvSpec &spec) {
  WeightFormat format = spec.format;
  rowBytes = nvptx::rowBytes(format, spec.depth);
  scaleBytes = nvptx::scaleBytes(format, spec.depth);
  matrixBytes = nvptx::matrixBytes(format, spec.rows, spec.depth);
  steps = rowBytes / stepBytes;
  splits = std::min<int64_t>(warps, llvm::bit_floor(uint64_t(steps)));
  rowGroups = warps / splits;
  tileRows = 16 * rowGroups;
  tiles = llvm::divideCeil(spec.rows, tileRows);
  int64_t stepsOfWarp = llvm::divideCeil(steps, splits);
  // Two batches are in registers at a time, beside scales and what fp8 becomes:
  // with the sums of many rows it leaves room for less.
  int64_t most = format == WeightFormat::bf16 ? 4 : 3;
  if (format == WeightFormat::fp8 && spec.maxRows > 8)
    most = spec.swiglu ? 1 : 2;
  else if (format == WeightFormat::fp8 && spec.experts)
    most = 2;
  batches = llvm::divideCeil(stepsOfWarp, most);
  batch = llvm::divideCeil(stepsOfWarp, batches);

  // The padding lets eight lanes of two rows touch all banks.
  switch (format) {
  case WeightFormat::bf16:
    inputBytes = llvm::alignTo(2 * spec.depth, 128) + 64;
    inputStep = 64;
    inputGroups = 0;
    break;
  case WeightFormat::fp8: // as f16
    inputBytes = 2 * spec.depth + 16;
    inputStep = 128;
    inputGroups = spec.depth / 128;
    break;
  case WeightFormat::int8:
  case WeightFormat::int4:
    inputBytes = paddedDepth(spec.depth) + 64;
    inputStep = format == WeightFormat::int8 ? 64 : 128;
    inputGroups = paddedDepth(spec.depth) / groupSize;
    break;
  }
  int64_t fitting =
      std::max<int64_t>(1, inputLimit / (inputBytes + 4 * inputGroups));
  chunk = std::min<int64_t>({fitting, spec.maxRows, 16});
  columnTiles = llvm::divideCeil(chunk, int64_t(8));

  matrices = spec.experts ? spec.experts : spec.heads;
  int64_t usual =
      spec.experts ? std::min(spec.usualMatrices, spec.experts) : spec.heads;
  tilesOfGroup = llvm::divideCeil(usual * tiles, usualBlocks);
  groups = llvm::divideCeil(tiles, tilesOfGroup);
  outputRows = spec.swiglu ? spec.rows / 2 : spec.rows;
  auto orDense = [](int64_t stride, int64_t dense) {
    return stride ? stride : dense;
  };
  inputStride = orDense(spec.inputStride, spec.heads * spec.depth);
  outputStride = orDense(spec.outputStride, spec.heads * outputRows);
  residualStride = orDense(spec.residualStride, outputStride);
  inputHeadStride = orDense(spec.inputHeadStride, spec.depth);
  outputHeadStride = orDense(spec.outputHeadStride, outputRows);

  bindings = 2;
  if (format == WeightFormat::fp8)
    scales = bindings++;
  if (spec.norm)
    gamma = bindings++;
  if (spec.splitRows) {
    partials = bindings;
    bindings += SplitCombine::bindings;
  }
  if (spec.experts) {
    offsets = bindings++;
    active = bindings++;
    activeCount = bindings++;
  }
  if (spec.gather)
    slotToken = bindings++;
  if (spec.residual)
    residual = bindings++;
  output = bindings++;
}

Launch GemvShape::launch(const GemvSpec &spec) const {
  Launch launch;
  launch.workgroups.count =
      matrices == 1 && !spec.experts ? tiles : matrices * groups;
  launch.workgroups.blocksPerSM = blocksOfSM;
  launch.threads = threads;
  launch.minBlocksPerSM = blocksOfSM;
  launch.waitsItself = true;
  return launch;
}

LogicalResult checkGemv(const GemvSpec &spec, std::string &error) {
  auto refuse = [&](const char *message) {
    error = message;
    return failure();
  };
  bool fp8 = spec.format == WeightFormat::fp8;
  if (spec.rows <= 0 || spec.depth <= 0 || spec.maxRows <= 0)
    return refuse("expected positive sizes of a product");
  if (spec.rows % 16 || spec.depth % (fp8 ? 128 : 32))
    return refuse("expected a multiple of 16 rows, and a depth that is one of "
                  "32, or of 128 with fp8");
  if (spec.norm && (spec.heads != 1 || spec.input != GemvType::f32))
    return refuse("expected an f32 input without heads to normalize");
  if (spec.residual && (spec.output != GemvType::f32 || spec.swiglu))
    return refuse("expected a plain f32 output with a residual");
  if (spec.experts && spec.heads != 1)
    return refuse("expected experts without heads");
  if (spec.splitRows &&
      (spec.splitRows->heads != spec.heads ||
       spec.splitRows->latent != spec.depth || spec.input != GemvType::bf16 ||
       spec.experts || spec.dim != Dim::tokens || spec.maxRows > maxMergedRows))
    return refuse("expected few rows of bf16, those of attention, to merge");
  if (spec.gather && !spec.experts)
    return refuse("expected experts where slots are gathered");
  if (spec.inputStride % 8 || spec.inputHeadStride % 8)
    return refuse("expected input strides that are multiples of 8");
  GemvShape shape(spec);
  if (shape.chunk * shape.inputBytes > maxSharedBytes / 2)
    return refuse("expected a row of the input to fit into shared memory");
  return success();
}

KernelInfo emitGemv(ModuleOp module, StringRef name, const GemvSpec &spec) {
  GemvShape shape(spec);
  return GemvEmitter(module, name, spec, shape).emit();
}

GemvEmitter::GemvEmitter(ModuleOp module, StringRef name, const GemvSpec &spec,
                         const GemvShape &shape)
    : HopperBuilder(module, name, shape.bindings, shape.launch(spec)),
      spec(spec), shape(shape) {
  input = shared(shape.chunk * shape.inputBytes, 128);
  if (shape.inputGroups)
    inputScale = shared(shape.inputGroups * shape.columnTiles * 8 * 4, 16);
  partial = shared(2 * GemvShape::warps * shape.columnTiles * 32 * 16, 16);
  if (spec.norm)
    normPartial = shared(shape.chunk * GemvShape::warps * 4, 16);
  if (spec.splitRows) {
    merged = shared(shape.chunk * spec.depth * 2, 16);
    splitWeights = shared(shape.chunk * spec.splitRows->weightBytes(), 16);
    usedSplits = shared(shape.chunk * 4, 16);
  }
  split = rem(warp(), shape.splits);
  group = div(warp(), shape.splits);
}

KernelInfo GemvEmitter::emit() {
  // Rows of a lane's column: those behind the last are computed and dropped.
  for (int64_t tile = 0; tile < shape.columnTiles; ++tile) {
    Value column = min(add(div(lane(), 4), 8 * tile), shape.chunk - 1);
    int64_t laneBytes = spec.format == WeightFormat::fp8 ? 32 : 16;
    inputAt[tile] = offset(input, add(mul(column, shape.inputBytes),
                                      mul(rem(lane(), 4), laneBytes)));
  }
  if (spec.experts)
    emitExperts();
  else if (spec.heads > 1)
    emitHeads();
  else
    emitOne();
  return finish();
}

void GemvEmitter::waitAndLaunch() {
  waitForPrevious();
  // All blocks of the launch run at once, so the next one can only take what
  // they leave, and loads its first weights meanwhile.
  launchDependents();
}

void GemvEmitter::emitOne() {
  Value first = workgroup(), end = i32(shape.tiles), stride = gridBlocks();
  Batch batch = loadBatch(i32(0), min(first, shape.tiles - 1), i32(0),
                          /*mayEnd=*/false);
  loadGammas();
  waitAndLaunch();
  multiplyChunks(i32(0), {i32(0), dim(spec.dim)}, first, end, stride, batch);
}

void GemvEmitter::emitHeads() {
  Value total = i32(shape.matrices * shape.groups);
  // The tiles of item `index`, of those of all heads.
  auto firstTile = [&](Value index) {
    return mul(rem(index, shape.groups), shape.tilesOfGroup);
  };
  auto firstBatch = [&](Value index) {
    return loadBatch(div(index, shape.groups), firstTile(index), i32(0),
                     /*mayEnd=*/false);
  };
  Value begin = workgroup();
  Batch batch = firstBatch(min(begin, shape.matrices * shape.groups - 1));
  waitAndLaunch();
  loop(begin, total, gridBlocks(), batch, [&](Value index, ValueRange carried) {
    Value first = firstTile(index);
    Value end = min(add(first, shape.tilesOfGroup), shape.tiles);
    multiplyChunks(div(index, shape.groups), {i32(0), dim(spec.dim)}, first,
                   end, i32(1), Batch(carried));
    Value following = add(index, gridBlocks());
    return ifElse(
        less(following, total), ValueRange(batch).getTypes(),
        [&]() -> SmallVector<Value> { return firstBatch(following); },
        [&]() -> SmallVector<Value> { return SmallVector<Value>(carried); });
  });
}

void GemvEmitter::emitExperts() {
  Type i32Type = getI32Type();
  loadGammas();
  waitAndLaunch();
  // What lies behind the active experts is anything: the entry is read beside
  // their number all the same, and used where it is one of them.
  auto activeAt = [&](Value index) {
    Value entry = min(div(index, shape.groups), spec.experts - 1);
    Value expert =
        load(i32Type, element(binding(shape.active), i32Type, entry));
    return max(min(expert, spec.experts - 1), 0);
  };
  Value expert = activeAt(workgroup());
  Value count = load(i32Type, binding(shape.activeCount));
  loop(workgroup(), mul(count, shape.groups), gridBlocks(), expert,
       [&](Value index, ValueRange carried) -> SmallVector<Value> {
         Value matrix = carried[0];
         Value first = mul(rem(index, shape.groups), shape.tilesOfGroup);
         Value end = min(add(first, shape.tilesOfGroup), shape.tiles);
         Value at = element(binding(shape.offsets), i32Type, matrix);
         Batch batch = loadBatch(matrix, first, i32(0), /*mayEnd=*/false);
         Rows rows = {load(i32Type, at), load(i32Type, offset(at, 4))};
         Value following = activeAt(add(index, gridBlocks()));
         multiplyChunks(matrix, rows, first, end, i32(1), batch);
         return {following};
       });
}

void GemvEmitter::multiplyChunks(Value matrix, Rows rows, Value first,
                                 Value end, Value stride, Batch batch) {
  loop(rows.first, rows.end, shape.chunk, batch,
       [&](Value begin, ValueRange carried) {
         Value following = add(begin, shape.chunk);
         Rows chunk = {begin, min(following, rows.end)};
         // All warps are done with the rows before.
         barrier();
         if (spec.splitRows)
           mergeRows(matrix, chunk);
         prepare(matrix, chunk);
         return multiplyTiles(matrix, chunk, first, end, stride, carried,
                              less(following, rows.end));
       });
}

GemvEmitter::Batch GemvEmitter::multiplyTiles(Value matrix, Rows rows,
                                              Value first, Value end,
                                              Value stride, ValueRange batch,
                                              Value again) {
  SmallVector<Value> inits(batch);
  inits.push_back(i32(0));
  SmallVector<Value> left =
      loop(first, end, stride, inits, [&](Value tile, ValueRange carried) {
        Value parity = carried.back();
        Batch current(carried.drop_back());
        SmallVector<Value> sums(4 * shape.columnTiles, f32(0));
        int64_t stepsOfBatch = shape.batch * shape.splits;
        if (shape.batches > 1) {
          SmallVector<Value> state(sums);
          llvm::append_range(state, current);
          state = rolledLoop(
              (shape.batches - 1) * stepsOfBatch, stepsOfBatch, state,
              [&](Value step, ValueRange carried) {
                Batch following =
                    loadBatch(matrix, tile, add(step, stepsOfBatch), true);
                size_t count = sums.size();
                SmallVector<Value> next =
                    multiplyBatch(SmallVector<Value>(carried.drop_front(count)),
                                  step, carried.take_front(count), false);
                llvm::append_range(next, following);
                return next;
              });
          current.assign(state.begin() + sums.size(), state.end());
          std::copy_n(state.begin(), sums.size(), sums.begin());
        }
        // The first weights of the next tile are on their way meanwhile, or
        // those of the first for the next rows.
        Value nextTile = add(tile, stride);
        Value isInside = less(nextTile, end);
        Value wanted = select(isInside, nextTile, first);
        SmallVector<Type> types;
        for (Value value : current)
          types.push_back(value.getType());
        Batch following = ifElse(
            either(again, isInside), types,
            [&]() -> SmallVector<Value> {
              return loadBatch(matrix, wanted, i32(0), false);
            },
            [&]() -> SmallVector<Value> { return current; });
        sums = multiplyBatch(current, i32((shape.batches - 1) * stepsOfBatch),
                             sums, true);
        finishTile(matrix, rows, tile, parity, sums);
        following.push_back(bitXor(parity, 1));
        return following;
      });
  left.pop_back();
  return left;
}

} // namespace mlir::dsv2::nvptx
