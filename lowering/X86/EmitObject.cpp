//===- EmitObject.cpp - LLVM dialect to machine code ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/EmitObject.h"
#include "lowering/LLVM/Emission.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

namespace mlir::dsv2::x86 {
namespace {

constexpr llvm::StringLiteral targetTriple = "x86_64-unknown-linux-gnu";

std::unique_ptr<llvm::TargetMachine>
createTargetMachine(const InstructionSet &set, std::string &error) {
  llvm::Triple triple(targetTriple);
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, set.llvmCpu, set.llvmFeatures, llvm::TargetOptions(),
      llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Default));
}

/// The feature an x86 intrinsic needs; nullopt for one we do not use. LLVM
/// aborts the process when asked to select one the target lacks.
std::optional<uint64_t> featureOfIntrinsic(llvm::StringRef name) {
  constexpr std::pair<llvm::StringLiteral, uint64_t> prefixes[] = {
      {"llvm.x86.ldtilecfg", featureAmxTile},
      {"llvm.x86.tile", featureAmxTile},
      {"llvm.x86.tdpbf16ps", featureAmxBf16},
      {"llvm.x86.tdpb", featureAmxInt8},
      {"llvm.x86.avx512bf16.", featureAvx512bf16},
      {"llvm.x86.avx512.vpdp", featureAvx512vnni},
      {"llvm.x86.avx512.", featureAvx512f},
      {"llvm.x86.avx2.", featureAvx2},
      {"llvm.x86.avx.vnni", 0},
      {"llvm.x86.avx.", featureAvx2},
      {"llvm.x86.sse", featureAvx2},
      {"llvm.x86.ssse3", featureAvx2},
      {"llvm.x86.vcvtps2ph", featureF16c},
      {"llvm.x86.bmi.", featureBmi2},
  };
  for (const auto &[prefix, feature] : prefixes)
    if (name.starts_with(prefix))
      return feature ? std::optional(feature) : std::nullopt;
  return std::nullopt;
}

LogicalResult checkIntrinsics(ModuleOp source, const llvm::Module &module,
                              const InstructionSet &set) {
  for (const llvm::Function &function : module) {
    llvm::StringRef name = function.getName();
    if (!name.starts_with("llvm.x86."))
      continue;
    std::optional<uint64_t> feature = featureOfIntrinsic(name);
    if (!feature || (*feature & ~set.features))
      return source.emitError("expects only intrinsics of the instruction set ")
             << set.name << ", found " << name;
  }
  return success();
}

void setAttributes(llvm::Module &module, const InstructionSet &set) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", set.llvmCpu);
    function.addFnAttr("target-features", set.llvmFeatures);
    // Generated vectors have the full width already; loops get it too.
    if (set.hasAvx512())
      function.addFnAttr("prefer-vector-width", "512");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
}

} // namespace

void prepareObjectEmission(MLIRContext &context) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
}

FailureOr<ObjectFile> emitObject(ModuleOp source, const InstructionSet &set,
                                 bool dump) {
  llvm::LLVMContext context;
  forwardErrors(context, source, "the kernels");
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(source, context);
  if (!module)
    return source.emitError("expects kernels that translate to LLVM IR");
  if (failed(checkIntrinsics(source, *module, set)))
    return failure();

  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(set, error);
  if (!machine)
    return source.emitError("expects an LLVM with an x86 back end, found: ")
           << error;
  module->setDataLayout(machine->createDataLayout());
  module->setTargetTriple(machine->getTargetTriple());
  setAttributes(*module, set);
  optimize(*module, *machine, llvm::OptimizationLevel::O2);

  ObjectFile result;
  if (dump) {
    llvm::raw_string_ostream stream(result.llvmIR);
    module->print(stream, nullptr);
    llvm::SmallVector<char, 0> text;
    std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*module);
    if (emitFile(*copy, *machine, llvm::CodeGenFileType::AssemblyFile, text))
      result.assembly.assign(text.begin(), text.end());
  }
  if (!emitFile(*module, *machine, llvm::CodeGenFileType::ObjectFile,
                result.bytes))
    return source.emitError("expects an LLVM that can emit x86 objects");
  if (context.getDiagHandlerPtr()->HasErrors)
    return failure();
  return result;
}

} // namespace mlir::dsv2::x86
