//===- SassOpcodes.h - Machine instructions of a cubin ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_SASSOPCODES_H
#define DSV2_TEST_LOWERING_NVPTX_SASSOPCODES_H

#include <map>
#include <string>
#include <vector>

namespace dsv2::test {

/// The instructions of a cubin's kernels by name, in their order. An
/// instruction of sm_90 has 16 bytes, its operation in the lowest 12 bits. The
/// few names known here were found by assembling kernels of one operation each;
/// other operations are named by their number ("0x919").
std::vector<std::string> sassOpcodes(const std::vector<char> &cubin);

/// How many of each name there are; with `before`, only up to the last of that
/// name.
std::map<std::string, int> countSassOpcodes(const std::vector<char> &cubin,
                                            const std::string &before = "");

} // namespace dsv2::test

#endif // DSV2_TEST_LOWERING_NVPTX_SASSOPCODES_H
