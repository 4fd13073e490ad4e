//===- RowMap.cpp - Kernels that compute rows column by column ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RowMap.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::dsv2::nvptx {

KernelInfo emitRowMap(ModuleOp module, StringRef name, unsigned inputs,
                      const MapShape &shape, const RowBody &body) {
  Launch launch;
  launch.threads = std::min<int64_t>(128, rowThreads(shape.depth));
  int64_t width = 4 * launch.threads;
  int64_t chunks = llvm::divideCeil(shape.depth, width);
  launch.workgroups = {
      .count = chunks * shape.rowsPerToken, .tile = 1, .dim = shape.dim};
  RowEmitter k(module, name, inputs + rowBindings(shape.format), launch);
  k.launchDependents();
  Value row = k.div(k.workgroup(), chunks);
  Value chunk = k.rem(k.workgroup(), chunks);
  Value token = k.div(row, shape.rowsPerToken);
  Value column = k.add(k.mul(chunk, width), k.shiftLeft(k.thread(), 2));
  RowEmitter::Target target = k.target(shape.format, inputs, shape.depth);
  auto compute = [&] {
    ColumnBody columns = body(k, token, k.rem(row, shape.rowsPerToken));
    k.storeTarget(columns(column), target, row, column);
  };
  if (shape.depth % width == 0)
    compute();
  else
    k.ifThen(k.less(column, shape.depth), compute);
  return k.finish();
}

KernelInfo emitPackRows(ModuleOp module, StringRef name,
                        const PackRowsSpec &spec) {
  MapShape shape{spec.heads, spec.depth, spec.format, spec.dim};
  return emitRowMap(module, name, 1, shape,
                    [&](RowEmitter &k, Value token, Value head) -> ColumnBody {
                      Type type = elementType(k.getContext(), spec.bf16Input);
                      Value x = k.rowAt(k.binding(0), type, token,
                                        spec.tokenStride, spec.offset);
                      x = k.rowAt(x, type, head, spec.headStride);
                      return [&k, type, x](Value column) {
                        return k.loadColumns(x, type, column);
                      };
                    });
}

KernelInfo emitGatherRows(ModuleOp module, StringRef name,
                          const GatherRowsSpec &spec) {
  MapShape shape{1, spec.depth, spec.format, spec.dim};
  return emitRowMap(module, name, 2, shape,
                    [&](RowEmitter &k, Value row, Value) -> ColumnBody {
                      Type type = elementType(k.getContext(), spec.bf16Input);
                      Value source =
                          k.load(k.getI32Type(),
                                 k.element(k.binding(1), k.getI32Type(), row));
                      Value x =
                          k.rowAt(k.binding(0), type, source, spec.stride);
                      return [&k, type, x](Value column) {
                        return k.loadColumns(x, type, column);
                      };
                    });
}

KernelInfo emitGatherFp8(ModuleOp module, StringRef name,
                         const GatherFp8Spec &spec) {
  constexpr int64_t bytes = 16; // of a thread at a time
  int64_t pieces = spec.depth / bytes, scales = spec.depth / scaleColumns;
  Launch launch;
  launch.threads = std::min<int64_t>(256, llvm::alignTo(pieces, 32));
  launch.workgroups = {
      .count = spec.rowsPerToken, .tile = 1, .dim = Dim::tokens};
  RowEmitter k(module, name, 5, launch);
  k.launchDependents();
  Type i32Type = k.getI32Type(), f32Type = k.getF32Type();
  Value row = k.workgroup();
  Value from = k.load(i32Type, k.element(k.binding(2), i32Type, row));
  auto copy = [&](unsigned input, unsigned output, Type type, int64_t count) {
    Value source = k.rowAt(k.binding(input), type, from, count);
    Value target = k.rowAt(k.binding(output), type, row, count);
    k.loop(k.thread(), k.i32(count), k.i32(launch.threads), [&](Value i) {
      k.store(k.load(type, k.element(source, type, i)),
              k.element(target, type, i));
    });
  };
  copy(0, 3, k.vectorOf(4, i32Type), pieces);
  copy(1, 4, f32Type, scales);
  return k.finish();
}

KernelInfo emitSwiGlu(ModuleOp module, StringRef name, const SwiGluSpec &spec) {
  MapShape shape{spec.rowsPerToken, spec.depth, spec.format};
  return emitRowMap(
      module, name, 2, shape,
      [&](RowEmitter &k, Value token, Value sub) -> ColumnBody {
        Type type = elementType(k.getContext(), spec.bf16Input);
        Value row = k.add(k.mul(token, spec.rowsPerToken), sub);
        Value gate =
            k.rowAt(k.binding(0), type, row, spec.stride, spec.gateOffset);
        Value up = k.rowAt(k.binding(1), type, row, spec.stride, spec.upOffset);
        return [&k, type, gate, up](Value column) {
          Columns result = k.loadColumns(gate, type, column);
          Columns factors = k.loadColumns(up, type, column);
          for (auto [g, u] : llvm::zip_equal(result, factors))
            g = k.fmul(k.silu(g), u);
          return result;
        };
      });
}

KernelInfo emitEmbed(ModuleOp module, StringRef name, const EmbedSpec &spec) {
  MapShape shape{1, spec.depth, spec.format};
  return emitRowMap(module, name, 2, shape,
                    [&](RowEmitter &k, Value token, Value) -> ColumnBody {
                      Type type = elementType(k.getContext(), spec.bf16Table);
                      Value id = k.load(
                          k.getI32Type(),
                          k.element(k.binding(0), k.getI32Type(), token));
                      Value x = k.rowAt(k.binding(1), type, id, spec.depth);
                      return [&k, type, x](Value column) {
                        return k.loadColumns(x, type, column);
                      };
                    });
}

KernelInfo emitSumRows(ModuleOp module, StringRef name,
                       const SumRowsSpec &spec) {
  MapShape shape{1, spec.depth, spec.format};
  return emitRowMap(module, name, spec.scales.size(), shape,
                    [&](RowEmitter &k, Value token, Value) -> ColumnBody {
                      return [&k, &spec, token](Value column) {
                        Type f32 = k.getF32Type();
                        Columns sum;
                        for (auto [i, scale] : llvm::enumerate(spec.scales)) {
                          Value row =
                              k.rowAt(k.binding(i), f32, token, spec.depth);
                          Columns terms = k.loadColumns(row, f32, column);
                          for (auto [j, term] : llvm::enumerate(terms)) {
                            if (scale != 1.0f)
                              term = k.fmul(term, k.f32(scale));
                            if (i == 0)
                              sum.push_back(term);
                            else
                              sum[j] = k.fadd(sum[j], term);
                          }
                        }
                        return sum;
                      };
                    });
}

} // namespace mlir::dsv2::nvptx
