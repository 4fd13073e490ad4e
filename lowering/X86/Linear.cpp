//===- Linear.cpp - Linear layers -----------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/Linear.h"
#include "lowering/X86/GateUp.h"
#include "lowering/X86/PanelStore.h"

namespace mlir::dsv2::x86 {
namespace {

/// Rows of one workgroup: enough that its weights are worth fetching, few
/// enough that a long prompt gives every core work.
constexpr int64_t tokenTile = 256;
constexpr int64_t workgroupWeightBytes = 64 << 10;

int64_t headStride(int64_t stride, const LinearSpec &spec) {
  return stride              ? stride
         : spec.paddedOutput ? paddedDepth(spec.rows)
                             : spec.rows;
}

/// Element strides of y or of the residual.
PanelStore::Strides stridesOf(int64_t token, int64_t head,
                              const LinearSpec &spec) {
  head = headStride(head, spec);
  return {token ? token : spec.heads * head, head};
}

int64_t extent(const PanelStore::Strides &strides, const LinearSpec &spec) {
  return spec.maxTokens * strides.row + spec.heads * strides.head;
}

} // namespace

int64_t panelsPerWorkgroup(WeightFormat format, int64_t depth) {
  int64_t bytes = panelBytes(format, depth);
  return std::max<int64_t>(1, (workgroupWeightBytes + bytes / 2) / bytes);
}

KernelInfo emitLinear(ModuleOp module, StringRef name,
                      const InstructionSet &set, const LinearSpec &spec) {
  MLIRContext *context = module.getContext();
  Type f32 = Float32Type::get(context);
  int64_t inputHeads = spec.sharedInput ? 1 : spec.heads;
  auto outputStrides =
      stridesOf(spec.outputStride, spec.outputHeadStride, spec);
  auto residualStrides =
      stridesOf(spec.residualStride, spec.residualHeadStride, spec);

  SmallVector<MemRefType> types = {
      rowBufferType(context, rowFormatOf(spec.format),
                    spec.maxTokens * inputHeads, spec.depth),
      packedWeightType(context, spec.format, spec.rows, spec.depth,
                       spec.heads)};
  if (spec.gather)
    types.push_back(flatType(IntegerType::get(context, 32), spec.maxTokens));
  if (spec.residual)
    types.push_back(flatType(f32, extent(residualStrides, spec)));
  if (spec.swiglu)
    types.push_back(
        rowBufferType(context, *spec.swiglu, spec.maxTokens, spec.rows / 2));
  else
    types.push_back(flatType(spec.output == OutputType::f32
                                 ? f32
                                 : Type(IntegerType::get(context, 16)),
                             extent(outputStrides, spec)));

  RowEmitter b(module, name, types, set);
  Value gathered = spec.gather ? b.binding(2) : Value();
  Value output = b.binding(types.size() - 1);
  PanelStore store(b, spec.rows, output, outputStrides, spec.paddedOutput);
  if (spec.residual)
    store.addResidual(b.binding(types.size() - 2), residualStrides);
  PanelDot dot(b, spec.format, spec.depth, b.binding(1), b.binding(0),
               spec.gather ? 0 : inputHeads);
  std::optional<GateUp> gateUp;
  if (spec.swiglu)
    gateUp.emplace(b, dot, spec.rows / 2, *spec.swiglu, output);

  int64_t panels = gateUp ? gateUp->panels() : panelCount(spec.rows);
  int64_t perGroup =
      std::min(panels, panelsPerWorkgroup(spec.format, spec.depth));
  int64_t chunks = (panels + perGroup - 1) / perGroup;

  // Neighboring workgroups share weights.
  Value size = b.dim(spec.dim), tiles = b.ceilDiv(size, tokenTile);
  Value firstRow = b.mul(b.rem(b.workgroup(), tiles), tokenTile);
  Value endRow = b.min(b.add(firstRow, tokenTile), size);
  Value chunk = b.div(b.workgroup(), tiles), head = b.index(0);
  if (spec.heads > 1) {
    head = b.div(chunk, chunks);
    chunk = b.rem(chunk, chunks);
  }
  Value firstPanel = b.mul(chunk, perGroup);
  Value endPanel = b.min(b.add(firstPanel, perGroup), panels);
  Value matrix = b.mul(head, panels);

  b.loop(firstPanel, endPanel, 1, [&](Value panel) {
    auto inputRow = [&](Value row) {
      if (gathered)
        row = b.toIndex(b.load(gathered, row));
      if (inputHeads > 1)
        row = b.add(b.mul(row, inputHeads), head);
      return row;
    };
    if (gateUp)
      return gateUp->emit(matrix, panel, firstRow, endRow, inputRow);
    dot.emit(b.add(matrix, panel), firstRow, endRow, inputRow,
             [&](ArrayRef<Value> sums, Value row, int64_t rows, int64_t first,
                 int64_t vectors) {
               store.emit(sums, row, rows, head, panel, first, vectors);
             });
  });
  return b.finish({spec.heads * chunks, tokenTile, spec.dim});
}

} // namespace mlir::dsv2::x86
