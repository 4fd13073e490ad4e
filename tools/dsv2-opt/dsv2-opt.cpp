//===- dsv2-opt.cpp - The optimizer driver --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"
#include "lowering/DSV2ToLinalg/Passes.h"
#include "lowering/NVPTXPlan/Passes.h"
#include "lowering/Pipelines/Pipelines.h"
#include "lowering/Plan/Passes.h"
#include "lowering/X86Plan/Passes.h"
#include "passes/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::registerAllPasses();
  mlir::dsv2::registerDSV2Passes();
  mlir::dsv2::registerDSV2ToLinalgPasses();
  mlir::dsv2::registerDSV2NVPTXPasses();
  mlir::dsv2::registerDSV2X86Passes();
  mlir::dsv2::plan::registerDSV2PlanPasses();
  mlir::dsv2::registerDSV2Pipelines();

  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<mlir::dsv2::DSV2Dialect, mlir::dsv2::plan::PlanDialect>();
  mlir::dsv2::registerDecompositionExternalModels(registry);

  return mlir::asMainReturnCode(mlir::MlirOptMain(
      argc, argv, "DeepSeek-V2 optimizer driver\n", registry));
}
