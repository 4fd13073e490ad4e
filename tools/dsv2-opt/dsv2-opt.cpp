//===- dsv2-opt.cpp - The optimizer driver --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"
#include "lowering/DSV2ToLinalg/Passes.h"
#include "passes/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::registerAllPasses();
  mlir::dsv2::registerDSV2Passes();
  mlir::dsv2::registerDSV2ToLinalgPasses();

  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<mlir::dsv2::DSV2Dialect>();

  return mlir::asMainReturnCode(mlir::MlirOptMain(
      argc, argv, "DeepSeek-V2 optimizer driver\n", registry));
}
