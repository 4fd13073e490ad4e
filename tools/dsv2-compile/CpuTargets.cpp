//===- CpuTargets.cpp - Compiling for x86-64, and the reference -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Pipelines/Pipelines.h"
#include "lowering/Plan/PlanDialect.h"
#include "lowering/X86/Codegen.h"
#include "lowering/X86Plan/FormPrograms.h"
#include "passes/AttentionCost.h"
#include "tools/dsv2-compile/Target.h"

#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Status;
using ::dsv2::StatusCode;

namespace {

/// What x86-64 and the reference share: kernels become a shared library.
class LibraryTarget : public Target {
public:
  ModuleOp kernels() override { return *kernelModules.front(); }

  std::string describeKernels(const ArtifactContents &contents) override {
    std::string names;
    for (const CompiledKernels &kernels : contents.kernels)
      names += (names.empty() ? "" : ", ") + kernels.name;
    return llvm::formatv("{0} for {1}",
                         contents.kernels.front().library.codeBytes.size(),
                         names);
  }

protected:
  using Target::Target;

  /// Compiles kernels for `set` and adds them under `name`.
  LogicalResult addLibrary(ModuleOp module, const x86::InstructionSet &set,
                           StringRef name, bool approximateMath,
                           ArtifactContents &contents) {
    x86::CodegenOptions codegen;
    codegen.approximateMath = approximateMath;
    codegen.partitions = options.threads;
    codegen.dump = !options.dumpDirectory.empty();
    FailureOr<x86::KernelLibrary> library =
        x86::compileKernels(module, set, codegen);
    if (failed(library))
      return failure();
    CompiledKernels compiled;
    compiled.name = name.str();
    compiled.features = set.features;
    compiled.library = *std::move(library);
    std::string file = "6-kernels-" + compiled.name;
    if (failed(dump(file + ".ll", compiled.library.llvmIR)) ||
        failed(dump(file + ".s", compiled.library.assembly)))
      return failure();
    contents.kernels.push_back(std::move(compiled));
    return success();
  }

  /// One for each instruction set.
  std::vector<OwningOpRef<ModuleOp>> kernelModules;
};

class CpuTarget final : public LibraryTarget {
public:
  explicit CpuTarget(const CompileOptions &options) : LibraryTarget(options) {}

  bool multipliesFp8() const override { return false; }

  Status check() override {
    if (options.cache == "fp8")
      return Status(StatusCode::invalidArgument,
                    "--cache=fp8 has no kernels for '" + options.target +
                        "'; expected bf16 or int8 there, fp8 is for sm_90a");
    if (options.cache == "f32")
      return Status(StatusCode::invalidArgument,
                    "--cache=f32 is for --target=reference; expected bf16 or "
                    "int8 for '" +
                        options.target + "'");
    std::string message;
    auto parsed = x86::parseTarget(options.target, message);
    if (failed(parsed))
      return Status(StatusCode::invalidArgument, message);
    sets = *parsed;
    return Status();
  }

  /// Up to the tokens for which the latent form is faster after a typical
  /// context.
  int64_t decodeTokens(const ::dsv2::Config &config,
                       StringRef quantize) const override {
    AttentionWork work;
    work.heads = config.heads;
    work.latent = config.kvLoraRank;
    work.rope = config.qkRopeHeadDim;
    work.key = config.qkNopeHeadDim;
    work.value = config.vHeadDim;
    work.queries = 1;
    work.past = 4096;
    double even = work.breakEvenQueries(AttentionRates::measured(
        options.cache == "int8", expandsInInt8(quantize)));
    return static_cast<int64_t>(std::clamp<double>(even, 8, 64));
  }

  void addPreparation(OpPassManager &pm) const override {
    buildPrepareX86Pipeline(pm);
  }

  /// For each instruction set. The plan must not depend on it: artifacts have
  /// one plan and several kernel libraries.
  LogicalResult formPrograms(OwningOpRef<ModuleOp> &module,
                             const plan::StepLimits &limits,
                             bool fillsWeights) override {
    OwningOpRef<ModuleOp> prepared = module->clone();
    for (const x86::InstructionSet &set : sets) {
      OwningOpRef<ModuleOp> planned = prepared->clone();
      auto formed = mlir::dsv2::formPrograms(*planned, &set, limits);
      if (failed(formed))
        return failure();
      kernelModules.push_back(*std::move(formed));
      if (kernelModules.size() == 1)
        module = std::move(planned);
      else if (programsOf(*module) != programsOf(*planned))
        return compileError("the plan for " + set.name +
                            " differs from that for " + sets.front().name +
                            "; compile for one of them");
    }
    return success();
  }

  LogicalResult compileKernels(ArtifactContents &contents,
                               Progress &progress) override {
    for (auto [set, module] : llvm::zip_equal(sets, kernelModules))
      if (failed(addLibrary(*module, set, set.name, /*approximateMath=*/true,
                            contents)))
        return failure();
    return success();
  }

private:
  static std::string programsOf(ModuleOp module) {
    std::string text;
    llvm::raw_string_ostream os(text);
    for (auto program : module.getOps<plan::ProgramOp>())
      program.print(os);
    return text;
  }

  SmallVector<x86::InstructionSet> sets;
};

class ReferenceTarget final : public LibraryTarget {
public:
  explicit ReferenceTarget(const CompileOptions &options)
      : LibraryTarget(options) {}

  Status check() override { return Status(); }
  CacheElement usualCache() const override { return CacheElement::f32; }
  /// Its kernels hold every score of a step at once.
  int64_t usualContext() const override { return 4096; }

  void addPreparation(OpPassManager &pm) const override {
    buildPrepareReferencePipeline(pm);
  }

  LogicalResult formPrograms(OwningOpRef<ModuleOp> &module,
                             const plan::StepLimits &limits,
                             bool fillsWeights) override {
    auto formed = mlir::dsv2::formPrograms(*module, /*set=*/nullptr, limits);
    if (failed(formed))
      return failure();
    kernelModules.push_back(*std::move(formed));
    return success();
  }

  /// For the oldest instruction set, the common ground of all machines.
  LogicalResult compileKernels(ArtifactContents &contents,
                               Progress &progress) override {
    return addLibrary(*kernelModules.front(), x86::allInstructionSets().back(),
                      "reference",
                      /*approximateMath=*/false, contents);
  }
};

} // namespace

std::unique_ptr<Target>
mlir::dsv2::createCpuTarget(const CompileOptions &options) {
  return std::make_unique<CpuTarget>(options);
}

std::unique_ptr<Target>
mlir::dsv2::createReferenceTarget(const CompileOptions &options) {
  return std::make_unique<ReferenceTarget>(options);
}
