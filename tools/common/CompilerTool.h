//===- CompilerTool.h - What the compiler's programs share ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_COMMON_COMPILERTOOL_H
#define DSV2_TOOLS_COMMON_COMPILERTOOL_H

#include "runtime/base/Status.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/CommandLine.h"

namespace mlir::dsv2 {

/// Parses the command line, showing only the options of `category` in --help.
/// Exits with status 1 and one line on a bad option.
void parseToolOptions(int argc, char **argv, llvm::cl::OptionCategory &category,
                      llvm::StringRef overview);

/// Prints `tool: error: message` and returns the exit status, 1.
int reportError(llvm::StringRef tool, const llvm::Twine &message);

/// Reports the first error in a context as reportError() does, after its place
/// in a file if it has one. Errors after it follow from it, and notes and
/// remarks are for dsv2-opt.
class FirstErrorReporter : public ScopedDiagnosticHandler {
public:
  FirstErrorReporter(MLIRContext *context, llvm::StringRef tool);

private:
  bool reported = false;
};

/// Writes a whole file or, on failure, leaves what was there; "-" is stdout,
/// and devices are written to directly.
::dsv2::Status writeText(llvm::StringRef path, llvm::StringRef text);

} // namespace mlir::dsv2

#endif // DSV2_TOOLS_COMMON_COMPILERTOOL_H
