//===- Pipelines.cpp - The phases of the compiler -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Pipelines/Pipelines.h"

#include "lowering/NVPTXPlan/Passes.h"
#include "lowering/Plan/Passes.h"
#include "lowering/X86Plan/Passes.h"
#include "passes/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::dsv2;

/// Adds the pass called `name` with `options` in its own syntax.
static LogicalResult addPass(OpPassManager &pm, StringRef name,
                             StringRef options, raw_ostream &errors) {
  return parsePassPipeline((name + "{" + options + "}").str(), pm, errors);
}

bool mlir::dsv2::expandsInInt8(StringRef quantize) {
  SmallVector<StringRef> options;
  quantize.split(options, ' ');
  bool hasInt4 = false;
  for (StringRef option : options) {
    if (option.consume_front("up-projections="))
      return option == "int8" || option == "int4";
    hasInt4 |= option.ends_with("=int4");
  }
  return hasInt4;
}

LogicalResult mlir::dsv2::buildFusePipeline(OpPassManager &pm,
                                            const FusePipelineOptions &options,
                                            raw_ostream &errors) {
  SpecializePhasesPassOptions phases;
  phases.decodeQueryTokens = options.decodeTokens;
  pm.addPass(createSpecializePhasesPass(phases));
  FuseExpandedAttentionPassOptions expansion;
  expansion.int8 = expandsInInt8(options.quantize.getValue());
  std::string absorb = options.absorb;
  if (expansion.int8)
    absorb += " int8-expansion";
  if (failed(addPass(pm, "dsv2-absorb-up-projections", absorb, errors)))
    return failure();
  pm.addPass(createFuseExpandedAttentionPass(expansion));
  if (!options.quantize.empty() &&
      failed(addPass(pm, "dsv2-quantize-weights", options.quantize, errors)))
    return failure();
  if (!options.extraPasses.empty() &&
      failed(parsePassPipeline(options.extraPasses, pm, errors)))
    return failure();
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  return success();
}

/// The fusions are those of every target with kernels of its own; `pack`
/// chooses the formats.
static void buildPreparePipeline(OpPassManager &pm,
                                 std::unique_ptr<Pass> pack) {
  pm.addPass(createGroupExpertsPass());
  pm.addPass(createFuseGateUpPass());
  pm.addPass(createFuseDownProjectionsPass());
  pm.addPass(createFuseRopeAppendPass());
  pm.addNestedPass<func::FuncOp>(std::move(pack));
  pm.addPass(createCSEPass());
  pm.addPass(createFoldRowPackingPass());
  pm.addPass(createHoistWeightsPass());
  pm.addPass(createCSEPass());
}

void mlir::dsv2::buildPrepareX86Pipeline(OpPassManager &pm) {
  buildPreparePipeline(pm, createPackForX86Pass());
}

void mlir::dsv2::buildPrepareNVPTXPipeline(OpPassManager &pm) {
  pm.addPass(createMergeSharedExpertsPass());
  buildPreparePipeline(pm, createPackForNVPTXPass());
}

void mlir::dsv2::buildPrepareReferencePipeline(OpPassManager &pm) {
  pm.addPass(createDequantizeWeightsPass());
  pm.addPass(createHoistWeightsPass());
  pm.addPass(createCSEPass());
}

template <typename PassOptions>
static PassOptions limitsOf(const LowerPipelineOptions &options) {
  PassOptions result;
  result.maxBatchTokens = options.maxBatchTokens;
  result.maxSequences = options.maxSequences;
  result.maxContext = options.maxContext;
  return result;
}

void mlir::dsv2::buildLowerX86Pipeline(OpPassManager &pm,
                                       const LowerPipelineOptions &options) {
  buildPrepareX86Pipeline(pm);
  auto form = limitsOf<FormX86ProgramsPassOptions>(options);
  form.instructionSet = options.instructionSet;
  pm.addPass(createFormX86ProgramsPass(form));
  pm.addNestedPass<plan::ProgramOp>(plan::createOrderDispatchesPass());
  pm.addNestedPass<plan::ProgramOp>(plan::createPlanMemoryPass());
}

void mlir::dsv2::buildLowerNVPTXPipeline(OpPassManager &pm,
                                         const LowerPipelineOptions &options) {
  buildPrepareNVPTXPipeline(pm);
  pm.addPass(
      createFormGpuProgramsPass(limitsOf<FormGpuProgramsPassOptions>(options)));
  pm.addNestedPass<plan::ProgramOp>(plan::createPlanMemoryPass());
}

void mlir::dsv2::registerDSV2Pipelines() {
  registerPassPipeline(
      "dsv2-fuse", "Rewrite model IR without regard to the target",
      [](OpPassManager &pm, StringRef text,
         function_ref<LogicalResult(const Twine &)> emitError) {
        FusePipelineOptions options;
        if (failed(options.parseFromString(text)) ||
            failed(buildFusePipeline(pm, options)))
          return emitError("invalid options '" + text + "' for dsv2-fuse");
        return success();
      },
      [](function_ref<void(const ::mlir::detail::PassOptions &)> visit) {
        visit(FusePipelineOptions());
      });
  PassPipelineRegistration<>("dsv2-prepare-x86",
                             "Formats and fusions of the x86-64 kernels",
                             buildPrepareX86Pipeline);
  PassPipelineRegistration<>("dsv2-prepare-nvptx",
                             "Formats and fusions of the GPU kernels",
                             buildPrepareNVPTXPipeline);
  PassPipelineRegistration<LowerPipelineOptions>(
      "dsv2-lower-x86", "From fused model IR to a plan and x86-64 kernels",
      buildLowerX86Pipeline);
  PassPipelineRegistration<LowerPipelineOptions>(
      "dsv2-lower-nvptx", "From fused model IR to a plan and GPU kernels",
      buildLowerNVPTXPipeline);
  PassPipelineRegistration<>("dsv2-prepare-reference",
                             "What the reference target needs",
                             buildPrepareReferencePipeline);
}
