//===- Gemm.cpp - Matrix products of many rows ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Gemm.h"

#include "lowering/NVPTX/GemmEmitter.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

/// Bytes a consumer stages of y: two boxes of 64 rows by 128 bytes.
static constexpr int64_t stagingBytes = 2 * 64 * 128;
/// What is left for barriers and alignment.
static constexpr int64_t reservedBytes = 1024;

static int64_t orDense(int64_t stride, int64_t dense) {
  return stride ? stride : dense;
}

GemmShape::GemmShape(const GemmSpec &spec) {
  bool fp8 = spec.format == GemmFormat::fp8;
  elementBytes = fp8 ? 1 : 2;
  blocks = spec.pairs ? 2 : 1;
  // Wide tiles read the least, unless much of the last would lie outside.
  int64_t outside = llvm::alignTo(spec.rows, 256) - spec.rows;
  columns = spec.tileColumns                 ? spec.tileColumns
            : fp8 || outside * 8 > spec.rows ? 128
                                             : 256;
  columnTiles = llvm::divideCeil(spec.rows, columns);
  stepDepth = stepBytes / elementBytes;
  steps = llvm::divideCeil(spec.depth, stepDepth);
  outputColumns = spec.swiglu ? spec.rows / 2 : spec.rows;
  tileOutputColumns = spec.swiglu ? columns / 2 : columns;
  inputStride = orDense(spec.inputStride, spec.heads * spec.depth);
  outputStride = orDense(spec.outputStride, spec.heads * outputColumns);

  inputBytes = tileRows * stepBytes;
  weightBytes = columns * stepBytes;
  stageBytes = inputBytes + weightBytes;
  int64_t used = reservedBytes;
  if (spec.output == GemmOutput::bf16)
    used += consumers * stagingBytes;
  if (spec.experts)
    used += llvm::alignTo(8 * (spec.experts + 1), 16);
  stages = std::min<int64_t>((maxSharedBytes - used) / stageBytes, 8);

  bindings = 2;
  if (fp8) {
    inputScales = bindings++;
    weightScales = bindings++;
  }
  if (spec.experts)
    offsets = bindings++;
  if (spec.residual)
    residual = bindings++;
  output = bindings++;
}

SmallVector<TensorMap> GemmShape::maps(const GemmSpec &spec) const {
  bool fp8 = spec.format == GemmFormat::fp8;
  MapElement element = fp8 ? MapElement::u8 : MapElement::bf16;
  // {columns, heads, rows}, or {columns, rows} without heads.
  auto rowsOf = [&](unsigned binding, MapElement element, int64_t bytes,
                    int64_t width, int64_t stride, int64_t boxRows) {
    TensorMap map;
    map.binding = binding;
    map.element = element;
    map.sizes = {width};
    map.box = {stepBytes / bytes};
    if (spec.heads > 1) {
      map.sizes.push_back(spec.heads);
      map.strides.push_back(width * bytes);
      map.box.push_back(1);
    }
    map.sizes.push_back(spec.maxRows);
    map.strides.push_back(stride * bytes);
    map.box.push_back(boxRows);
    return map;
  };
  SmallVector<TensorMap> maps;
  maps.push_back(
      rowsOf(0, element, elementBytes, spec.depth, inputStride, tileRows));

  TensorMap weights;
  weights.binding = weight;
  weights.element = element;
  int64_t stack = spec.experts ? spec.experts : spec.heads;
  weights.sizes = {spec.depth, stack * spec.rows};
  weights.strides = {spec.depth * elementBytes};
  weights.box = {stepDepth, columns / blocks};
  maps.push_back(weights);

  if (spec.output == GemmOutput::bf16)
    maps.push_back(
        rowsOf(output, MapElement::bf16, 2, outputColumns, outputStride, 64));
  return maps;
}

Launch GemmShape::launch(const GemmSpec &spec) const {
  Launch launch;
  int64_t columnsOfTiles = columnTiles * spec.heads;
  launch.workgroups.count = blocks * columnsOfTiles * (1 + spec.experts);
  launch.workgroups.tile = blocks * tileRows;
  launch.workgroups.dim = spec.dim;
  launch.workgroups.blocksPerSM = 1;
  launch.threads = threads;
  launch.cluster = blocks;
  launch.minBlocksPerSM = 1;
  launch.waitsItself = true;
  return launch;
}

LogicalResult checkGemm(const GemmSpec &spec, std::string &error) {
  auto refuse = [&](const char *message) {
    error = message;
    return failure();
  };
  bool fp8 = spec.format == GemmFormat::fp8;
  if (spec.rows <= 0 || spec.depth <= 0 || spec.maxRows <= 0)
    return refuse("expected positive sizes of a product");
  if (spec.rows % 8 || spec.depth % 8 || (fp8 && spec.depth % 128))
    return refuse("expected sizes that are multiples of 8, and a depth that is "
                  "one of 128 with fp8");
  if (spec.inputStride * (fp8 ? 1 : 2) % 16 || spec.outputStride % 8)
    return refuse("expected strides that are multiples of 16 bytes");
  if (spec.swiglu && (spec.rows % 16 || spec.output != GemmOutput::bf16))
    return refuse("expected gate and up rows by 16 and a bf16 output");
  if (spec.residual && spec.output != GemmOutput::f32)
    return refuse("expected an f32 output with a residual");
  if (spec.experts && (spec.heads != 1 || spec.pairs))
    return refuse("expected experts without heads or pairs");
  if (fp8 && (spec.heads != 1 || spec.pairs))
    return refuse("expected fp8 without heads or pairs");
  if (fp8 && spec.experts && spec.rows % 128)
    return refuse("expected experts with a multiple of 128 rows with fp8");
  if (spec.tileColumns &&
      (fp8 ? spec.tileColumns != 128
           : spec.tileColumns != 64 && spec.tileColumns != 128 &&
                 spec.tileColumns != 256))
    return refuse("expected tiles of 64, 128 or 256 columns, 128 with fp8");
  if (spec.swiglu && spec.tileColumns == 64)
    return refuse("expected tiles of 128 or 256 columns for gate and up");
  return success();
}

KernelInfo emitGemm(ModuleOp module, StringRef name, const GemmSpec &spec) {
  GemmShape shape(spec);
  return GemmEmitter(module, name, spec, shape).emit();
}

GemmEmitter::GemmEmitter(ModuleOp module, StringRef name, const GemmSpec &spec,
                         const GemmShape &shape)
    : HopperBuilder(module, name, shape.bindings, shape.launch(spec),
                    shape.maps(spec)),
      spec(spec), shape(shape),
      inputStages(sharedAddress(shared(shape.stages * shape.inputBytes, 1024))),
      weightStages(
          sharedAddress(shared(shape.stages * shape.weightBytes, 1024))) {
  if (spec.output == GemmOutput::bf16)
    staging = sharedAddress(shared(GemmShape::consumers * stagingBytes, 1024));
  ring = Ring(*this, shape.stages);
  if (spec.experts) {
    tileTable = shared(4 * (spec.experts + 1));
    offsetTable = shared(4 * (spec.experts + 1));
  }
  rank = spec.pairs ? clusterRank() : i32(0);
}

KernelInfo GemmEmitter::emit() {
  ifThen(equal(thread(), 0), [&] {
    ring.init(*this, 1, GemmShape::consumers * 4 * shape.blocks);
    fenceBarrierInit();
    for (unsigned map = 0; map < shape.maps(spec).size(); ++map)
      prefetchMap(tensorMap(map));
  });
  if (spec.pairs)
    clusterSync();
  else
    barrier();
  waitForPrevious();
  if (spec.experts)
    countExpertTiles();

  Value group = warpgroup();
  ifElse(
      equal(group, 0), {},
      [&]() -> SmallVector<Value> {
        lowerRegisters(40);
        ifThen(equal(warp(), 0), [&] {
          ifThen(elect(), [&] { produce(); });
          warpSync();
        });
        return {};
      },
      [&]() -> SmallVector<Value> {
        raiseRegisters(232);
        consume(sub(group, 1));
        return {};
      });
  if (spec.pairs)
    clusterSync();
  return finish();
}

void GemmEmitter::produce() {
  RingState begin = RingState::begin(*this);
  forEachTile({begin.stage, begin.phase}, [&](const GemmTile &tile,
                                              ValueRange carried) {
    Value weightRow = add(mul(tile.stack, spec.rows), tile.column);
    int64_t share = shape.columns / shape.blocks;
    if (spec.pairs)
      weightRow = add(weightRow, mul(rank, share));
    return loop(
        i32(0), i32(shape.steps), 1, carried,
        [&](Value step, ValueRange carried) {
          RingState state = RingState::of(carried);
          Value full = ring.fullAt(*this, state.stage);
          waitParity(ring.emptyAt(*this, state.stage), bitXor(state.phase, 1),
                     /*fromCluster=*/spec.pairs);
          arriveExpecting(full, shape.stageBytes);
          Value depth = mul(step, shape.stepDepth);
          SmallVector<Value> at = {depth};
          if (spec.heads > 1)
            at.push_back(tile.stack);
          at.push_back(tile.row);
          loadTile(add(inputStages, mul(state.stage, shape.inputBytes)),
                   tensorMap(inputMap), at, full);
          Value to = add(weightStages, mul(state.stage, shape.weightBytes));
          if (spec.pairs)
            to = add(to, mul(rank, share * GemmShape::stepBytes));
          loadTile(to, tensorMap(weightMap), {depth, weightRow}, full,
                   CacheHint::normal, spec.pairs ? 3 : 0);
          SmallVector<Value> next;
          state.next(*this, shape.stages).appendTo(next);
          return next;
        });
  });
  // All inputs are on their way: the next launch may begin its prologue.
  launchDependents();
}

void GemmEmitter::consume(Value consumer) {
  RingState begin = RingState::begin(*this);
  forEachTile({begin.stage, begin.phase}, [&](const GemmTile &tile,
                                              ValueRange carried) {
    RingState state = RingState::of(carried);
    SmallVector<Value> sums = spec.format == GemmFormat::fp8
                                  ? multiplyScaled(tile, consumer, state)
                                  : multiply(tile, consumer, state);
    storeSums(tile, consumer, sums);
    SmallVector<Value> next;
    state.appendTo(next);
    return next;
  });
  // Shared memory must live until the last stores have read it.
  if (spec.output == GemmOutput::bf16)
    ifThen(equal(warpgroupThread(), 0), [&] { waitStoresRead(0); });
}

} // namespace mlir::dsv2::nvptx
