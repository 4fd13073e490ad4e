//===- Ptxas.h - NVIDIA's assembler as a program ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The libraries that assemble PTX ignore setmaxnreg, so ptxas is run as a
// program. What it reports is the only measure of a kernel on a machine that
// has no GPU.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_NVPTX_PTXAS_H
#define DSV2_LOWERING_NVPTX_PTXAS_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlir::dsv2::nvptx {

/// What ptxas -v says about a kernel.
struct Resources {
  int64_t registers = 0; ///< of a thread
  int64_t barriers = 0;
  int64_t sharedBytes = 0; ///< static
  int64_t stackBytes = 0;  ///< of a thread, with spills
  int64_t spillStores = 0; ///< bytes
  int64_t spillLoads = 0;
};

struct Assembly {
  std::vector<char> cubin;
  Resources resources;
  /// Warnings, and the notes (C7500 and up) of lost performance, a line each.
  std::vector<std::string> warnings;
};

/// The ptxas found when dsv2 was configured, or the toolkit's usual place;
/// empty when there is none.
std::string defaultPtxas();

/// Assembles a PTX module with one entry. On failure `error` holds one line.
FailureOr<Assembly> assemble(llvm::StringRef ptxas, llvm::StringRef chip,
                             llvm::StringRef ptx, std::string &error);

/// Reads the output of ptxas -v.
void parseReport(llvm::StringRef output, Assembly &assembly);

/// Blocks of a kernel that an SM of sm_90 holds at once.
int64_t blocksPerSM(const Resources &resources, int64_t threads,
                    int64_t dynamicSharedBytes);

} // namespace mlir::dsv2::nvptx

#endif // DSV2_LOWERING_NVPTX_PTXAS_H
