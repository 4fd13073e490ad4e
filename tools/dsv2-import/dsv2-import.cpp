//===- dsv2-import.cpp - Print the model IR of a checkpoint or config -----===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/builder/ImportModel.h"
#include "tools/common/CompilerTool.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;
namespace cl = llvm::cl;

static cl::OptionCategory category("dsv2-import options");
static cl::opt<std::string>
    sourceName(cl::Positional, cl::Required, cl::value_desc("SOURCE"),
               cl::desc("<checkpoint directory, GGUF file, config.json, or "
                        "model name>"),
               cl::cat(category));
static cl::opt<std::string> outputName("o", cl::desc("Output file"),
                                       cl::value_desc("file"), cl::init("-"),
                                       cl::cat(category));

static cl::opt<mlir::dsv2::CacheElement>
    cache("cache", cl::init(mlir::dsv2::CacheElement::bf16), cl::cat(category),
          cl::desc("What rows of the cache hold:"),
          cl::values(clEnumValN(mlir::dsv2::CacheElement::f32, "f32", "f32"),
                     clEnumValN(mlir::dsv2::CacheElement::bf16, "bf16", "bf16"),
                     clEnumValN(mlir::dsv2::CacheElement::int8, "int8",
                                "int8 latents with scales, bf16 keys"),
                     clEnumValN(mlir::dsv2::CacheElement::fp8, "fp8",
                                "e4m3 latents with scales, bf16 keys")));

int main(int argc, char **argv) {
  mlir::dsv2::parseToolOptions(
      argc, argv, category, "Print the model IR of a checkpoint or config\n");

  auto source = mlir::dsv2::openModelSource(sourceName);
  if (!source.ok())
    return mlir::dsv2::reportError("dsv2-import", source.status().message());

  if (source->gguf)
    for (const std::string &note : source->gguf->notes())
      llvm::errs() << "dsv2-import: note: " << sourceName << ": " << note
                   << "\n";

  MLIRContext context;
  OwningOpRef<ModuleOp> module =
      mlir::dsv2::importModel(&context, *source, cache);
  std::string text;
  llvm::raw_string_ostream(text) << *module << "\n";
  auto status = mlir::dsv2::writeText(outputName, text);
  if (!status.ok())
    return mlir::dsv2::reportError("dsv2-import", status.message());
  return 0;
}
