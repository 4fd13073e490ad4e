//===- SassOpcodes.cpp - Machine instructions of a cubin ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/SassOpcodes.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/Endian.h"

namespace dsv2::test {
namespace {

std::string nameOf(unsigned opcode) {
  static const std::map<unsigned, const char *> names = {
      {0x9f0, "HGMMA"},
      {0xdf0, "HGMMA"},
      {0x9f3, "QGMMA"},
      {0x9f1, "IGMMA"},
      {0x5b4, "UTMALDG"},
      {0x3b4, "UTMALDG"},
      {0x3b5, "UTMASTG"},
      {0x3b6, "UTMAREDG"},
      {0x5b8, "UTMAPF"},
      {0x3ba, "UBLKCP"},
      {0x5b2, "SYNCS.EXCH"},
      {0x9a7, "SYNCS.ARRIVE"},
      {0x5a7, "SYNCS.PHASECHK"},
      {0x9c8, "USETMAXREG"},
      {0x83b, "LDSM"},
      {0x844, "STSM"},
      {0xfae, "LDGSTS"},
      {0x23c, "HMMA"},
      {0x82f, "ELECT"},
      {0x82e, "ACQBULK"},
      {0x82d, "PREEXIT"},
      {0x986, "STG"},
      {0x981, "LDG"},
      {0x984, "LDS"},
      {0xb1d, "BAR"},
      {0x589, "SHFL"},
      {0xf89, "SHFL"},
      {0x23e, "F2FP"},
      {0xc3e, "F2FP"},
  };
  auto known = names.find(opcode);
  return known != names.end() ? known->second
                              : "0x" + llvm::utohexstr(opcode, true);
}

} // namespace

std::vector<std::string> sassOpcodes(const std::vector<char> &cubin) {
  std::vector<std::string> opcodes;
  auto file = llvm::object::ELF64LEFile::create(
      llvm::StringRef(cubin.data(), cubin.size()));
  if (!file) {
    llvm::consumeError(file.takeError());
    return opcodes;
  }
  auto sections = file->sections();
  if (!sections) {
    llvm::consumeError(sections.takeError());
    return opcodes;
  }
  for (const auto &section : *sections) {
    auto name = file->getSectionName(section);
    auto contents = file->getSectionContents(section);
    if (!name || !contents) {
      llvm::consumeError(name.takeError());
      llvm::consumeError(contents.takeError());
      continue;
    }
    if (!name->starts_with(".text."))
      continue;
    for (size_t i = 0; i + 16 <= contents->size(); i += 16)
      opcodes.push_back(nameOf(
          llvm::support::endian::read64le(contents->data() + i) & 0xfff));
  }
  return opcodes;
}

std::map<std::string, int> countSassOpcodes(const std::vector<char> &cubin,
                                            const std::string &before) {
  std::map<std::string, int> counts;
  std::vector<std::string> opcodes = sassOpcodes(cubin);
  if (!before.empty())
    while (!opcodes.empty() && opcodes.back() != before)
      opcodes.pop_back();
  for (const std::string &name : opcodes)
    ++counts[name];
  return counts;
}

} // namespace dsv2::test
