//===- Model.cpp - An artifact that is ready to run -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Model.h"

#include "runtime/drivers/cpu/CpuFeatures.h"

#include <algorithm>

using namespace dsv2;

static Status inFile(const std::string &path, const Status &status) {
  return Status(status.code(), "'" + path + "': " + status.message());
}

/// Each thread a part, in whole huge pages.
static void populate(const Artifact &artifact, ThreadPool &pool,
                     const NumaPlacement &placement) {
  constexpr uint64_t hugePage = uint64_t(2) << 20;
  uint64_t threads = static_cast<uint64_t>(pool.size());
  uint64_t part = (artifact.fileBytes() / threads / hugePage + 1) * hugePage;
  pool.run([&](int thread) {
    ScopedPlacement scope(placement);
    artifact.populate(static_cast<uint64_t>(thread) * part, part);
  });
}

Result<std::shared_ptr<const Model>>
Model::load(std::shared_ptr<ThreadPool> pool, const std::string &path,
            const ModelOptions &options) {
  Result<Artifact> artifact = Artifact::open(path);
  if (!artifact.ok())
    return artifact.status();
  bool isForGpu = artifact->metadata().gpu() != nullptr;
  // A GPU can fill in weights that the file does not have.
  if (!isForGpu || artifact->metadata().gpu()->fill_kernel() < 0)
    DSV2_RETURN_IF_ERROR(artifact->requireWeights());
  if (options.verifyWeights && artifact->hasWeights() &&
      artifact->weightBytes() > Artifact::maxVerifiedWeightBytes)
    DSV2_RETURN_IF_ERROR(artifact->verifyWeights());
  std::shared_ptr<Model> model(
      new Model(std::move(pool), *std::move(artifact), options.placement));
  if (isForGpu) {
    const std::string target = model->metadata().gpu()->name()->str();
    if (!options.instructionSet.empty() && options.instructionSet != target)
      return inFile(path,
                    Status(StatusCode::incompatible,
                           "expected a model for '" + options.instructionSet +
                               "', found one for " + target));
    Result<std::shared_ptr<const cuda::CudaModel>> gpu =
        cuda::CudaModel::load(model->loaded, *model->pool);
    if (!gpu.ok())
      return inFile(path, gpu.status());
    // Nothing to populate: all weights were just read, and steps need no file.
    model->onGpu = *std::move(gpu);
    return std::shared_ptr<const Model>(std::move(model));
  }
  Result<uint32_t> index = KernelLibrary::choose(
      model->metadata(), detectCpuFeatures(), options.instructionSet);
  if (!index.ok())
    return inFile(path, index.status());
  Result<KernelLibrary> library =
      KernelLibrary::load(model->metadata(), *index);
  if (!library.ok())
    return inFile(path, library.status());
  model->library = *std::move(library);
  if (options.populate)
    populate(model->loaded, *model->pool, options.placement);
  return std::shared_ptr<const Model>(std::move(model));
}

const char *Model::kernelTarget() const {
  return library ? library->name().c_str() : metadata().gpu()->name()->c_str();
}

int64_t Model::maxQueryTokens() const {
  int64_t most = 0;
  for (const schema::Program *program : *metadata().plan()->programs())
    most = std::max(most, program->max_query_tokens());
  return std::min(most, metadata().limits()->max_batch_tokens());
}
