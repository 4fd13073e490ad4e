//===- PlanTables.cpp - The plan dialect as flatbuffer tables -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/PlanTables.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::dsv2;
namespace schema = ::dsv2::schema;
using plan::BindingAttr;
using plan::BindingKind;

llvm::MapVector<StringRef, WeightOp> mlir::dsv2::boundWeights(ModuleOp module) {
  llvm::MapVector<StringRef, WeightOp> weights;
  module.walk([&](plan::DispatchOp dispatch) {
    for (BindingAttr binding : dispatch.getBindingRange())
      if (binding.getKind() == BindingKind::Weight)
        if (auto weight =
                module.lookupSymbol<WeightOp>(binding.getSymbol().getAttr()))
          weights.insert({weight.getSymName(), weight});
  });
  return weights;
}

/// Cosines and sines of every position, magnitude included, as f32
/// [positions][dim / 2][2]; computed in double.
static std::vector<float> evaluate(plan::RopeTableOp table) {
  SmallVector<double> frequencies =
      table.getRope().getInverseFrequencies(table.getDim());
  double magnitude = table.getRope().getMagnitude();
  std::vector<float> values;
  values.reserve(table.getPositions() * table.getDim());
  for (uint64_t position = 0; position < table.getPositions(); ++position)
    for (double frequency : frequencies) {
      double angle = static_cast<double>(position) * frequency;
      values.push_back(static_cast<float>(std::cos(angle) * magnitude));
      values.push_back(static_cast<float>(std::sin(angle) * magnitude));
    }
  return values;
}

void mlir::dsv2::addConstants(ModuleOp module, schema::PlanT &plan,
                              PlanOrdinals &ordinals) {
  for (auto table : module.getOps<plan::RopeTableOp>()) {
    std::vector<float> values = evaluate(table);
    size_t offset = llvm::alignTo(plan.constants.size(), 64);
    size_t bytes = values.size() * sizeof(float);
    plan.constants.resize(offset + bytes);
    std::memcpy(plan.constants.data() + offset, values.data(), bytes);
    ordinals.constants[table.getSymName()] = offset;
  }
}

static schema::Binding bindingStruct(BindingAttr binding,
                                     plan::ProgramOp program,
                                     const PlanOrdinals &ordinals) {
  StringRef symbol =
      binding.getSymbol() ? binding.getSymbol().getValue() : StringRef();
  uint64_t offset = binding.getOffset();
  uint32_t index = binding.getIndex();
  switch (binding.getKind()) {
  case BindingKind::Buffer: {
    auto buffer = cast<plan::BufferOp>(
        SymbolTable::lookupSymbolIn(program, binding.getSymbol()));
    return schema::Binding(schema::BindingKind::arena, 0,
                           offset + buffer.getOffset().value_or(0));
  }
  case BindingKind::Weight: {
    auto at = ordinals.weights.find(symbol);
    return schema::Binding(schema::BindingKind::weight,
                           at - ordinals.weights.begin(), offset);
  }
  case BindingKind::Cache:
    return schema::Binding(schema::BindingKind::cache, index, 0);
  case BindingKind::Batch:
    return schema::Binding(schema::BindingKind::batch, index, 0);
  case BindingKind::Constant:
    return schema::Binding(schema::BindingKind::constant, 0,
                           offset + ordinals.constants.lookup(symbol));
  case BindingKind::Logits:
    return schema::Binding(schema::BindingKind::logits, 0, offset);
  }
  llvm_unreachable("all kinds are listed");
}

static std::unique_ptr<schema::DispatchT>
dispatchTable(plan::DispatchOp op, plan::ProgramOp program, bool barrier,
              const PlanOrdinals &ordinals) {
  auto table = std::make_unique<schema::DispatchT>();
  table->kernel = ordinals.kernels.lookup(op.getKernel());
  table->label = op.getLabel().str();
  table->barrier_before = barrier;
  for (BindingAttr binding : op.getBindingRange())
    table->bindings.push_back(bindingStruct(binding, program, ordinals));
  table->min_tokens = op.getMinTokens().value_or(table->min_tokens);
  table->max_tokens = op.getMaxTokens().value_or(table->max_tokens);
  table->chunked = op.getChunked();
  plan::WorkgroupsAttr groups = op.getWorkgroups();
  int64_t indirect = -1;
  if (groups.getIndirect() >= 0)
    indirect = table->bindings[groups.getIndirect()].value();
  table->workgroups = std::make_unique<schema::Workgroups>(
      groups.getCount(), groups.getTile(), indirect,
      static_cast<schema::Dim>(groups.getDim()));
  return table;
}

std::unique_ptr<schema::ProgramT>
mlir::dsv2::programTable(plan::ProgramOp program,
                         const PlanOrdinals &ordinals) {
  auto table = std::make_unique<schema::ProgramT>();
  table->name = program.getSymName().str();
  table->max_query_tokens =
      program.getMaxQueryTokens().value_or(std::numeric_limits<int64_t>::max());
  table->attention = program.getAttention().value_or("").str();
  table->chunk_step = program.getChunkStep().value_or(0);
  table->chunk_rows = program.getChunkRows().value_or(0);
  bool barrier = true;
  for (Operation &op : program.getBody().front()) {
    if (isa<plan::BarrierOp>(op))
      barrier = true;
    auto dispatch = dyn_cast<plan::DispatchOp>(op);
    if (!dispatch)
      continue;
    table->dispatches.push_back(
        dispatchTable(dispatch, program, barrier, ordinals));
    barrier = false;
  }
  return table;
}
