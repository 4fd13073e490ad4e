//===- LinkObject.cpp - Relocatable objects to a shared one ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/EmitObject.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::dsv2::x86 {
namespace {

std::string firstLine(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return "no message";
  llvm::StringRef line = (*buffer)->getBuffer().split('\n').first;
  return line.empty() ? "no message" : line.str();
}

/// Whether a kernel may call `name`: memory and mathematics, for which libc and
/// libm stand. LLVM also knows support functions that nobody may provide.
bool isStandardFunction(llvm::StringRef name) {
  static constexpr llvm::StringLiteral memory[] = {
      "aligned_alloc", "free", "malloc", "memcpy", "memmove", "memset"};
  static constexpr llvm::StringLiteral mathematics[] = {
      "acos",  "acosh", "asin",  "asinh", "atan",      "atan2", "atanh",
      "cbrt",  "ceil",  "cos",   "cosh",  "erf",       "erfc",  "exp",
      "exp2",  "expm1", "floor", "fma",   "fmod",      "log",   "log10",
      "log1p", "log2",  "pow",   "round", "roundeven", "sin",   "sinh",
      "sqrt",  "tan",   "tanh",  "trunc"};
  if (llvm::is_contained(memory, name))
    return true;
  llvm::StringRef base = name;
  return llvm::is_contained(mathematics, name) ||
         (base.consume_back("f") && llvm::is_contained(mathematics, base));
}

} // namespace

FailureOr<std::vector<char>>
linkSharedObject(llvm::ArrayRef<llvm::StringRef> objects,
                 llvm::StringRef linker, std::string &error) {
  llvm::SmallString<128> folder;
  if (std::error_code code =
          llvm::sys::fs::createUniqueDirectory("dsv2-link", folder)) {
    error = "expected to create a temporary folder, found: " + code.message();
    return failure();
  }
  llvm::scope_exit cleanup([&] { llvm::sys::fs::remove_directories(folder); });
  auto pathOf = [&](const llvm::Twine &name) {
    llvm::SmallString<128> path = folder;
    llvm::sys::path::append(path, name);
    return path.str().str();
  };

  std::string output = pathOf("kernels.so"), log = pathOf("log");
  std::vector<std::string> words = {
      linker.str(),      "-shared",       "-o", output,
      "--build-id=none", "--gc-sections", "-z", "noexecstack"};
  for (auto [i, bytes] : llvm::enumerate(objects)) {
    words.push_back(pathOf("part" + llvm::Twine(i) + ".o"));
    std::error_code code;
    llvm::raw_fd_ostream file(words.back(), code);
    file << bytes;
    file.close();
    if (code || file.has_error()) {
      error = "expected to write '" + words.back() +
              "', found: " + (code ? code : file.error()).message();
      file.clear_error();
      return failure();
    }
  }

  llvm::SmallVector<llvm::StringRef> arguments(words.begin(), words.end());
  std::string problem;
  std::optional<llvm::StringRef> redirects[] = {
      llvm::StringRef(""), llvm::StringRef(log), llvm::StringRef(log)};
  int status = llvm::sys::ExecuteAndWait(linker, arguments, std::nullopt,
                                         redirects, 0, 0, &problem);
  if (status != 0) {
    error = "expected '" + linker.str() + "' to link the kernels, found: " +
            (problem.empty() ? firstLine(log) : problem) +
            "; install lld or name another linker";
    return failure();
  }
  auto buffer = llvm::MemoryBuffer::getFile(output, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer) {
    error = "expected '" + linker.str() +
            "' to write a shared object, found: " + buffer.getError().message();
    return failure();
  }
  return std::vector<char>((*buffer)->getBufferStart(),
                           (*buffer)->getBufferEnd());
}

FailureOr<std::vector<std::pair<std::string, uint64_t>>>
functionSizes(llvm::StringRef object, std::string &error) {
  auto describe = [&](llvm::Error problem) {
    error =
        "expected an ELF object, found: " + llvm::toString(std::move(problem));
    return failure();
  };
  auto file = llvm::object::ObjectFile::createELFObjectFile(
      llvm::MemoryBufferRef(object, "kernels"));
  if (!file)
    return describe(file.takeError());
  std::vector<std::pair<std::string, uint64_t>> sizes;
  for (llvm::object::ELFSymbolRef symbol :
       llvm::cast<llvm::object::ELFObjectFileBase>(file->get())->symbols()) {
    auto name = symbol.getName();
    if (!name)
      return describe(name.takeError());
    auto flags = symbol.getFlags();
    if (!flags)
      return describe(flags.takeError());
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) && !name->empty() &&
        !isStandardFunction(*name)) {
      error =
          "expected kernels that call only libc and libm, found a call of '" +
          name->str() + "'";
      return failure();
    }
    if (symbol.getELFType() == llvm::ELF::STT_FUNC && symbol.getSize() != 0)
      sizes.emplace_back(name->str(), symbol.getSize());
  }
  return sizes;
}

} // namespace mlir::dsv2::x86
