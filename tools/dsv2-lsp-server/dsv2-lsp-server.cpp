//===- dsv2-lsp-server.cpp - Editor support for .mlir files ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Plan/PlanDialect.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<mlir::dsv2::DSV2Dialect, mlir::dsv2::plan::PlanDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
