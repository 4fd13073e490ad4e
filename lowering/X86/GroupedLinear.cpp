//===- GroupedLinear.cpp - The linear layers of experts -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/GroupedLinear.h"
#include "lowering/X86/GateUp.h"
#include "lowering/X86/Linear.h"
#include "lowering/X86/PanelStore.h"

namespace mlir::dsv2::x86 {

KernelInfo emitGroupedLinear(ModuleOp module, StringRef name,
                             const InstructionSet &set,
                             const GroupedLinearSpec &spec) {
  MLIRContext *context = module.getContext();
  Type i32 = IntegerType::get(context, 32);
  constexpr int activeCountBinding = 4;
  SmallVector<MemRefType> types = {
      rowBufferType(context, rowFormatOf(spec.format), spec.maxSlots,
                    spec.depth),
      packedWeightType(context, spec.format, spec.rows, spec.depth,
                       spec.experts),
      flatType(i32, spec.experts + 1), flatType(i32, spec.experts),
      flatType(i32, 1)};
  if (spec.gather)
    types.push_back(flatType(i32, spec.maxSlots));
  types.push_back(
      spec.swiglu
          ? rowBufferType(context, *spec.swiglu, spec.maxSlots, spec.rows / 2)
          : flatType(Float32Type::get(context), spec.maxSlots * spec.rows));

  RowEmitter b(module, name, types, set);
  Value offsets = b.binding(2), active = b.binding(3);
  Value slotToken = spec.gather ? b.binding(5) : Value();
  Value output = b.binding(types.size() - 1);
  PanelStore store(b, spec.rows, output, {spec.rows, spec.rows});
  PanelDot dot(b, spec.format, spec.depth, b.binding(1), b.binding(0),
               spec.gather ? 0 : 1);
  std::optional<GateUp> gateUp;
  if (spec.swiglu)
    gateUp.emplace(b, dot, spec.rows / 2, *spec.swiglu, output);

  int64_t allPanels = panelCount(spec.rows);
  int64_t panels = gateUp ? gateUp->panels() : allPanels;
  int64_t perGroup =
      std::min(panels, panelsPerWorkgroup(spec.format, spec.depth));
  int64_t chunks = (panels + perGroup - 1) / perGroup;

  Value expert = b.toIndex(b.load(active, b.div(b.workgroup(), chunks)));
  Value firstSlot = b.toIndex(b.load(offsets, expert));
  Value endSlot = b.toIndex(b.load(offsets, b.add(expert, 1)));
  Value firstPanel = b.mul(b.rem(b.workgroup(), chunks), perGroup);
  Value endPanel = b.min(b.add(firstPanel, perGroup), panels);
  Value matrix = b.mul(expert, allPanels), noHead = b.index(0);

  b.loop(firstPanel, endPanel, 1, [&](Value panel) {
    auto inputRow = [&](Value slot) {
      return slotToken ? b.toIndex(b.load(slotToken, slot)) : slot;
    };
    if (gateUp)
      return gateUp->emit(matrix, panel, firstSlot, endSlot, inputRow);
    dot.emit(b.add(matrix, panel), firstSlot, endSlot, inputRow,
             [&](ArrayRef<Value> sums, Value slot, int64_t rows, int64_t first,
                 int64_t vectors) {
               store.emit(sums, slot, rows, noHead, panel, first, vectors);
             });
  });
  return b.finish({chunks, 1, Dim::one, activeCountBinding});
}

} // namespace mlir::dsv2::x86
