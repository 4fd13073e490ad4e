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
using ::dsv2::GgufCheckpoint;
using ::dsv2::Result;
using ::dsv2::TensorInfo;
using ::dsv2::TensorSource;

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
  if (::dsv2::GgufFile::isGguf(name) || StringRef(name).ends_with(".gguf")) {
    Result<GgufCheckpoint> gguf = GgufCheckpoint::open(name);
    if (!gguf.ok())
      return gguf.status();
    source.config = gguf->config();
    source.gguf = *std::move(gguf);
    return source;
  }
  Result<Config> config = ::dsv2::loadConfig(name);
  if (!config.ok())
    return config.status();
  source.config = *std::move(config);
  return source;
}

const TensorSource *ModelSource::tensors() const {
  if (checkpoint)
    return &*checkpoint;
  return gguf ? &*gguf : nullptr;
}

OwningOpRef<ModuleOp> mlir::dsv2::importModel(MLIRContext *context,
                                              const ModelSource &source,
                                              CacheElement cache) {
  BuilderOptions options;
  options.source = source.name;
  options.cache = cache;
  if (const TensorSource *tensors = source.tensors())
    options.stored = [&source, tensors](StringRef name) {
      Result<TensorInfo> info =
          tensors->info(std::string_view(name.data(), name.size()));
      if (info.ok())
        return *std::move(info);
      // A checkpoint that was verified lacks only tied tensors.
      TensorInfo plain;
      plain.dtype = source.config.dtype;
      return plain;
    };
  return buildModel(context, source.config, options);
}
