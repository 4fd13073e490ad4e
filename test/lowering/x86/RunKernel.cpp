//===- RunKernel.cpp - Compiling and calling one kernel -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/x86/RunKernel.h"
#include "test/lowering/x86/TileEmulator.h"

#include "lowering/X86/Codegen.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/IR/OwningOpRef.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace dsv2::test {

using namespace mlir;

Kernel::Kernel(const InstructionSet &set, const Emit &emit) {
  context.loadDialect<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect,
                      math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                      vector::VectorDialect, x86vector::X86VectorDialect>();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  KernelInfo info = emit(*module, set);
  workgroups = info.workgroups;
  std::string symbol = info.func.getSymName().str();
  auto compiled = mlir::dsv2::x86::compileKernels(*module, set);
  if (failed(compiled)) {
    ADD_FAILURE() << "the kernel does not compile";
    return;
  }
  file = memfd_create(symbol.c_str(), MFD_CLOEXEC);
  const std::vector<char> &object = compiled->object;
  if (write(file, object.data(), object.size()) !=
      static_cast<ssize_t>(object.size()))
    ADD_FAILURE() << "cannot write the kernel library";
  std::string path = "/proc/self/fd/" + std::to_string(file);
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    ADD_FAILURE() << dlerror();
    return;
  }
  function = reinterpret_cast<Function>(dlsym(library, symbol.c_str()));
  if (!function)
    ADD_FAILURE() << "no symbol " << symbol;
}

Kernel::~Kernel() {
  if (library)
    dlclose(library);
  if (file >= 0)
    close(file);
}

int64_t Kernel::workgroupCount(Dims dims) const {
  const int64_t sizes[] = {1, dims.tokens, dims.sequences, dims.context,
                           dims.logitRows};
  int64_t size = sizes[static_cast<int>(workgroups.dim)];
  return workgroups.count * ((size + workgroups.tile - 1) / workgroups.tile);
}

int64_t Kernel::totalCount(const std::vector<void *> &bindings,
                           Dims dims) const {
  int64_t count = workgroupCount(dims);
  if (workgroups.indirectBinding >= 0)
    count *= *static_cast<int32_t *>(bindings[workgroups.indirectBinding]);
  return count;
}

void Kernel::operator()(std::vector<void *> bindings, Dims dims) const {
  if (!function)
    return;
  const int64_t sizes[] = {dims.tokens, dims.sequences, dims.context,
                           dims.logitRows};
  for (int64_t i = totalCount(bindings, dims); i-- > 0;)
    function(bindings.data(), sizes, i);
}

void Kernel::runInOrder(std::vector<void *> bindings, Dims dims) const {
  if (!function)
    return;
  const int64_t sizes[] = {dims.tokens, dims.sequences, dims.context,
                           dims.logitRows};
  int64_t count = totalCount(bindings, dims);
  for (int64_t i = 0; i < count; ++i)
    function(bindings.data(), sizes, i);
}

std::vector<InstructionSet> hostSets() {
  std::vector<InstructionSet> result;
  for (const InstructionSet &set : mlir::dsv2::x86::allInstructionSets())
    if (runsOn(set, mlir::dsv2::x86::hostFeatures()))
      result.push_back(set);
  return result;
}

std::vector<InstructionSet> productSets() {
  using namespace mlir::dsv2::x86;
  constexpr uint64_t tiles = featureAmxTile | featureAmxInt8 | featureAmxBf16;
  std::vector<InstructionSet> result;
  for (const InstructionSet &set : allInstructionSets())
    if (runsOn(set, hostFeatures() | tiles))
      result.push_back(set);
  emulateTiles();
  return result;
}

std::string setName(const InstructionSet &set) {
  std::string name = set.name.str();
  for (char &c : name)
    if (c == '-')
      c = '_';
  return name;
}

std::vector<uint16_t> toBf16(const std::vector<float> &values) {
  std::vector<uint16_t> result;
  for (float value : values)
    result.push_back(toBf16(value));
  return result;
}

} // namespace dsv2::test
