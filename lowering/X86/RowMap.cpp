//===- RowMap.cpp - Kernels that compute rows column by column ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/RowMap.h"

namespace mlir::dsv2::x86 {
namespace {

/// Columns of a workgroup.
constexpr int64_t columnChunk = 512;

/// The vectors of one group of a flat f32 or bf16 memref.
SmallVector<Value> loadGroup(RowEmitter &k, Value memref, Value offset,
                             int64_t valid) {
  SmallVector<Value> vectors;
  for (int64_t i = 0; i < groupSize / k.lanes(); ++i)
    vectors.push_back(
        k.loadRow(memref, k.at(offset, i * k.lanes()), k.validLanes(valid, i)));
  return vectors;
}

} // namespace

KernelInfo emitRowMap(ModuleOp module, StringRef name,
                      const InstructionSet &set, ArrayRef<MemRefType> inputs,
                      const MapShape &shape, const RowBody &body) {
  int64_t stride = shape.outputStride;
  if (!stride)
    stride = rowElements(shape.format, shape.depth);
  MemRefType rows = rowBufferType(module.getContext(), shape.format, 1, 32);
  SmallVector<MemRefType> bindings(inputs);
  bindings.push_back(flatType(rows.getElementType(),
                              shape.tokens * shape.rowsPerToken * stride));
  RowEmitter k(module, name, bindings, set);

  int64_t chunks = (shape.depth + columnChunk - 1) / columnChunk;
  Value row = k.div(k.workgroup(), chunks);
  Value first = k.mul(k.rem(k.workgroup(), chunks), columnChunk);
  Value token = k.div(row, shape.rowsPerToken);
  GroupBody group = body(k, token, k.rem(row, shape.rowsPerToken));
  Value output = k.binding(inputs.size());
  Value start = k.mul(row, stride);
  k.loopSlice(first, columnChunk, shape.depth, groupSize,
              [&](Value column, int64_t valid) {
                k.storeGroup(group(column, valid), shape.format, output, start,
                             column, shape.depth, valid);
              });
  return k.finish({chunks * shape.rowsPerToken, 1, shape.dim});
}

KernelInfo emitPackRows(ModuleOp module, StringRef name,
                        const InstructionSet &set, const PackRowsSpec &spec) {
  Type f32 = Float32Type::get(module.getContext());
  MapShape shape{spec.tokens, spec.heads, spec.depth, spec.format, 0, spec.dim};
  return emitRowMap(
      module, name, set, flatType(f32, spec.tokens * spec.tokenStride), shape,
      [&](RowEmitter &k, Value token, Value head) -> GroupBody {
        Value start =
            k.add(k.mul(token, spec.tokenStride), k.mul(head, spec.headStride));
        start = k.at(start, spec.offset);
        return [&k, start](Value column, int64_t valid) {
          return loadGroup(k, k.binding(0), k.add(start, column), valid);
        };
      });
}

KernelInfo emitSwiGlu(ModuleOp module, StringRef name,
                      const InstructionSet &set, const SwiGluSpec &spec) {
  Type f32 = Float32Type::get(module.getContext());
  MemRefType input =
      flatType(f32, spec.tokens * spec.rowsPerToken * spec.stride);
  MapShape shape{spec.tokens, spec.rowsPerToken, spec.depth, spec.format};
  return emitRowMap(
      module, name, set, {input, input}, shape,
      [&](RowEmitter &k, Value token, Value sub) -> GroupBody {
        Value row = k.add(k.mul(token, spec.rowsPerToken), sub);
        Value gate = k.at(k.mul(row, spec.stride), spec.gateOffset);
        Value up = k.at(k.mul(row, spec.stride), spec.upOffset);
        return [&k, gate, up](Value column, int64_t valid) {
          SmallVector<Value> result =
              loadGroup(k, k.binding(0), k.add(gate, column), valid);
          SmallVector<Value> factors =
              loadGroup(k, k.binding(1), k.add(up, column), valid);
          for (auto [g, u] : llvm::zip_equal(result, factors))
            g = k.swiglu(g, u);
          return result;
        };
      });
}

KernelInfo emitEmbed(ModuleOp module, StringRef name, const InstructionSet &set,
                     const EmbedSpec &spec) {
  Builder b(module.getContext());
  Type element = spec.bf16Table ? Type(b.getBF16Type()) : Type(b.getF32Type());
  MapShape shape{spec.tokens, 1, spec.depth, spec.format};
  return emitRowMap(
      module, name, set,
      {flatType(b.getI32Type(), spec.tokens),
       flatType(element, spec.vocab * spec.depth)},
      shape, [&](RowEmitter &k, Value token, Value) -> GroupBody {
        Value start = k.mul(k.loadIndex(k.binding(0), token), spec.depth);
        return [&k, start](Value column, int64_t valid) {
          return loadGroup(k, k.binding(1), k.add(start, column), valid);
        };
      });
}

KernelInfo emitSumRows(ModuleOp module, StringRef name,
                       const InstructionSet &set, const SumRowsSpec &spec) {
  Type f32 = Float32Type::get(module.getContext());
  SmallVector<MemRefType> inputs(spec.scales.size(),
                                 flatType(f32, spec.tokens * spec.depth));
  MapShape shape{spec.tokens, 1, spec.depth, spec.format};
  return emitRowMap(module, name, set, inputs, shape,
                    [&](RowEmitter &k, Value token, Value) -> GroupBody {
                      Value start = k.mul(token, spec.depth);
                      return [&k, &spec, start](Value column, int64_t valid) {
                        SmallVector<Value> sum;
                        for (auto [i, scale] : llvm::enumerate(spec.scales)) {
                          SmallVector<Value> terms = loadGroup(
                              k, k.binding(i), k.add(start, column), valid);
                          for (auto [j, term] : llvm::enumerate(terms)) {
                            if (scale != 1.0f)
                              term = k.fmul(term, k.splat(scale));
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

} // namespace mlir::dsv2::x86
