//===- ElfSymbols.h - Sizes of the functions of a library -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_INSPECT_ELFSYMBOLS_H
#define DSV2_TOOLS_INSPECT_ELFSYMBOLS_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace dsv2 {

/// Bytes of code by dynamic symbol; empty for what is no 64-bit ELF object. The
/// object may be of another architecture.
std::map<std::string, uint64_t>
elfFunctionSizes(std::span<const std::byte> object);

} // namespace dsv2

#endif // DSV2_TOOLS_INSPECT_ELFSYMBOLS_H
