//===- CompilerTool.h - What the compiler's programs share ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_COMMON_COMPILERTOOL_H
#define DSV2_TOOLS_COMMON_COMPILERTOOL_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/CommandLine.h"

namespace mlir::dsv2 {

/// Parses the command line, showing only the options of `category` in --help.
/// Exits with status 1 and one line on a bad option.
void parseToolOptions(int argc, char **argv, llvm::cl::OptionCategory &category,
                      llvm::StringRef overview);

/// Prints `tool: error: message` and returns the exit status, 1.
int reportError(llvm::StringRef tool, const llvm::Twine &message);

} // namespace mlir::dsv2

#endif // DSV2_TOOLS_COMMON_COMPILERTOOL_H
