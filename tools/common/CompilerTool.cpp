//===- CompilerTool.cpp - What the compiler's programs share --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/CompilerTool.h"

#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

#ifndef DSV2_VERSION
#error "the build defines DSV2_VERSION"
#endif

using namespace llvm;

void mlir::dsv2::parseToolOptions(int argc, char **argv,
                                  cl::OptionCategory &category,
                                  StringRef overview) {
  cl::HideUnrelatedOptions(category);
  cl::SetVersionPrinter([](raw_ostream &os) {
    os << "dsv2 " DSV2_VERSION " (LLVM " LLVM_VERSION_STRING ")\n";
  });
  cl::ParseCommandLineOptions(argc, argv, overview);
}

int mlir::dsv2::reportError(StringRef tool, const Twine &message) {
  WithColor::error(errs(), tool) << message << "\n";
  return 1;
}
