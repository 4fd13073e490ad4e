//===- CompileModel.cpp - From a source to an artifact --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-compile/CompileModel.h"

#include "dialect/CacheRow.h"
#include "lowering/Pipelines/Pipelines.h"
#include "models/RandomTensorSource.h"
#include "models/builder/ImportModel.h"
#include "runtime/base/AtomicFile.h"
#include "tools/common/CompilerTool.h"
#include "tools/dsv2-compile/DescribeSource.h"
#include "tools/dsv2-compile/QuantizeSpec.h"
#include "tools/dsv2-compile/Target.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
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
  static LogicalResult error(const Twine &message) {
    return compileError(message);
  }

  LogicalResult checkOptions();
  LogicalResult openSource();
  LogicalResult openWeights();
  LogicalResult chooseLimits();
  using BuildPipeline =
      function_ref<LogicalResult(OpPassManager &, raw_ostream &)>;
  LogicalResult runPipeline(BuildPipeline build);
  LogicalResult formPlans();
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
  std::unique_ptr<Target> target;
  ModelSource source;
  OwningOpRef<ModuleOp> module;
  std::optional<::dsv2::RandomTensorSource> random;
  const TensorSource *tensors = nullptr;
  std::string weightsName, quantizeOptions;
  ArtifactContents contents;
  double compileSeconds = 0;
};

} // namespace

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
  Result<std::unique_ptr<Target>> chosen = Target::create(options);
  if (!chosen.ok())
    return error(chosen.status().message());
  target = *std::move(chosen);
  if (!target->multipliesFp8() && StringRef(quantizeOptions).contains("=fp8"))
    return error("--quantize=" + options.quantize + " has no kernels for '" +
                 options.target +
                 "'; expected int8 or int4 there, fp8 is for sm_90a");
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
    module =
        importModel(&context, source,
                    parseCache(options.cache).value_or(target->usualCache()));
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
  limits.maxContext = options.maxContext.value_or(
      std::min(source.config.maxPosition, target->usualContext()));
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
  limits.contextChunk = options.contextChunk.value_or(0);
  if (options.contextChunk &&
      (limits.contextChunk < 1 || limits.contextChunk > (1 << 20)))
    return error("invalid --context-chunk " + Twine(limits.contextChunk) +
                 "; expected 1 to 1048576");
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

LogicalResult Compilation::formPlans() {
  module->walk(
      [&](LatentAppendOp op) { contents.cache = op.getCache().getType(); });
  module->walk(
      [&](CacheAppendOp op) { contents.cache = op.getCache().getType(); });
  if (!contents.cache)
    return error("the model appends to no cache; expected dsv2.cache_append");
  return target->formPrograms(module, contents.limits,
                              /*fillsWeights=*/!tensors);
}

LogicalResult Compilation::writeFile() {
  contents.target = options.target;
  contents.weights = weightsName;
  contents.quantize = options.quantize == "none" ? "" : options.quantize;
  ::dsv2::Status described = describeSource(source, contents);
  if (!described.ok())
    return error(described.message());
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
  progress.line(llvm::formatv("model    {0}, {1:N} parameters",
                              contents.modelName,
                              parameterCount(source.config)));
  progress.line("kernels  " + target->describeKernels(contents));
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
  Result<std::string> absorb =
      target->absorbOptions(source.config, contents.limits);
  if (!absorb.ok())
    return error(absorb.status().message());
  fuse.absorb = *absorb;
  fuse.decodeTokens = target->decodeTokens(source.config, quantizeOptions);
  fuse.quantize = quantizeOptions;
  if (failed(runPipeline([&](OpPassManager &pm, raw_ostream &errors) {
        return buildFusePipeline(pm, fuse, errors);
      })))
    return failure();
  done = finish(Phase::fuse, "fuse", *module);
  if (failed(done) || *done)
    return success(succeeded(done));

  if (failed(runPipeline([&](OpPassManager &pm, raw_ostream &) {
        target->addPreparation(pm);
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
  done = finish(Phase::kernels, "kernels", target->kernels());
  if (failed(done) || *done)
    return success(succeeded(done));

  if (failed(target->compileKernels(contents, progress)))
    return failure();
  compileSeconds += progress.lap();
  return writeFile();
}

int mlir::dsv2::compileModel(const CompileOptions &options,
                             const DialectRegistry &registry) {
  return succeeded(Compilation(options, registry).run()) ? 0 : 1;
}
