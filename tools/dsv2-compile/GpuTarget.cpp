//===- GpuTarget.cpp - Compiling for Hopper -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionExpanded.h"
#include "lowering/NVPTX/Codegen.h"
#include "lowering/NVPTXPlan/FormGpuPrograms.h"
#include "lowering/Pipelines/Pipelines.h"
#include "tools/dsv2-compile/Target.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Status;
using ::dsv2::StatusCode;

namespace {

class GpuTarget final : public Target {
public:
  explicit GpuTarget(const CompileOptions &options) : Target(options) {}

  Status check() override {
    if (!options.cache.empty() && options.cache != "bf16" &&
        options.cache != "fp8")
      return Status(StatusCode::invalidArgument,
                    "invalid --cache '" + options.cache +
                        "' for sm_90a; expected bf16 or fp8");
    return Status();
  }

  /// The expanded form has no kernels for some shapes.
  ::dsv2::Result<std::string>
  absorbOptions(const ::dsv2::Config &config,
                const plan::StepLimits &limits) const override {
    nvptx::ExpandedAttentionSpec spec;
    spec.sequences = limits.maxSequences;
    spec.nope = config.qkNopeHeadDim;
    spec.rope = config.qkRopeHeadDim;
    spec.value = config.vHeadDim;
    std::string reason;
    if (succeeded(nvptx::checkExpandedAttention(spec, reason)) &&
        config.kvLoraRank % 8 != 0)
      reason = "expected a latent of a multiple of 8, found " +
               std::to_string(config.kvLoraRank);
    if (reason.empty())
      return "form=" + options.attention + " machine=hopper";
    if (options.attention == "expanded")
      return Status(StatusCode::invalidArgument,
                    "--attention=expanded has no kernel for sm_90a: " + reason +
                        "; compile with --attention=auto");
    return std::string("form=latent");
  }

  void addPreparation(OpPassManager &pm) const override {
    buildPrepareNVPTXPipeline(pm);
  }

  LogicalResult formPrograms(OwningOpRef<ModuleOp> &module,
                             const plan::StepLimits &limits,
                             bool fillsWeights) override {
    auto formed = formGpuPrograms(*module, limits, fillsWeights);
    if (failed(formed))
      return failure();
    kernelModule = *std::move(formed);
    return success();
  }

  ModuleOp kernels() override { return *kernelModule; }

  LogicalResult compileKernels(ArtifactContents &contents,
                               Progress &progress) override {
    nvptx::CodegenOptions codegen;
    if (options.ptxas == "none")
      codegen.ptxas.clear();
    else if (!options.ptxas.empty())
      codegen.ptxas = options.ptxas;
    auto compiled = nvptx::compileKernels(*kernelModule, codegen);
    if (failed(compiled))
      return failure();
    for (const nvptx::CompiledKernel &kernel : *compiled) {
      if (kernel.assembly)
        for (const std::string &warning : kernel.assembly->warnings)
          progress.line("warning  " + kernel.name + ": " + warning);
      if (failed(dump("6-" + kernel.name + ".ptx", kernel.ptx)))
        return failure();
    }
    contents.gpuKernels = gpuKernelsOf(*kernelModule, *std::move(compiled));
    return success();
  }

  std::string describeKernels(const ArtifactContents &contents) override {
    bool assembled = contents.gpuKernels.front().code.assembly.has_value();
    return llvm::formatv(
        "{0} for {1}, {2}", contents.gpuKernels.size(), options.target,
        assembled ? "assembled" : "as PTX only: ptxas was not found");
  }

private:
  OwningOpRef<ModuleOp> kernelModule;
};

} // namespace

std::unique_ptr<Target>
mlir::dsv2::createGpuTarget(const CompileOptions &options) {
  return std::make_unique<GpuTarget>(options);
}
