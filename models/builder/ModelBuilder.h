//===- ModelBuilder.h - Model IR from a config -----------------------*- C++
//-*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Makes the `@forward` function of any model that a Config describes, in the
// expanded form of attention. Whatever a variant changes is in its config;
// nothing here knows a model by name.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_BUILDER_MODELBUILDER_H
#define DSV2_MODELS_BUILDER_MODELBUILDER_H

#include "models/Config.h"
#include "models/TensorSource.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <functional>

namespace mlir::dsv2 {

/// What the rows of the cache hold.
enum class CacheElement { f32, bf16, int8, fp8 };

struct BuilderOptions {
  /// Where the weights come from: a checkpoint directory or the name of a
  /// built-in config. Becomes the module attribute `dsv2.source`.
  std::string source;
  CacheElement cache = CacheElement::bf16;
  /// Tokens a page of the cache.
  int64_t pageSize = 64;
  /// How a checkpoint tensor is stored; as the config says when empty. Takes
  /// the name of expert 0 for stacked experts.
  std::function<::dsv2::TensorInfo(StringRef name)> stored;
};

/// Weights that are stored in groups have block types; those that are best used
/// in groups, but are stored otherwise, are quantized.
///
/// The module: one `dsv2.weight` for each (stack of) checkpoint tensor and
///
///   func.func @forward(tokens: T x i32, batch, cache) -> (logits: R x V,
///   cache)
OwningOpRef<ModuleOp> buildModel(MLIRContext *context,
                                 const ::dsv2::Config &config,
                                 const BuilderOptions &options);

} // namespace mlir::dsv2

#endif // DSV2_MODELS_BUILDER_MODELBUILDER_H
