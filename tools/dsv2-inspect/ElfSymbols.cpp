//===- ElfSymbols.cpp - Sizes of the functions of a library ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-inspect/ElfSymbols.h"

#include <cstring>
#include <optional>
#include <string_view>

#include <elf.h>

using namespace dsv2;

namespace {

/// Reads within bounds only: a library may be damaged or foreign.
class Reader {
public:
  explicit Reader(std::span<const std::byte> bytes) : bytes(bytes) {}

  template <typename T>
  std::optional<T> at(uint64_t offset) const {
    if (offset > bytes.size() || sizeof(T) > bytes.size() - offset)
      return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }

  std::string_view textAt(uint64_t offset) const {
    if (offset >= bytes.size())
      return {};
    const char *text = reinterpret_cast<const char *>(bytes.data()) + offset;
    return {text, ::strnlen(text, bytes.size() - offset)};
  }

private:
  std::span<const std::byte> bytes;
};

} // namespace

std::map<std::string, uint64_t>
dsv2::elfFunctionSizes(std::span<const std::byte> object) {
  std::map<std::string, uint64_t> sizes;
  Reader reader(object);
  auto header = reader.at<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 ||
      header->e_ident[EI_DATA] != ELFDATA2LSB)
    return sizes;
  auto sectionAt = [&](uint64_t index) {
    return reader.at<Elf64_Shdr>(header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (uint64_t index = 0; index < header->e_shnum; ++index) {
    auto section = sectionAt(index);
    if (!section || section->sh_type != SHT_DYNSYM)
      continue;
    auto names = sectionAt(section->sh_link);
    if (!names)
      continue;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section->sh_size;
         at += sizeof(Elf64_Sym)) {
      auto symbol = reader.at<Elf64_Sym>(section->sh_offset + at);
      if (!symbol)
        break;
      if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
          symbol->st_shndx != SHN_UNDEF)
        sizes.emplace(reader.textAt(names->sh_offset + symbol->st_name),
                      symbol->st_size);
    }
  }
  return sizes;
}
