//===- CubinSize.h - Bytes of machine code in a cubin -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_CUBINSIZE_H
#define DSV2_LOWERING_NVPTX_CUBINSIZE_H

#include <cstdint>
#include <vector>

namespace mlir::dsv2::nvptx {

/// Bytes of the kernels' machine code; 0 when it is no ELF file.
uint64_t codeBytes(const std::vector<char> &cubin);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_CUBINSIZE_H
