//===- Model.h - An artifact that is ready to run ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ENGINE_MODEL_H
#define DSV2_RUNTIME_ENGINE_MODEL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/drivers/cpu/KernelLibrary.h"
#include "runtime/drivers/cpu/NumaPlacement.h"
#include "runtime/drivers/cpu/ThreadPool.h"
#include "runtime/drivers/cuda/CudaExecutor.h"

#include <memory>
#include <optional>
#include <string>

namespace dsv2 {

struct ModelOptions {
  /// Compares the hashes of weights too large for that to be done always.
  bool verifyWeights = false;
  /// The kernel library to use; empty: the best that this CPU can run.
  std::string instructionSet;
  /// Reads the whole file while loading, on all threads, so that no step has to
  /// wait for a page. For weights that fit into memory. Those of a model for a
  /// GPU are always read so, once, and copied.
  bool populate = false;
  /// Of weights that are read while loading, and of the memory of sessions.
  NumaPlacement placement;
};

/// Immutable; shared by the sessions that run it.
class Model {
public:
  static Result<std::shared_ptr<const Model>>
  load(std::shared_ptr<ThreadPool> pool, const std::string &path,
       const ModelOptions &options = {});

  const Artifact &artifact() const { return loaded; }
  const schema::Artifact &metadata() const { return loaded.metadata(); }
  /// The kernels for this CPU; null when the artifact is for a GPU.
  const KernelLibrary *kernels() const { return library ? &*library : nullptr; }
  /// The model on a GPU; null when the artifact is for CPUs.
  const std::shared_ptr<const cuda::CudaModel> &gpu() const { return onGpu; }
  /// What runs it: an instruction set of the CPU, or a kind of GPU.
  const char *kernelTarget() const;
  ThreadPool &threads() const { return *pool; }
  const NumaPlacement &placement() const { return memoryPlacement; }

  /// The most new tokens of one sequence that a step can take.
  int64_t maxQueryTokens() const;

private:
  Model(std::shared_ptr<ThreadPool> pool, Artifact artifact,
        NumaPlacement placement)
      : pool(std::move(pool)), loaded(std::move(artifact)),
        memoryPlacement(std::move(placement)) {}

  std::shared_ptr<ThreadPool> pool;
  Artifact loaded;
  std::optional<KernelLibrary> library;
  std::shared_ptr<const cuda::CudaModel> onGpu;
  NumaPlacement memoryPlacement;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ENGINE_MODEL_H
