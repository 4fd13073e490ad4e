//===- Dequantize.cpp - Integer weights as bf16 ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A thread unpacks the 16 bytes that a lane of Gemv.h loads at once: eight k of
// each of two or four groups.
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Dequantize.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

static constexpr int64_t threads = 256;

KernelInfo emitDequantize(ModuleOp module, StringRef name,
                          const DequantizeSpec &spec) {
  bool four = spec.format == WeightFormat::int4;
  int64_t bytes = rowBytes(spec.format, spec.depth);
  int64_t scales = scaleBytes(spec.format, spec.depth);
  int64_t pieces = bytes / 16;
  int64_t total = spec.matrices * spec.rows * pieces;
  Launch launch;
  launch.workgroups.count = llvm::divideCeil(total, threads);
  launch.threads = threads;
  KernelBuilder b(module, name, 2, launch);

  Value index =
      b.add(b.mul(b.toI64(b.workgroup()), threads), b.toI64(b.thread()));
  b.ifThen(b.less(index, total), [&] {
    Value row = b.div(index, pieces);
    Value piece = b.toI32(b.sub(index, b.mul(row, pieces)));
    Value matrix = b.div(row, spec.rows);
    Value within = b.sub(row, b.mul(matrix, spec.rows));
    Value packed = b.offset(
        b.binding(0),
        b.mul(matrix, matrixBytes(spec.format, spec.rows, spec.depth)));
    Value rowScales =
        b.offset(packed, b.add(b.mul(within, scales), spec.rows * bytes));
    Value words = b.loadStream(b.vectorOf(4, b.getI32Type()),
                               b.offset(b.offset(packed, b.mul(within, bytes)),
                                        b.toI64(b.mul(piece, 16))));

    Value block = b.div(piece, 4), lane = b.rem(piece, 4);
    int64_t groups = four ? 4 : 2;
    for (int64_t group = 0; group < groups; ++group) {
      Value number = b.add(b.mul(block, groups), group);
      Value depth = b.add(b.mul(number, groupSize), b.mul(lane, 8));
      b.ifThen(b.less(depth, spec.depth), [&] {
        Value half = b.load(b.getF16Type(),
                            b.element(rowScales, b.getF16Type(), number));
        Value scale = arith::ExtFOp::create(b, b.getF32Type(), half);
        Value values[8];
        for (int64_t i = 0; i < 8; ++i) {
          // The quant to the top of a word, then down with its sign.
          int64_t width = four ? 4 : 8;
          Value word = b.extract(words, four ? group : 2 * group + i / 4);
          int64_t bit = four ? i % 4 * 8 + i / 4 * 4 : i % 4 * 8;
          Value quant = b.shiftRightSigned(b.shiftLeft(word, 32 - width - bit),
                                           32 - width);
          values[i] = b.fmul(b.toF32(quant), scale);
        }
        Value first = b.packBf16(values[0], values[1]);
        Value result = b.splat(first, 4);
        for (int64_t i = 1; i < 4; ++i)
          result =
              b.insert(b.packBf16(values[2 * i], values[2 * i + 1]), result, i);
        Value to = b.add(b.mul(row, spec.depth), b.toI64(depth));
        b.store(result, b.offset(b.binding(1), b.mul(to, 2)));
      });
    }
  });
  return b.finish();
}

} // namespace mlir::dsv2::nvptx
