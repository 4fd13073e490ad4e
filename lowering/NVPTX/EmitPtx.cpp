//===- EmitPtx.cpp - LLVM dialect to PTX ----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/EmitPtx.h"
#include "lowering/LLVM/Emission.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

namespace mlir::dsv2::nvptx {
namespace {

constexpr llvm::StringLiteral targetTriple = "nvptx64-nvidia-cuda";

/// PTX 8.1 is what drivers from CUDA 12.1 on compile.
constexpr llvm::StringLiteral targetFeatures = "+ptx81";

/// NVPTX intrinsics that sm_90a has, by prefix. LLVM aborts the process when
/// asked to select one the target lacks.
constexpr llvm::StringLiteral knownIntrinsics[] = {
    "llvm.nvvm.activemask",
    "llvm.nvvm.bar",
    "llvm.nvvm.cp.async.",
    "llvm.nvvm.cp.reduce.async.bulk.",
    "llvm.nvvm.d2f.",
    "llvm.nvvm.e4m3x2.to.f16x2",
    "llvm.nvvm.e5m2x2.to.f16x2",
    "llvm.nvvm.elect.sync",
    "llvm.nvvm.ex2.approx",
    "llvm.nvvm.f2bf16.",
    "llvm.nvvm.fabs.",
    "llvm.nvvm.fence.",
    "llvm.nvvm.ff.to.e4m3x2",
    "llvm.nvvm.ff.to.e5m2x2",
    "llvm.nvvm.ff2bf16x2.",
    "llvm.nvvm.fma.",
    "llvm.nvvm.griddepcontrol.",
    "llvm.nvvm.idp4a.",
    "llvm.nvvm.isspacep.",
    "llvm.nvvm.ldmatrix.",
    "llvm.nvvm.lg2.approx",
    "llvm.nvvm.mapa",
    "llvm.nvvm.match.",
    "llvm.nvvm.mbarrier.",
    "llvm.nvvm.membar.",
    "llvm.nvvm.mma.m16n8k",
    "llvm.nvvm.nanosleep",
    "llvm.nvvm.prefetch",
    "llvm.nvvm.prmt",
    "llvm.nvvm.rcp.approx.ftz.",
    "llvm.nvvm.read.ptx.sreg.",
    "llvm.nvvm.redux.sync.a",
    "llvm.nvvm.redux.sync.max",
    "llvm.nvvm.redux.sync.min",
    "llvm.nvvm.redux.sync.o",
    "llvm.nvvm.redux.sync.u",
    "llvm.nvvm.redux.sync.x",
    "llvm.nvvm.rsqrt.approx.",
    "llvm.nvvm.setmaxnreg.",
    "llvm.nvvm.shfl.sync.",
    "llvm.nvvm.sqrt.",
    "llvm.nvvm.stmatrix.",
    "llvm.nvvm.vote.",
    "llvm.nvvm.wgmma.",
};

/// Refuses intrinsics that are not known, and calls that nothing defines.
LogicalResult checkDeclarations(ModuleOp source, const llvm::Module &module) {
  for (const llvm::Function &function : module) {
    llvm::StringRef name = function.getName();
    if (!function.isDeclaration())
      continue;
    if (!name.starts_with("llvm."))
      return source.emitError("expects kernels to call only what their module "
                              "defines, found a call of ")
             << name;
    if (name.starts_with("llvm.nvvm.") &&
        llvm::none_of(knownIntrinsics, [&](llvm::StringRef prefix) {
          return name.starts_with(prefix);
        }))
      return source.emitError("expects only intrinsics that sm_90a has, found ")
             << name;
  }
  return success();
}

/// Inline PTX like stmatrix or a barrier needs all lanes of a warp at one
/// place. LLVM would copy it into both ways of a branch that some lanes take.
void markCollectives(llvm::Module &module) {
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function)) {
      auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction);
      if (!call || !call->isInlineAsm())
        continue;
      auto *text = llvm::cast<llvm::InlineAsm>(call->getCalledOperand());
      if (text->hasSideEffects() || text->getAsmString().contains(".sync"))
        call->setConvergent();
    }
}

} // namespace

void preparePtxEmission(MLIRContext &context) {
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  registerNVVMDialectTranslation(context);
}

LogicalResult checkOperations(ModuleOp module, StringRef chip) {
  auto version = NVVM::NVVMCheckSMVersion::getTargetSMVersionFromStr(chip);
  WalkResult result = module.walk([&](Operation *op) -> WalkResult {
    auto needs = dyn_cast<NVVM::RequiresSMInterface>(op);
    if (needs && !needs.getRequiredMinSMVersion().isCompatibleWith(version))
      return op->emitOpError("expects an operation that ")
             << chip << " has; this one needs another architecture";
    return WalkResult::advance();
  });
  return success(!result.wasInterrupted());
}

FailureOr<std::string> emitPtx(ModuleOp source, StringRef chip) {
  llvm::LLVMContext context;
  forwardErrors(context, source, "the kernel");
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(source, context);
  if (!module)
    return source.emitError("expects a kernel that translates to LLVM IR");
  if (failed(checkDeclarations(source, *module)))
    return failure();

  llvm::Triple triple(targetTriple);
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  std::unique_ptr<llvm::TargetMachine> machine;
  if (target)
    machine.reset(target->createTargetMachine(
        triple, chip, targetFeatures, llvm::TargetOptions(), llvm::Reloc::PIC_,
        std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return source.emitError("expects an LLVM with an NVPTX back end, found: ")
           << error;
  module->setDataLayout(machine->createDataLayout());
  module->setTargetTriple(triple);
  for (llvm::Function &function : *module)
    if (!function.isDeclaration())
      function.addFnAttr(llvm::Attribute::NoUnwind);
  markCollectives(*module);
  optimize(*module, *machine, llvm::OptimizationLevel::O3);

  llvm::SmallVector<char, 0> text;
  if (!emitFile(*module, *machine, llvm::CodeGenFileType::AssemblyFile, text))
    return source.emitError("expects an LLVM that can print PTX");
  if (context.getDiagHandlerPtr()->HasErrors)
    return failure();
  return std::string(text.begin(), text.end());
}

} // namespace mlir::dsv2::nvptx
