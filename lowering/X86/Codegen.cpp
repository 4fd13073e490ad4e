//===- Codegen.cpp - Kernels to a shared object ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/Codegen.h"
#include "lowering/LLVM/Emission.h"
#include "lowering/X86/EmitObject.h"
#include "lowering/X86/Kernel.h"
#include "lowering/X86/LowerToLLVM.h"

#include "mlir/IR/Threading.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::dsv2::x86 {
namespace {

struct Partition {
  OwningOpRef<ModuleOp> module;
  int64_t operations = 0;
  ObjectFile object;
};

/// Splits the kernels evenly by size; everything they may call is copied into
/// every part.
std::vector<Partition> partition(ModuleOp kernels, unsigned count) {
  std::vector<Partition> parts(std::max(count, 1u));
  for (Partition &part : parts)
    part.module = ModuleOp::create(kernels.getLoc());
  for (Operation &op : *kernels.getBody()) {
    if (!op.hasAttr(kernelAttrName)) {
      for (Partition &part : parts) {
        Operation *copy = op.clone();
        if (isa<SymbolOpInterface>(copy))
          SymbolTable::setSymbolVisibility(copy,
                                           SymbolTable::Visibility::Private);
        part.module->push_back(copy);
      }
      continue;
    }
    auto smallest = llvm::min_element(
        parts, [](auto &a, auto &b) { return a.operations < b.operations; });
    op.walk([&](Operation *) { ++smallest->operations; });
    smallest->module->push_back(op.clone());
  }
  llvm::erase_if(parts, [](Partition &part) { return part.operations == 0; });
  return parts;
}

LogicalResult compile(Partition &part, const InstructionSet &set,
                      const CodegenOptions &options) {
  PassManager pm(part.module->getContext());
  buildLowerToLLVMPipeline(pm, set, options.approximateMath);
  if (failed(pm.run(*part.module)) || failed(addExportedWrappers(*part.module)))
    return failure();
  FailureOr<ObjectFile> object = emitObject(*part.module, set, options.dump);
  if (failed(object))
    return failure();
  part.object = std::move(*object);
  return success();
}

LogicalResult measureKernels(ModuleOp kernels, KernelLibrary &library) {
  std::string error;
  auto sizes = functionSizes(
      StringRef(library.object.data(), library.object.size()), error);
  if (failed(sizes))
    return kernels.emitError(error);
  llvm::StringMap<uint64_t> bySymbol;
  for (auto &[name, bytes] : *sizes)
    bySymbol[name] = bytes;
  for (auto func : kernels.getOps<func::FuncOp>())
    if (func->hasAttr(kernelAttrName))
      library.codeBytes.emplace_back(func.getSymName().str(),
                                     bySymbol.lookup(func.getSymName()));
  return success();
}

} // namespace

FailureOr<KernelLibrary> compileKernels(ModuleOp kernels,
                                        const InstructionSet &set,
                                        const CodegenOptions &options) {
  MLIRContext &context = *kernels.getContext();
  prepareObjectEmission(context);
  OpPassManager pipeline(ModuleOp::getOperationName());
  buildLowerToLLVMPipeline(pipeline, set, options.approximateMath);
  loadDialects(pipeline, context);

  std::vector<Partition> parts = partition(kernels, options.partitions);
  if (failed(failableParallelForEach(&context, parts, [&](Partition &part) {
        return compile(part, set, options);
      })))
    return failure();

  KernelLibrary library;
  SmallVector<StringRef> objects;
  for (Partition &part : parts) {
    objects.push_back({part.object.bytes.data(), part.object.bytes.size()});
    library.llvmIR += part.object.llvmIR;
    library.assembly += part.object.assembly;
  }
  std::string error;
  StringRef linker = options.linker.empty() ? StringRef(DSV2_LLD_PATH)
                                            : StringRef(options.linker);
  auto linked = linkSharedObject(objects, linker, error);
  if (failed(linked))
    return kernels.emitError(error);
  library.object = std::move(*linked);
  if (failed(measureKernels(kernels, library)))
    return failure();
  return library;
}

} // namespace mlir::dsv2::x86
