//===- DSV2Plugin.cpp - The dialect and its passes for mlir-opt -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// `mlir-opt --load-dialect-plugin=DSV2Plugin.so
// --load-pass-plugin=DSV2Plugin.so` is a dsv2-opt.
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"
#include "passes/Passes.h"

#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"

using namespace mlir;

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {
      MLIR_PLUGIN_API_VERSION, "DSV2", LLVM_VERSION_STRING,
      [](DialectRegistry *registry) { registry->insert<dsv2::DSV2Dialect>(); }};
}

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "DSV2Passes", LLVM_VERSION_STRING,
          [] { dsv2::registerDSV2Passes(); }};
}
