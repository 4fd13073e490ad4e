//===- Fill.cpp - Numbers for weights that a file does not have -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/Fill.h"

using namespace mlir;
using namespace mlir::dsv2::nvptx;

KernelInfo mlir::dsv2::nvptx::emitFill(ModuleOp module) {
  Launch launch;
  launch.threads = 256;
  // dims[0] is T: a block writes 256 units.
  launch.workgroups = {
      .count = 1, .tile = 256, .dim = Dim::tokens, .blocksPerSM = 8};
  KernelBuilder b(module, fillKernelName, 1, launch);
  Type words = b.vectorOf(4, b.getI32Type());
  b.forEachWorkgroup([&](Value group) {
    Value unit = b.add(b.mul(group, 256), b.thread());
    b.ifThen(b.less(unit, b.dim(Dim::tokens)), [&] {
      SmallVector<Value> values;
      for (int64_t i = 0; i < 4; ++i) {
        // A round of a multiplicative hash with its high bits folded in.
        Value x = b.mul(b.add(b.mul(unit, 4), i + 1), int32_t(0x9e3779b1));
        x = b.mul(b.bitXor(x, b.shiftRight(x, 15)), int32_t(0x85ebca77));
        x = b.bitXor(x, b.shiftRight(x, 13));
        // Each half: a sign, an exponent that every float format reads as
        // small, and seven bits that are not all ones.
        values.push_back(b.bitOr(b.bitAnd(x, int32_t(0x80bf80bf)), 0x3c003c00));
      }
      Value vector = b.splat(values[0], 4);
      for (int64_t i = 1; i < 4; ++i)
        vector = b.insert(values[i], vector, i);
      b.store(vector, b.element(b.binding(0), words, unit));
    });
  });
  return b.finish();
}
