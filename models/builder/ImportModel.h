//===- ImportModel.h - From a checkpoint or config to model IR --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_BUILDER_IMPORTMODEL_H
#define DSV2_MODELS_BUILDER_IMPORTMODEL_H

#include "models/Checkpoint.h"
#include "models/GgufCheckpoint.h"
#include "models/builder/ModelBuilder.h"

#include <optional>

namespace mlir::dsv2 {

/// What a SOURCE argument names.
struct ModelSource {
  /// The argument as given: a checkpoint directory, a GGUF file, a config.json,
  /// or the name of a built-in config.
  std::string name;
  ::dsv2::Config config;
  /// Present when the source is a checkpoint directory.
  std::optional<::dsv2::Checkpoint> checkpoint;
  /// Present when the source is a GGUF file.
  std::optional<::dsv2::GgufCheckpoint> gguf;

  /// The weights of the source, or null when it has none.
  const ::dsv2::TensorSource *tensors() const;
};

/// Opens a source and, where it has weights, verifies its tensors.
::dsv2::Result<ModelSource> openModelSource(const std::string &name);

/// The model IR of an opened source.
OwningOpRef<ModuleOp> importModel(MLIRContext *context,
                                  const ModelSource &source,
                                  CacheElement cache);

} // namespace mlir::dsv2

#endif // DSV2_MODELS_BUILDER_IMPORTMODEL_H
