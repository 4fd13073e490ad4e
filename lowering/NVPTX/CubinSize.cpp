//===- CubinSize.cpp - Bytes of machine code in a cubin -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/CubinSize.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Object/ELF.h"

namespace mlir::dsv2::nvptx {

uint64_t codeBytes(const std::vector<char> &cubin) {
  auto file = llvm::object::ELF64LEFile::create(
      llvm::StringRef(cubin.data(), cubin.size()));
  if (!file) {
    llvm::consumeError(file.takeError());
    return 0;
  }
  auto sections = file->sections();
  if (!sections) {
    llvm::consumeError(sections.takeError());
    return 0;
  }
  uint64_t bytes = 0;
  for (const auto &section : *sections) {
    auto name = file->getSectionName(section);
    if (!name)
      llvm::consumeError(name.takeError());
    else if (name->starts_with(".text."))
      bytes += section.sh_size;
  }
  return bytes;
}

} // namespace mlir::dsv2::nvptx
