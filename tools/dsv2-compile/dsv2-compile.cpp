//===- dsv2-compile.cpp - Compile a model to an artifact ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"
#include "lowering/DSV2ToLinalg/Passes.h"
#include "lowering/Pipelines/Pipelines.h"
#include "passes/Passes.h"
#include "tools/common/CompilerTool.h"
#include "tools/dsv2-compile/CompileModel.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Support/CommandLine.h"

#include <thread>

using namespace mlir;
using mlir::dsv2::Phase;
namespace cl = llvm::cl;

static cl::OptionCategory category("dsv2-compile options");

static cl::opt<std::string>
    source(cl::Positional, cl::Required, cl::value_desc("SOURCE"),
           cl::cat(category),
           cl::desc("<checkpoint directory, GGUF file (the first, if split), "
                    "config.json, model name, or .mlir file>"));
static cl::opt<std::string> output("o", cl::desc("Output file"),
                                   cl::value_desc("file"), cl::cat(category));
static cl::opt<std::string>
    target("target", cl::init("native"), cl::value_desc("name"),
           cl::desc("native, x86-64-v3, x86-64-v4, one instruction set "
                    "(amx, avx512-bf16-vnni, avx512, avx2), sm_90a (Hopper "
                    "GPUs), or reference"),
           cl::cat(category));
static cl::opt<std::string> weights(
    "weights", cl::value_desc("source"), cl::cat(category),
    cl::desc("checkpoint (default where there is one), random:SEED, or none "
             "(plan and kernels only)"));
static cl::opt<std::string>
    quantize("quantize", cl::init("none"), cl::value_desc("formats"),
             cl::desc("FORMAT or FORMAT:CLASS,..., such as int4:experts,int8; "
                      "one without a class is for the rest. Formats: int4, "
                      "int8 (groups of 32), fp8 (sm_90a; blocks of 128 x "
                      "128), bf16, keep. Classes: experts, shared, dense, "
                      "attention, up-projections, head. Also "
                      "none (as in SOURCE, the default) and mixed (experts "
                      "int4, the rest int8)"),
             cl::cat(category));
static cl::opt<std::string> attention(
    "attention", cl::init("auto"), cl::value_desc("form"), cl::cat(category),
    cl::desc("auto (the cheaper one in each phase), latent, or expanded"));
static cl::opt<std::string>
    cache("cache", cl::value_desc("format"),
          cl::desc("bf16 (default), int8 (CPUs) or fp8 (sm_90a; both: less "
                   "memory, faster over long contexts), or f32 (default of "
                   "reference)"),
          cl::cat(category));
static cl::opt<int64_t> maxContext(
    "max-context", cl::value_desc("tokens"), cl::cat(category),
    cl::desc("Tokens of one sequence (default: the model's, at most 32768)"));
static cl::opt<int64_t>
    maxBatchTokens("max-batch-tokens", cl::value_desc("tokens"),
                   cl::desc("New tokens of one step (default 512)"),
                   cl::cat(category));
static cl::opt<int64_t>
    maxSequences("max-sequences", cl::value_desc("count"),
                 cl::desc("Sequences of one step (default 16)"),
                 cl::cat(category));
static cl::opt<int64_t> contextChunk(
    "context-chunk", cl::value_desc("tokens"), cl::cat(category),
    cl::desc("Tokens of all contexts whose keys and values a GPU expands at a "
             "time (default: as many as 256 MiB hold, 1024 to 16384)"));
static cl::opt<Phase> compileTo(
    "compile-to", cl::init(Phase::artifact), cl::cat(category),
    cl::desc("Stop after a phase and print its IR:"),
    cl::values(
        clEnumValN(Phase::model, "model", "imported model IR"),
        clEnumValN(Phase::fuse, "fuse", "after target-independent rewrites"),
        clEnumValN(Phase::prepare, "prepare", "in the formats of the target"),
        clEnumValN(Phase::plan, "plan", "programs of dispatches"),
        clEnumValN(Phase::kernels, "kernels", "the kernels of the plan"),
        clEnumValN(Phase::artifact, "artifact", "the whole artifact")));
static cl::opt<std::string>
    dumpDirectory("dump-phases-to", cl::value_desc("directory"),
                  cl::desc("Write the IR of every phase there"),
                  cl::cat(category));
static cl::list<std::string> plugins("load-pass-plugin", cl::value_desc("file"),
                                     cl::desc("Load passes from a plugin"),
                                     cl::cat(category));
static cl::opt<std::string>
    ptxas("ptxas", cl::value_desc("file"), cl::cat(category),
          cl::desc("Assembler of GPU kernels, or none (default: the CUDA "
                   "toolkit's, where there is one)"));
static cl::opt<std::string>
    extraPasses("extra-passes", cl::value_desc("pipeline"),
                cl::desc("Passes to run after the built-in rewrites"),
                cl::cat(category));
static cl::opt<unsigned> threads("compile-threads", cl::init(0),
                                 cl::value_desc("count"),
                                 cl::desc("Threads (default: one a CPU)"),
                                 cl::cat(category));
static cl::opt<bool> quiet("q", cl::desc("Print errors only"),
                           cl::cat(category));

/// The value of an option that was given.
static std::optional<int64_t> given(const cl::opt<int64_t> &option) {
  if (option.getNumOccurrences() == 0)
    return std::nullopt;
  return option.getValue();
}

int main(int argc, char **argv) {
  mlir::dsv2::parseToolOptions(argc, argv, category,
                               "Compile a model to an artifact\n");
  DialectRegistry registry;
  registerAllPasses();
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<mlir::dsv2::DSV2Dialect>();
  mlir::dsv2::registerDSV2Passes();
  mlir::dsv2::registerDSV2ToLinalgPasses();
  mlir::dsv2::registerDSV2Pipelines();
  for (const std::string &path : plugins) {
    llvm::Expected<PassPlugin> plugin = PassPlugin::load(path);
    if (!plugin) {
      llvm::consumeError(plugin.takeError());
      return mlir::dsv2::reportError("dsv2-compile",
                                     "cannot load the pass plugin '" + path +
                                         "': expected a shared object with "
                                         "mlirGetPassPluginInfo for this LLVM");
    }
    plugin->registerPassRegistryCallbacks();
  }

  mlir::dsv2::CompileOptions options;
  options.source = source;
  options.output = output;
  options.target = target;
  options.weights = weights;
  options.quantize = quantize;
  options.attention = attention;
  options.cache = cache;
  options.ptxas = ptxas;
  options.extraPasses = extraPasses;
  options.dumpDirectory = dumpDirectory;
  options.stopAfter = compileTo;
  options.maxContext = given(maxContext);
  options.maxBatchTokens = given(maxBatchTokens);
  options.maxSequences = given(maxSequences);
  options.contextChunk = given(contextChunk);
  options.threads =
      threads ? threads : std::max(1u, std::thread::hardware_concurrency());
  options.quiet = quiet;
  return mlir::dsv2::compileModel(options, registry);
}
