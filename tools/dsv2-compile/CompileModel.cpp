//===- CompileModel.cpp - From a source to an artifact --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-compile/CompileModel.h"

#include "dialect/CacheRow.h"
#include "lowering/Artifact/WriteArtifact.h"
#include "lowering/NVPTX/Codegen.h"
#include "lowering/NVPTXPlan/FormGpuPrograms.h"
#include "lowering/Pipelines/Pipelines.h"
#include "lowering/Plan/PlanDialect.h"
#include "lowering/X86/Codegen.h"
#include "lowering/X86Plan/FormPrograms.h"
#include "models/BuiltinConfigs.h"
#include "models/RandomTensorSource.h"
#include "models/builder/ImportModel.h"
#include "models/tokenizer/GgufTokenizer.h"
#include "models/tokenizer/TokenizerReader.h"
#include "passes/AttentionCost.h"
#include "runtime/base/AtomicFile.h"
#include "tools/common/CompilerTool.h"
#include "tools/dsv2-compile/Progress.h"
#include "tools/dsv2-compile/QuantizeSpec.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Result;
using ::dsv2::TensorSource;

namespace {

/// One compilation: holds what the phases pass on. Every step reports its own
/// errors and returns failure after one.
class Compilation {
public:
  Compilation(const CompileOptions &options, const DialectRegistry &registry)
      : options(options), context(registry), errors(&context, "dsv2-compile"),
        progress(options.quiet) {}

  LogicalResult run();

private:
  bool isReference() const { return options.target == "reference"; }
  CacheElement cacheElement() const {
    if (options.cache.empty())
      return isReference() ? CacheElement::f32 : CacheElement::bf16;
    return options.cache == "f32"    ? CacheElement::f32
           : options.cache == "int8" ? CacheElement::int8
                                     : CacheElement::bf16;
  }
  bool isGpu() const { return options.target == nvptx::targetChip; }
  LogicalResult error(const Twine &message) {
    reportError("dsv2-compile", message);
    return failure();
  }

  int64_t decodeTokens() const;
  LogicalResult checkOptions();
  LogicalResult openSource();
  LogicalResult openWeights();
  LogicalResult chooseLimits();
  using BuildPipeline =
      function_ref<LogicalResult(OpPassManager &, raw_ostream &)>;
  LogicalResult runPipeline(BuildPipeline build);
  LogicalResult formPlans();
  LogicalResult formGpuPlan();
  LogicalResult compileKernelModules();
  LogicalResult compileGpuKernels();
  LogicalResult writeFile();
  void summarize(const ArtifactSummary &summary);

  /// Dumps the IR of a phase; true when compilation ends with it.
  FailureOr<bool> finish(Phase phase, StringRef name, Operation *ir);
  LogicalResult printTo(StringRef path, Operation *ir);
  LogicalResult write(StringRef path, StringRef text);

  const CompileOptions &options;
  MLIRContext context;
  FirstErrorReporter errors;
  Progress progress;
  SmallVector<x86::InstructionSet> sets;
  ModelSource source;
  OwningOpRef<ModuleOp> module;
  std::optional<::dsv2::RandomTensorSource> random;
  const TensorSource *tensors = nullptr;
  std::string weightsName, quantizeOptions;
  /// One for each instruction set, or the one of the reference target.
  std::vector<OwningOpRef<ModuleOp>> kernelModules;
  ArtifactContents contents;
  double compileSeconds = 0;
};

} // namespace

/// Query tokens up to which the latent form is faster after a typical context:
/// the bound of the phase that is to use it.
int64_t Compilation::decodeTokens() const {
  constexpr int64_t least = 8, most = 64;
  if (isReference())
    return least;
  if (isGpu())
    return least;
  const ::dsv2::Config &config = source.config;
  AttentionWork work;
  work.heads = config.heads;
  work.latent = config.kvLoraRank;
  work.rope = config.qkRopeHeadDim;
  work.key = config.qkNopeHeadDim;
  work.value = config.vHeadDim;
  work.queries = 1;
  work.past = 4096;
  double even = work.breakEvenQueries(AttentionRates::measured(
      options.cache == "int8", expandsInInt8(quantizeOptions)));
  return static_cast<int64_t>(std::clamp<double>(even, least, most));
}

LogicalResult Compilation::checkOptions() {
  if (options.output.empty() && options.stopAfter == Phase::artifact)
    return error("expects an output file: add -o model.dsv2");
  // A place that cannot be written to is better found before the work.
  if (options.stopAfter == Phase::artifact)
    if (auto file = ::dsv2::AtomicFile::create(options.output); !file.ok())
      return error(file.status().message());
  Result<std::string> passOptions = parseQuantizeSpec(options.quantize);
  if (!passOptions.ok())
    return error(passOptions.status().message());
  quantizeOptions = *std::move(passOptions);
  if (options.attention != "auto" && options.attention != "latent" &&
      options.attention != "expanded")
    return error("invalid --attention '" + options.attention +
                 "'; expected auto, latent or expanded");
  if (!llvm::is_contained({"", "f32", "bf16", "int8"}, options.cache))
    return error("invalid --cache '" + options.cache +
                 "'; expected bf16, int8 or f32");
  if (isReference())
    return success();
  if (isGpu()) {
    if (cacheElement() != CacheElement::bf16)
      return error("invalid --cache '" + options.cache +
                   "' for sm_90a; expected bf16");
    if (options.attention == "expanded")
      return error("--attention=expanded has no kernels for sm_90a; expected "
                   "auto or latent");
    return success();
  }
  if (options.cache == "f32")
    return error("--cache=f32 is for --target=reference; expected bf16 or int8 "
                 "for '" +
                 options.target + "'");
  std::string message;
  FailureOr<SmallVector<x86::InstructionSet>> parsed =
      x86::parseTarget(options.target, message);
  if (failed(parsed))
    return error(message);
  sets = *parsed;
  return success();
}

/// Opens SOURCE and makes or reads the model IR.
LogicalResult Compilation::openSource() {
  std::string name = options.source;
  if (StringRef(name).ends_with(".mlir")) {
    module = parseSourceFile<ModuleOp>(name, &context);
    if (!module)
      return failure();
    auto attribute = (*module)->getAttrOfType<StringAttr>("dsv2.source");
    if (!attribute)
      return error("'" + name +
                   "' has no module attribute dsv2.source; expected the "
                   "checkpoint or config it was imported from");
    if (!options.cache.empty())
      return error("--cache is of no use for '" + name +
                   "', whose cache has a type; give it to dsv2-import");
    name = attribute.getValue().str();
  }
  Result<ModelSource> opened = openModelSource(name);
  if (!opened.ok())
    return error(opened.status().message());
  source = *std::move(opened);
  if (source.gguf)
    for (const std::string &note : source.gguf->notes())
      progress.line("dsv2-compile: note: " + name + ": " + note);
  if (!module)
    module = importModel(&context, source, cacheElement());
  return success();
}

LogicalResult Compilation::openWeights() {
  weightsName = options.weights;
  if (weightsName.empty()) {
    if (!source.tensors() && options.stopAfter == Phase::artifact)
      return error("'" + source.name +
                   "' has no weights; add --weights=random:SEED or "
                   "--weights=none");
    weightsName = source.tensors() ? "checkpoint" : "none";
  }
  if (weightsName == "none")
    return success();
  if (weightsName == "checkpoint") {
    tensors = source.tensors();
    if (!tensors)
      return error("'" + source.name +
                   "' is no checkpoint; use --weights=random:SEED or none");
    return success();
  }
  uint64_t seed;
  StringRef text = weightsName;
  if (!text.consume_front("random:") || text.getAsInteger(10, seed))
    return error("invalid --weights '" + weightsName +
                 "'; expected checkpoint, random:SEED or none");
  tensors = &random.emplace(source.config, seed);
  return success();
}

LogicalResult Compilation::chooseLimits() {
  plan::StepLimits &limits = contents.limits;
  // Reference kernels hold every score of a step at once.
  int64_t usual = isReference() ? 4096 : 32768;
  limits.maxContext =
      options.maxContext.value_or(std::min(source.config.maxPosition, usual));
  limits.maxBatchTokens = options.maxBatchTokens.value_or(512);
  limits.maxSequences = options.maxSequences.value_or(16);
  limits.maxLogitRows = limits.maxBatchTokens;
  for (auto [name, value, most] :
       {std::tuple("--max-context", limits.maxContext,
                   source.config.maxPosition),
        std::tuple("--max-batch-tokens", limits.maxBatchTokens,
                   int64_t(1) << 16),
        std::tuple("--max-sequences", limits.maxSequences, int64_t(4096))})
    if (value < 1 || value > most)
      return error(Twine("invalid ") + name + " " + Twine(value) +
                   "; expected 1 to " + Twine(most));
  if (limits.maxSequences > limits.maxBatchTokens)
    limits.maxSequences = limits.maxBatchTokens;
  return success();
}

LogicalResult Compilation::printTo(StringRef path, Operation *ir) {
  std::string text;
  llvm::raw_string_ostream(text) << *ir << "\n";
  return write(path, text);
}

LogicalResult Compilation::write(StringRef path, StringRef text) {
  ::dsv2::Status status = writeText(path, text);
  return status.ok() ? success() : error(status.message());
}

FailureOr<bool> Compilation::finish(Phase phase, StringRef name,
                                    Operation *ir) {
  double seconds = progress.lap();
  compileSeconds += seconds;
  if (!options.dumpDirectory.empty()) {
    if (std::error_code code =
            llvm::sys::fs::create_directories(options.dumpDirectory))
      return error("cannot create '" + options.dumpDirectory +
                   "': " + code.message());
    SmallString<128> path(options.dumpDirectory);
    llvm::sys::path::append(path, Twine(static_cast<int>(phase) + 1) + "-" +
                                      name + ".mlir");
    if (failed(printTo(path, ir)))
      return failure();
  }
  if (options.stopAfter != phase)
    return false;
  if (failed(printTo(options.output.empty() ? "-" : options.output, ir)))
    return failure();
  return true;
}

LogicalResult Compilation::runPipeline(BuildPipeline build) {
  PassManager pm(&context);
  std::string report;
  llvm::raw_string_ostream stream(report);
  if (succeeded(build(pm, stream)))
    return pm.run(*module);
  // The first line says it; what LLVM printed itself is not repeated.
  StringRef line = StringRef(report).trim().split('\n').first;
  if (line.starts_with("failed to add"))
    return failure();
  for (StringRef prefix : {"error: ", "<Pass-Options-Parser>: "})
    if (size_t found = line.find(prefix); found != StringRef::npos)
      line = line.substr(found + prefix.size());
  return error("invalid --quantize or --extra-passes: " + line);
}

/// Forms the programs for each instruction set. The plan must not depend on
/// it: artifacts have one plan and several kernel libraries.
LogicalResult Compilation::formPlans() {
  module->walk(
      [&](LatentAppendOp op) { contents.cache = op.getCache().getType(); });
  module->walk(
      [&](CacheAppendOp op) { contents.cache = op.getCache().getType(); });
  if (!contents.cache)
    return error("the model appends to no cache; expected dsv2.cache_append");
  auto printed = [](ModuleOp ir) {
    std::string text;
    llvm::raw_string_ostream os(text);
    for (auto program : ir.getOps<plan::ProgramOp>())
      program.print(os);
    return text;
  };
  if (isGpu())
    return formGpuPlan();
  OwningOpRef<ModuleOp> prepared = module->clone();
  size_t count = isReference() ? 1 : sets.size();
  for (size_t i = 0; i < count; ++i) {
    OwningOpRef<ModuleOp> planned = prepared->clone();
    FailureOr<OwningOpRef<ModuleOp>> kernels = formPrograms(
        *planned, isReference() ? nullptr : &sets[i], contents.limits);
    if (failed(kernels))
      return failure();
    kernelModules.push_back(*std::move(kernels));
    if (i == 0)
      module = std::move(planned);
    else if (printed(*module) != printed(*planned))
      return error("the plan for " + sets[i].name + " differs from that for " +
                   sets[0].name + "; compile for one of them");
  }
  return success();
}

LogicalResult Compilation::formGpuPlan() {
  FailureOr<OwningOpRef<ModuleOp>> kernels =
      formGpuPrograms(*module, contents.limits, /*fillsWeights=*/!tensors);
  if (failed(kernels))
    return failure();
  kernelModules.push_back(*std::move(kernels));
  return success();
}

LogicalResult Compilation::compileGpuKernels() {
  ModuleOp kernels = *kernelModules.front();
  nvptx::CodegenOptions codegen;
  if (options.ptxas == "none")
    codegen.ptxas.clear();
  else if (!options.ptxas.empty())
    codegen.ptxas = options.ptxas;
  auto compiled = nvptx::compileKernels(kernels, codegen);
  if (failed(compiled))
    return failure();
  for (const nvptx::CompiledKernel &kernel : *compiled) {
    if (kernel.assembly)
      for (const std::string &warning : kernel.assembly->warnings)
        progress.line("warning  " + kernel.name + ": " + warning);
    if (options.dumpDirectory.empty())
      continue;
    SmallString<128> path(options.dumpDirectory);
    llvm::sys::path::append(path, "6-" + kernel.name + ".ptx");
    if (failed(write(path, kernel.ptx)))
      return failure();
  }
  contents.gpuKernels = gpuKernelsOf(kernels, *std::move(compiled));
  return success();
}

LogicalResult Compilation::compileKernelModules() {
  if (isGpu())
    return compileGpuKernels();
  for (auto [i, kernels] : llvm::enumerate(kernelModules)) {
    // The oldest set is the common ground of every machine we run on.
    const x86::InstructionSet &set =
        isReference() ? x86::allInstructionSets().back() : sets[i];
    x86::CodegenOptions codegen;
    codegen.approximateMath = !isReference();
    codegen.partitions = options.threads;
    codegen.dump = !options.dumpDirectory.empty();
    FailureOr<x86::KernelLibrary> library =
        x86::compileKernels(*kernels, set, codegen);
    if (failed(library))
      return failure();
    CompiledKernels compiled;
    compiled.name = isReference() ? "reference" : set.name.str();
    compiled.features = set.features;
    compiled.library = *std::move(library);
    contents.kernels.push_back(std::move(compiled));
  }
  if (options.dumpDirectory.empty())
    return success();
  for (const CompiledKernels &kernels : contents.kernels)
    for (auto [extension, text] :
         {std::pair("ll", StringRef(kernels.library.llvmIR)),
          std::pair("s", StringRef(kernels.library.assembly))}) {
      SmallString<128> path(options.dumpDirectory);
      llvm::sys::path::append(path,
                              "6-kernels-" + kernels.name + "." + extension);
      if (failed(write(path, text)))
        return failure();
    }
  return success();
}

/// The config as its author wrote it, for the artifact.
static std::string configText(const ModelSource &source) {
  if (auto json = ::dsv2::findBuiltinConfig(source.name))
    return std::string(*json);
  if (source.gguf)
    return source.gguf->configJson();
  SmallString<128> path(source.name);
  if (source.checkpoint)
    llvm::sys::path::append(path, "config.json");
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

static Result<std::optional<::dsv2::TokenizerModel>>
readTokenizerOf(const ModelSource &source) {
  if (source.gguf)
    return ::dsv2::readGgufTokenizer(source.gguf->contents(), source.name);
  if (!source.checkpoint ||
      !llvm::sys::fs::exists(source.name + "/tokenizer.json"))
    return std::optional<::dsv2::TokenizerModel>();
  Result<::dsv2::TokenizerModel> tokenizer = ::dsv2::readTokenizer(source.name);
  if (!tokenizer.ok())
    return tokenizer.status();
  return std::optional<::dsv2::TokenizerModel>(*std::move(tokenizer));
}

/// The file or folder without the number of a part and the extension of it.
static std::string modelName(const ModelSource &source) {
  StringRef name = source.name;
  name.consume_back("/");
  name = llvm::sys::path::stem(name);
  size_t part = name.rfind("-of-");
  if (source.gguf && part != StringRef::npos)
    name = name.take_front(name.take_front(part).rfind('-'));
  return name.str();
}

LogicalResult Compilation::writeFile() {
  contents.modelName = modelName(source);
  contents.configJson = configText(source);
  contents.config = source.config;
  contents.target = options.target;
  contents.weights = weightsName;
  contents.quantize = options.quantize == "none" ? "" : options.quantize;
  Result<std::optional<::dsv2::TokenizerModel>> tokenizer =
      readTokenizerOf(source);
  if (!tokenizer.ok())
    return error(tokenizer.status().message());
  contents.tokenizer = *std::move(tokenizer);
  FailureOr<ArtifactSummary> summary = writeArtifact(
      *module, contents, tensors, options.output, options.threads,
      [&](uint64_t done, uint64_t total) { progress.weights(done, total); });
  if (failed(summary))
    return failure();
  summarize(*summary);
  return success();
}

void Compilation::summarize(const ArtifactSummary &summary) {
  double weightSeconds = progress.lap();
  uint64_t fileBytes = 0;
  (void)llvm::sys::fs::file_size(options.output, fileBytes);
  const plan::StepLimits &limits = contents.limits;
  uint64_t kvBytes =
      CacheRow(contents.cache).bytes() * contents.cache.getLayers();
  std::string setNames;
  for (const CompiledKernels &kernels : contents.kernels)
    setNames += (setNames.empty() ? "" : ", ") + kernels.name;

  progress.line(llvm::formatv("model    {0}, {1:N} parameters",
                              contents.modelName,
                              parameterCount(source.config)));
  if (isGpu())
    progress.line(llvm::formatv("kernels  {0} for {1}, {2}",
                                contents.gpuKernels.size(), options.target,
                                contents.gpuKernels.front().code.assembly
                                    ? "assembled"
                                    : "as PTX only: ptxas was not found"));
  else
    progress.line(llvm::formatv(
        "kernels  {0} for {1}",
        contents.kernels.front().library.codeBytes.size(), setNames));
  progress.line(llvm::formatv("weights  {0}, {1}{2}", summary.weightCount,
                              formatBytes(summary.weightBytes),
                              tensors ? "" : " (not written)"));
  progress.line(llvm::formatv(
      "memory   weights {0}, work {1} at most, cache {2} for {3} tokens",
      formatBytes(summary.weightBytes), formatBytes(summary.arenaBytes),
      formatBytes(kvBytes * limits.maxContext), limits.maxContext));
  progress.line(llvm::formatv(
      "step     {0} tokens, {1} sequences of {2} tokens at most",
      limits.maxBatchTokens, limits.maxSequences, limits.maxContext));
  progress.line(llvm::formatv("time     compile {0:f2} s, weights {1:f2} s",
                              compileSeconds, weightSeconds));
  progress.line(llvm::formatv("wrote    {0}, {1}", options.output,
                              formatBytes(fileBytes)));
}

LogicalResult Compilation::run() {
  if (failed(checkOptions()) || failed(openSource()) || failed(openWeights()) ||
      failed(chooseLimits()))
    return failure();
  FailureOr<bool> done = finish(Phase::model, "model", *module);
  if (failed(done) || *done)
    return success(succeeded(done));

  FusePipelineOptions fuse;
  fuse.extraPasses = options.extraPasses;
  // The GPU has kernels for the latent form only.
  bool latent = isGpu() && options.attention == "auto";
  fuse.absorb = "form=" + (latent ? "latent" : options.attention);
  fuse.decodeTokens = decodeTokens();
  fuse.quantize = quantizeOptions;
  if (failed(runPipeline([&](OpPassManager &pm, raw_ostream &errors) {
        return buildFusePipeline(pm, fuse, errors);
      })))
    return failure();
  done = finish(Phase::fuse, "fuse", *module);
  if (failed(done) || *done)
    return success(succeeded(done));

  if (failed(runPipeline([&](OpPassManager &pm, raw_ostream &) {
        if (isReference())
          buildPrepareReferencePipeline(pm);
        else if (isGpu())
          buildPrepareNVPTXPipeline(pm);
        else
          buildPrepareX86Pipeline(pm);
        return success();
      })))
    return failure();
  done = finish(Phase::prepare, "prepare", *module);
  if (failed(done) || *done)
    return success(succeeded(done));

  if (failed(formPlans()))
    return failure();
  done = finish(Phase::plan, "plan", *module);
  if (failed(done) || *done)
    return success(succeeded(done));
  done = finish(Phase::kernels, "kernels", *kernelModules.front());
  if (failed(done) || *done)
    return success(succeeded(done));

  if (failed(compileKernelModules()))
    return failure();
  compileSeconds += progress.lap();
  return writeFile();
}

int mlir::dsv2::compileModel(const CompileOptions &options,
                             const DialectRegistry &registry) {
  return succeeded(Compilation(options, registry).run()) ? 0 : 1;
}
