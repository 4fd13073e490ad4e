//===- ImportModel.cpp - From a checkpoint or config to model IR ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/builder/ImportModel.h"

#include "models/LoadConfig.h"

#include <filesystem>

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Checkpoint;
using ::dsv2::Config;
using ::dsv2::Result;

Result<ModelSource> mlir::dsv2::openModelSource(const std::string &name) {
  ModelSource source;
  source.name = name;
  std::error_code error;
  if (std::filesystem::is_directory(name, error)) {
    Result<Checkpoint> checkpoint = Checkpoint::open(name);
    if (!checkpoint.ok())
      return checkpoint.status();
    source.config = checkpoint->config();
    DSV2_RETURN_IF_ERROR(checkpoint->verify(source.config));
    source.checkpoint = *std::move(checkpoint);
    return source;
  }
  Result<Config> config = ::dsv2::loadConfig(name);
  if (!config.ok())
    return config.status();
  source.config = *std::move(config);
  return source;
}

OwningOpRef<ModuleOp> mlir::dsv2::importModel(MLIRContext *context,
                                              const ModelSource &source,
                                              CacheElement cache) {
  BuilderOptions options;
  options.source = source.name;
  options.cache = cache;
  if (source.checkpoint)
    options.storedType = [&](StringRef name) {
      const auto *tensor =
          source.checkpoint->find(std::string_view(name.data(), name.size()));
      // A checkpoint that was verified lacks only tied tensors.
      return tensor ? tensor->dtype : source.config.dtype;
    };
  return buildModel(context, source.config, options);
}
